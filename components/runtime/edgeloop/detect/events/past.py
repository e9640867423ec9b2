"""The rows before a row: gaps filled with what was last there, their mean, and how lively the channel has been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows, all finite.

    pairs: (2, n, channels), values and the means of the rows before them; valid: (n, channels), which were there.
    activity: (n, channels), mean |step| of the last rows; known: (n, channels), where enough of those were there.
    """

    pairs: Float
    valid: Bool
    activity: Float
    known: Bool

    def __len__(self) -> int:
        return len(self.valid)

    def part(self, begin: int, end: int) -> Rows:
        here = slice(begin, end)
        return Rows(self.pairs[:, here], self.valid[here], self.activity[here], self.known[here])


class Past:
    """averaged, watched: rows of a mean and of an activity; powers of two, averaged the smaller.

    Before a channel's first value its past is that value.
    """

    def __init__(self, channels: int, averaged: int, watched: int) -> None:
        self._averaged, self._watched = averaged, watched
        self._kept = np.full((watched, channels), np.nan)
        self._valid = np.zeros((watched, channels), dtype=np.bool_)

    def push(self, rows: Float) -> Rows:
        n, watched, averaged = len(rows), self._watched, self._averaged
        there = np.concatenate((self._valid, np.isfinite(rows)))
        both = np.concatenate((self._kept, rows))
        whole = bool(there.all())
        if not whole:
            both = _fill(both)
        fresh = both[watched:]
        np.minimum(np.maximum(fresh, -LARGEST, out=fresh), LARGEST, out=fresh)
        self._kept, self._valid = both[n:].copy(), there[n:].copy()
        if not whole:
            both = np.nan_to_num(both)
            fresh = both[watched:]
        valid = there[watched:]
        steps = np.abs(both[1:] - both[:-1])
        pairs = np.empty((2, *fresh.shape))
        pairs[0] = fresh
        np.divide(_sums(both[watched - averaged : -1], averaged), averaged, out=pairs[1])
        if whole:
            return Rows(pairs, valid, _sums(steps, watched) / watched, valid)
        counts = _sums(there[1:].astype(np.float64), watched)
        activity = _sums(steps * there[1:], watched) / np.maximum(counts, 1.0)
        return Rows(pairs, valid, activity, valid & (2 * counts >= watched))

    def interrupt(self) -> None:
        self._kept[:] = np.nan
        self._valid[:] = False

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"kept": self._kept.copy(), "valid": self._valid.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._kept = np.array(state["kept"], dtype=np.float64)
        self._valid = np.array(state["valid"], dtype=np.bool_)


def _sums(rows: Float, count: int) -> Float:
    """Of each `count` rows in succession; the same additions wherever the rows begin."""
    span = 1
    while span < count:
        rows = rows[span:] + rows[:-span]
        span *= 2
    return rows


def _fill(rows: Float) -> Float:
    valid = np.isfinite(rows)
    at = np.where(valid, np.arange(len(rows))[:, None], 0)
    np.maximum.accumulate(at, axis=0, out=at)
    np.maximum(at, valid.argmax(axis=0), out=at)
    filled = np.take_along_axis(rows, at, axis=0)
    return np.where(np.isfinite(filled), filled, np.nan)
