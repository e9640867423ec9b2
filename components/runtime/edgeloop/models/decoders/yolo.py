"""YOLO: one row for each cell (or anchor), box, objectness where there is one, classes, then masks or keypoints.

v5, v7 (objectness, rows), v8, v9, v11, v12 (no objectness, columns), YOLOX (offsets in cells, `strides`); v10 and
exports with their own last step end with (n, 6) rows: corners, score, class.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.boxes import chosen
from edgeloop.models.decoders.seen import Context, Floats, Seen, activated, corners, rows
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: rows (n, 4 + …), or (4 + …, n) where channels_first; prototypes (masks, rows, columns)."""
    values = rows(outputs["rows"])
    if head.channels_first:
        values = values.T
    tail = head.masks + head.points * head.dimensions
    begin = 5 if head.objectness else 4
    labels = values.shape[1] - begin - tail
    if labels < 1:
        raise ValueError(f"rows of {values.shape[1]} numbers")
    chances = activated(values[:, begin : begin + labels], head.activation)
    classes = chances.argmax(axis=1).astype(np.int64) if labels > 1 else np.zeros(len(values), np.int64)
    scores = chances[np.arange(len(values)), classes]
    if head.objectness:
        scores = scores * activated(values[:, 4:5], head.activation)[:, 0]
    sure = np.flatnonzero(scores >= head.least)
    values, scores, classes = values[sure], scores[sure], classes[sure]
    boxes = values[:, :4]
    if head.strides:
        boxes = _from_cells(boxes, sure, head.strides, context)
    placed = corners(boxes, head.form)
    if head.units == "shares":
        placed = placed * context.size
    points = None
    if head.points:
        points = values[:, begin + labels :].reshape(-1, head.points, head.dimensions)
        points = _with_certainty(points, head, context)
    masks = _masks(values[:, -head.masks :], outputs["prototypes"], placed, context) if head.masks else None
    return chosen(head, placed, scores, classes, context, points=points, masks=masks)


def decode_end(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: rows (n, 6): box, score, class; (n, 7): picture, box, class, score; then masks or keypoints."""
    values = rows(outputs["rows"])
    tail = head.masks + head.points * head.dimensions
    width = values.shape[1] - tail
    if width == 7:
        boxes, classes, scores = values[:, 1:5], values[:, 5], values[:, 6]
    elif width == 6:
        boxes, scores, classes = values[:, :4], values[:, 4], values[:, 5]
    else:
        raise ValueError(f"rows of {values.shape[1]} numbers")
    placed = corners(boxes, head.form)
    if head.units == "shares":
        placed = placed * context.size
    points = None
    if head.points:
        points = _with_certainty(values[:, width:].reshape(-1, head.points, head.dimensions), head, context)
    masks = _masks(values[:, -head.masks :], outputs["prototypes"], placed, context) if head.masks else None
    return chosen(head, placed, scores, classes.astype(np.int64), context, points=points, masks=masks)


@lru_cache(maxsize=16)
def cells(strides: tuple[int, ...], width: int, height: int) -> tuple[Floats, Floats]:
    """Left upper corner (n, 2) in cells and stride (n, 1) of each cell, row by row, the finest stride first."""
    places, sizes = [], []
    for stride in strides:
        down, across = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[0:down, 0:across]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sizes.append(np.full((down * across, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def _from_cells(boxes: Floats, sure: NDArray[np.int64], strides: tuple[int, ...], context: Context) -> Floats:
    """YOLOX: centres in cells from the corner of their own, sizes as logarithms of cells."""
    places, sizes = cells(strides, context.width, context.height)
    places, sizes = places[sure], sizes[sure]
    centres = (boxes[:, :2] + places) * sizes
    return np.concatenate([centres, np.exp(np.minimum(boxes[:, 2:4], 20)) * sizes], axis=1)


def _with_certainty(points: Floats, head: Head, context: Context) -> Floats:
    found = np.ones((len(points), head.points, 3), np.float32)
    found[:, :, : head.dimensions] = points
    if head.units == "shares":
        found[:, :, :2] *= context.size[:2]
    return found


def _masks(coefficients: Floats, prototypes: NDArray[Any], boxes: Floats, context: Context) -> Floats:
    """(n, rows, columns) shares, nothing outside of the boxes."""
    base = np.asarray(prototypes, np.float32)
    base = base.reshape(-1, *base.shape[-2:])
    if len(base) != coefficients.shape[1]:
        raise ValueError(f"{coefficients.shape[1]} coefficients for {len(base)} prototypes")
    down, across = base.shape[1:]
    values = activated((coefficients @ base.reshape(len(base), -1)).reshape(-1, down, across), "sigmoid")
    left, top, right, bottom = (boxes[:, k, None] for k in range(4))
    x, y = (np.arange(across) + 0.5) * context.width / across, (np.arange(down) + 0.5) * context.height / down
    inside = ((x >= left) & (x <= right))[:, None, :] & ((y >= top) & (y <= bottom))[:, :, None]
    return np.asarray(values * inside, np.float32)
