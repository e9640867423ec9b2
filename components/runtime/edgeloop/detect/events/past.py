"""The rows before a row: gaps filled with what was last there, and their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

LARGEST = 1e100


class Past:
    """rows: how many are averaged; a power of two. Before a channel's first value its past is that value."""

    def __init__(self, channels: int, rows: int) -> None:
        self.rows = rows
        self.kept = np.full((rows, channels), np.nan)

    def push(self, rows: Float) -> tuple[Float, Float, Bool]:
        """Values with gaps filled, the mean of the rows before each, and which values there were; (n, channels)."""
        valid = np.isfinite(rows)
        both = np.concatenate((self.kept, rows))
        if not valid.all() or np.isnan(self.kept[-1]).any():
            both = _fill(both)
        np.clip(both, -LARGEST, LARGEST, out=both)
        self.kept = both[-self.rows :].copy()
        total, span = both[:-1], 1
        while span < self.rows:
            total = total[span:] + total[:-span]
            span *= 2
        values, means = both[self.rows :], total / self.rows
        if np.isnan(self.kept[-1]).any():
            values, means = np.nan_to_num(values), np.nan_to_num(means)
        return values, means, valid

    def interrupt(self) -> None:
        self.kept[:] = np.nan


def _fill(rows: Float) -> Float:
    valid = np.isfinite(rows)
    at = np.where(valid, np.arange(len(rows))[:, None], 0)
    np.maximum.accumulate(at, axis=0, out=at)
    np.maximum(at, valid.argmax(axis=0), out=at)
    filled = np.take_along_axis(rows, at, axis=0)
    return np.where(np.isfinite(filled), filled, np.nan)
