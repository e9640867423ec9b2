"""Boxes that the model has worked out: in any form, with a score for each class, or a score and a class.

Torchvision's and TensorFlow's detectors, DETR and RT-DETR, SSD with its last step in the graph, EfficientNMS, Mask
R-CNN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.seen import Context, Floats, Seen, activated, best, corners, rows
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: boxes (n, 4); scores (n) or (n, classes); classes (n); count (1): how many of the rows count; masks
    (n, 1, rows, columns): of each box alone."""
    boxes = rows(outputs["boxes"], 4)
    scores, classes = scored(head, rows(outputs["scores"]), outputs.get("classes"), len(boxes))
    masks = outputs.get("masks")
    if "count" in outputs:
        count = int(outputs["count"].ravel()[0])
        boxes, scores, classes = boxes[:count], scores[:count], classes[:count]
    placed = corners(boxes, head.form)
    if head.units == "shares":
        placed = placed * context.size
    return chosen(head, placed, scores, classes, context, own_masks=masks)


def scored(
    head: Head, values: Floats, classes: NDArray[Any] | None, count: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Score and class of each row; a background has no class."""
    if len(values) != count:
        if values.shape[1] != count:
            raise ValueError(f"{len(values)} scores for {count} boxes")
        values = values.T
    values = activated(values, head.activation if values.shape[1] > 1 or head.activation != "softmax" else "sigmoid")
    if values.shape[1] == 1:
        named = np.zeros(count, np.int64) if classes is None else np.asarray(classes).ravel()[:count].astype(np.int64)
        if head.background == 0 and classes is not None:
            named = named - 1
        return values[:, 0], named
    if head.background >= 0:
        values = np.delete(values, head.background, axis=1)
    named = values.argmax(axis=1).astype(np.int64)
    return values[np.arange(count), named], named


def chosen(
    head: Head, boxes: Floats, scores: Floats, classes: NDArray[np.int64], context: Context, *,
    points: Floats | None = None, masks: Floats | None = None, own_masks: NDArray[Any] | None = None,
) -> Seen:  # fmt: skip
    """The boxes that are believed, within the input, best first."""
    sure = np.flatnonzero((scores >= head.least) & (classes >= 0))
    kept = sure[best(boxes[sure], scores[sure], classes[sure], head.overlap, head.most)]
    labels = max(1, len(context.labels))
    if len(kept) and int(classes[kept].max()) >= labels:
        raise ValueError(f"class {int(classes[kept].max())} of {labels} labels")
    placed = np.clip(boxes[kept], 0, context.size)
    if own_masks is not None:
        masks = _pasted(own_masks, kept, placed, context)
    elif masks is not None:
        masks = masks[kept]
    return Seen(
        boxes=placed, scores=np.clip(scores[kept], 0, 1), classes=classes[kept],
        points=None if points is None else points[kept], masks=masks,
    )  # fmt: skip


def _pasted(masks: NDArray[Any], kept: NDArray[np.int64], boxes: Floats, context: Context) -> Floats:
    """Masks of boxes, laid over the whole input at a quarter of its size."""
    masks = np.asarray(masks, np.float32)
    masks = masks.reshape(-1, *masks.shape[-2:])[kept]
    height, width = -(-context.height // 4), -(-context.width // 4)
    out = np.zeros((len(kept), height, width), np.float32)
    for mask, box, whole in zip(masks, boxes / 4, out, strict=True):
        left, top = int(box[0]), int(box[1])
        right, bottom = min(width, max(left + 1, round(float(box[2])))), min(height, max(top + 1, round(float(box[3]))))
        across = ((np.arange(left, right) - box[0]) / max(1e-6, box[2] - box[0]) * mask.shape[1]).astype(np.intp)
        down = ((np.arange(top, bottom) - box[1]) / max(1e-6, box[3] - box[1]) * mask.shape[0]).astype(np.intp)
        rows_, columns = np.clip(down, 0, mask.shape[0] - 1), np.clip(across, 0, mask.shape[1] - 1)
        whole[top:bottom, left:right] = mask[rows_[:, None], columns[None, :]]
    return out
