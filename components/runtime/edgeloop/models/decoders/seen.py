"""What a decoder makes of a model's outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.errors import ModelError
from edgeloop.models.head import Activation

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Context:
    """width, height: pixels of the model's input. arrays: of the head's file."""

    width: int
    height: int
    labels: tuple[str, ...]
    arrays: dict[str, NDArray[Any]]

    @property
    def size(self) -> Floats:
        return np.array([self.width, self.height, self.width, self.height], np.float32)


@dataclass(frozen=True, slots=True)
class Seen:
    """boxes: (n, 4) left, top, right, bottom in pixels of the input, best first, with scores (n) 0..1 and classes (n).
    points: (n, k, 3) x, y in pixels of the input, and how sure. masks: (n, rows, columns) shares over the whole input.

    chances: (labels) of the whole picture. area: (rows, columns) class of each cell over the whole input, with
    `certainty` of the same shape. score: of one class, higher is worse; heat: (rows, columns), higher is worse.
    vector: (d) of length 1; name, likeness: of what is nearest in the gallery. unlike: how far the picture is from all
    that the model was taught, 1 at the edge of it.
    """

    boxes: Floats = field(default_factory=lambda: np.empty((0, 4), np.float32))
    scores: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    points: Floats | None = None
    masks: Floats | None = None
    chances: Floats | None = None
    area: NDArray[np.int64] | None = None
    certainty: Floats | None = None
    score: float | None = None
    heat: Floats | None = None
    vector: Floats | None = None
    name: str = ""
    likeness: float = 0.0
    unlike: float = 0.0


def refused(why: str) -> ModelError:
    return ModelError("the model's outputs are not what its head says", why=why)


def activated(values: Floats, activation: Activation) -> Floats:
    """Over the last axis."""
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))), np.float32)
    if activation == "softmax":
        shifted = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)
    return values


def corners(boxes: Floats, form: str) -> Floats:
    """(n, 4) in any form as left, top, right, bottom.

    >>> corners(np.array([[5, 6, 4, 2]], np.float32), "cxcywh").tolist()
    [[3.0, 5.0, 7.0, 7.0]]
    """
    if form == "xyxy":
        return boxes
    if form == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    first, size = boxes[:, :2], boxes[:, 2:4]
    if form == "cxcywh":
        first = np.asarray(first - size / 2, np.float32)
    return np.asarray(np.concatenate([first, first + size], axis=1), np.float32)


def best(boxes: Floats, scores: Floats, classes: NDArray[np.int64], overlap: float, most: int) -> NDArray[np.int64]:
    """Places of the boxes that stay, best first: of two of one class that overlap (intersection over union), the weaker
    one goes. overlap 1: all stay.

    >>> b = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    >>> best(b, np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([0, 0, 1, 0]), 0.5, 10).tolist()
    [0, 2, 3]
    """
    order = np.argsort(-scores, kind="stable")[: 30 * most if overlap < 1 else most]
    if overlap >= 1 or len(order) < 2:
        return order[:most]
    span = float(np.abs(boxes[order]).max(initial=0)) + 1
    moved: NDArray[np.float64] = boxes[order].astype(np.float64) + (classes[order] * 2 * span)[:, None]
    areas: NDArray[np.float64] = np.prod(np.maximum(moved[:, 2:] - moved[:, :2], 0), axis=1)
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    for k in range(len(order)):
        if not alive[k]:
            continue
        kept.append(k)
        if len(kept) >= most:
            break
        rest = np.flatnonzero(alive[k + 1 :]) + k + 1
        low = np.maximum(moved[rest, :2], moved[k, :2])
        high = np.minimum(moved[rest, 2:], moved[k, 2:])
        common: NDArray[np.float64] = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[rest] + areas[k] - common
        alive[rest[common > overlap * np.maximum(union, 1e-9)]] = False
    return order[kept]


def rows(values: NDArray[Any], last: int | None = None) -> Floats:
    """Without the axes of extent 1 in front: (n, m). last: extent of the last axis."""
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 1:
        values = values[None] if last == len(values) else values[:, None]
    if values.ndim != 2 or (last is not None and values.shape[1] != last):
        raise ValueError(f"{values.shape} where rows{f' of {last}' if last else ''} are expected")
    return np.asarray(values, np.float32)
