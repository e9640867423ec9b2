"""Boxes as distances from the points of a grid (SCRFD, YuNet), and keypoints without boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.boxes import chosen
from edgeloop.models.decoders.seen import Context, Floats, Seen, activated, rows
from edgeloop.models.decoders.yolo import cells
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles, with the place of the stride behind: scores.0 (n, 1); boxes.0 (n, 4): distances to left, top, right
    and bottom in strides (form xyxy), or offset and logarithm of the size (form cxcywh, YuNet, with objects.0);
    points.0."""
    boxes, scores, points = [], [], []
    for level, stride in enumerate(head.strides):
        values = rows(outputs[f"boxes.{level}"], 4)
        found = activated(rows(outputs[f"scores.{level}"]), head.activation)[:, 0]
        if f"objects.{level}" in outputs:
            object_ = activated(rows(outputs[f"objects.{level}"]), head.activation)[:, 0]
            found = np.sqrt(np.clip(found, 0, 1) * np.clip(object_, 0, 1))
        places, _ = cells((stride,), context.width, context.height)
        if len(values) % len(places):
            raise ValueError(f"{len(values)} boxes for {len(places)} points")
        places = np.repeat(places, len(values) // len(places), axis=0)
        if head.form == "cxcywh":
            centres = (places + values[:, :2]) * stride
            half = np.exp(np.minimum(values[:, 2:], 20)) * stride / 2
            boxes.append(np.concatenate([centres - half, centres + half], axis=1))
        else:
            base = places * stride
            boxes.append(np.concatenate([base - values[:, :2] * stride, base + values[:, 2:] * stride], axis=1))
        scores.append(found)
        if f"points.{level}" in outputs:
            raw = rows(outputs[f"points.{level}"]).reshape(len(values), -1, 2)
            placed = (places[:, None] + raw) * stride
            points.append(np.concatenate([placed, np.ones((*placed.shape[:2], 1), np.float32)], axis=2))
    count = sum(map(len, scores))
    return chosen(
        head, np.concatenate(boxes), np.concatenate(scores), np.zeros(count, np.int64), context,
        points=np.concatenate(points).astype(np.float32) if points else None,
    )  # fmt: skip


def decode_keypoints(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """role points: heat maps (k, rows, columns), or (k, 2 or 3) x, y (form yxyx: y, x) and how sure. One box around
    those that are sure."""
    values = np.asarray(outputs["points"], np.float32)
    if values.ndim >= 3 and values.shape[-1] > 3:
        found = _peaks(values.reshape(-1, *values.shape[-2:]), head, context)
    else:
        raw = values.reshape(-1, head.dimensions)
        found = np.ones((len(raw), 3), np.float32)
        found[:, : head.dimensions] = raw
        if head.form == "yxyx":
            found[:, :2] = found[:, 1::-1]
        if head.units == "shares":
            found[:, :2] *= context.size[:2]
        if head.dimensions == 3:
            found[:, 2] = activated(found[:, 2], head.activation) if head.activation == "sigmoid" else found[:, 2]
    sure = found[found[:, 2] >= max(head.least, 1e-6)]
    if not len(sure):
        return Seen(points=np.empty((0, len(found), 3), np.float32))
    box = np.concatenate([sure[:, :2].min(axis=0), sure[:, :2].max(axis=0)])[None]
    return Seen(
        boxes=np.clip(box, 0, context.size), scores=np.clip(sure[:, 2].mean(keepdims=True), 0, 1),
        classes=np.zeros(1, np.int64), points=found[None],
    )  # fmt: skip


def _peaks(maps: Floats, head: Head, context: Context) -> Floats:
    count, down, across = maps.shape
    flat = maps.reshape(count, -1)
    place = flat.argmax(axis=1)
    height = flat[np.arange(count), place]
    if head.activation == "sigmoid":
        height = activated(height, "sigmoid")
    x = (place % across + 0.5) * context.width / across
    y = (place // across + 0.5) * context.height / down
    return np.stack([x, y, height], axis=1).astype(np.float32)
