"""CenterNet (Zhou et al., 2019): peaks of a heat map are centres; size and offset stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.boxes import chosen
from edgeloop.models.decoders.seen import Context, Floats, Seen, activated
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: heat (classes, rows, columns), size (2, rows, columns): width and height in cells (units pixels: in pixels
    of the input), offset (2, rows, columns) in cells."""
    heat = activated(_planes(outputs["heat"]), "sigmoid" if head.activation == "sigmoid" else "none")
    down, across = heat.shape[1:]
    best = np.flatnonzero((heat == _around(heat)).ravel() & (heat.ravel() >= head.least))
    best = best[np.argsort(-heat.ravel()[best], kind="stable")[: 3 * head.most]]
    classes, place = np.divmod(best, down * across)
    y, x = np.divmod(place, across)
    size = _planes(outputs["size"])[:, y, x]
    offset = _planes(outputs["offset"])[:, y, x] if "offset" in outputs else np.full((2, len(best)), 0.5, np.float32)
    step = np.array([context.width / across, context.height / down], np.float32)
    centre = (np.stack([x, y]) + offset).T * step
    extent = size.T * (step if head.units == "shares" else np.float32(1))
    boxes = np.concatenate([centre - extent / 2, centre + extent / 2], axis=1).astype(np.float32)
    return chosen(head, boxes, heat.ravel()[best], classes.astype(np.int64), context)


def _planes(values: NDArray[Any]) -> Floats:
    return np.asarray(values, np.float32).reshape(-1, *values.shape[-2:])


def _around(heat: Floats) -> Floats:
    """The largest of the 3 × 3 cells around each."""
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    across = np.maximum(np.maximum(padded[:, :, :-2], padded[:, :, 1:-1]), padded[:, :, 2:])
    return np.maximum(np.maximum(across[:, :-2], across[:, 1:-1]), across[:, 2:])
