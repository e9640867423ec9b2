"""SSD: offsets from prior boxes (Liu et al., 2016), as the bare graph gives them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.boxes import chosen, scored
from edgeloop.models.decoders.seen import Context, Floats, Seen, rows
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: boxes (n, 4): offsets of centre and size; scores (n, classes); points (n, 2 k): offsets of the centre."""
    offsets = rows(outputs["boxes"], 4)
    known = context.arrays.get("priors")
    priors = priors_of(head, context.width, context.height) if known is None else np.asarray(known, np.float32)
    if len(priors) != len(offsets):
        raise ValueError(f"{len(offsets)} boxes for {len(priors)} priors")
    scores, classes = scored(head, rows(outputs["scores"]), None, len(offsets))
    centre, size = head.variances
    places = priors[:, :2] + offsets[:, :2] * centre * priors[:, 2:]
    extents = priors[:, 2:] * np.exp(np.clip(offsets[:, 2:] * size, -20, 20))
    boxes = np.concatenate([places - extents / 2, places + extents / 2], axis=1) * context.size
    points = None
    if "points" in outputs:
        raw = rows(outputs["points"]).reshape(len(offsets), -1, 2)
        placed = (priors[:, None, :2] + raw * centre * priors[:, None, 2:]) * context.size[:2]
        points = np.concatenate([placed, np.ones((*placed.shape[:2], 1), np.float32)], axis=2)
    return chosen(head, boxes, scores, classes, context, points=points)


def priors_of(head: Head, width: int, height: int) -> Floats:
    return _priors(head.strides, head.sizes, width, height)


@lru_cache(maxsize=16)
def _priors(
    strides: tuple[int, ...], sizes: tuple[tuple[tuple[float, float], ...], ...], width: int, height: int
) -> Floats:
    """(n, 4) centre and size in shares of the input: by stride, row, column, size."""
    found = []
    for stride, own in zip(strides, sizes, strict=True):
        down, across = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[0:down, 0:across]
        for_each = np.array(own, np.float32)
        centres = np.stack([(x.ravel() + 0.5) * stride / width, (y.ravel() + 0.5) * stride / height], axis=1)
        places = np.repeat(centres, len(for_each), axis=0)
        extents = np.tile(for_each / np.array([width, height], np.float32), (down * across, 1))
        found.append(np.concatenate([places, extents], axis=1))
    return np.asarray(np.clip(np.concatenate(found), 0, 1), np.float32)
