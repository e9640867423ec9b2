"""How often each channel has been near a value, and near it in the same context: two histograms on one range.

The range is doubled, bins merged in pairs, when rows of a block fall outside; a lone row doubles it once, so that one
glitch, however large, does not squeeze what is normal into one bin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Int = NDArray[np.intp]

NEAR = np.array([0.5, 1.0, 0.5])
"""Weight of the neighbouring bins."""
UNSEEN = 0.5
"""The count of what has never been seen."""
LONE = 1
"""Rows of a block on one side of the range that are taken for glitches."""
FINEST = 1e-9
SMALLEST = 1e-30


class Familiarity:
    """Counts for `channels` channels: (bins + 2)² × 16 B each and a little; 18.5 kB at 32 bins."""

    def __init__(self, channels: int, bins: int) -> None:
        self._bins, self._padded = bins, bins + 2
        p = self._padded
        self.seen = np.zeros(channels)
        self._low, self._width = np.zeros(channels), np.ones(channels)
        self._counts = np.zeros((channels, p, p))
        self._near = np.zeros((channels, p, p))
        self._marginal = np.zeros((channels, p))
        self._row = np.arange(channels) * p
        self._around = np.array([i * p + j for i in (-1, 0, 1) for j in (-1, 0, 1)])
        self._weights = np.outer(NEAR, NEAR).ravel()

    def return_time(self, values: Float, means: Float) -> Float:
        """log10 rows between rows like these, (n, channels); values and means finite."""
        row, cell, inside = self._cells(values, means)
        joint = self._near.take(cell) * inside
        alone = self._marginal.take(row) * inside
        joint += UNSEEN
        alone += UNSEEN
        joint *= alone
        return np.asarray(np.log10(self.seen + 1.0) - 0.5 * np.log10(joint), dtype=np.float64)

    def learn(self, values: Float, means: Float, valid: Bool) -> None:
        """A block of rows (n, channels)."""
        begin = (self.seen == 0) & (2 * np.count_nonzero(valid, axis=0) >= len(values))
        for channel in np.flatnonzero(begin):
            self._begin(int(channel), values[valid[:, channel], channel])
        outside = valid & ((values < self._low) | (values >= self._low + self._width)) & ((self.seen > 0) | begin)
        for channel in np.flatnonzero(outside.any(axis=0)):
            self._widen(int(channel), values[valid[:, channel], channel])
        known = valid & ((self.seen > 0) | begin)
        row, cell, _ = self._cells(values, means, clip=True)
        row, cell = row[known], cell[known]
        np.add.at(self._counts.reshape(-1), cell, 1.0)
        around = (cell[:, None] + self._around).ravel()
        np.add.at(self._near.reshape(-1), around, np.tile(self._weights, len(cell)))
        np.add.at(self._marginal.reshape(-1), (row[:, None] + np.arange(-1, 2)).ravel(), np.tile(NEAR, len(row)))
        self.seen += np.count_nonzero(known, axis=0)

    def _cells(self, values: Float, means: Float, clip: bool = False) -> tuple[Int, Int, Bool]:
        """Flat index of the value's bin, of the cell, and whether the value is within the range."""
        bins = self._bins
        scale = bins / self._width
        value = (values - self._low) * scale + 1.0
        row = np.clip(value, 1 if clip else 0, bins if clip else bins + 1).astype(np.intp)
        column = np.clip((means - self._low) * scale + 1.0, 1, bins).astype(np.intp)
        inside = (value >= 1.0) & (value < bins + 1.0)
        row += self._row
        return row, row * self._padded + column, inside

    def _begin(self, channel: int, values: Float) -> None:
        ordered = np.sort(values)
        low, high = float(ordered[len(ordered) // 20]), float(ordered[len(ordered) * 19 // 20])
        spread = max(high - low, FINEST * max(abs(low), abs(high)), SMALLEST)
        self._low[channel], self._width[channel] = low - spread, high - low + 2 * spread

    def _widen(self, channel: int, values: Float) -> None:
        bins = self._bins
        counts = self._counts[channel, 1:-1, 1:-1].copy()
        for above in (True, False):
            doublings = 0
            while True:
                low, width = self._low[channel], self._width[channel]
                outside = np.count_nonzero(values >= low + width if above else values < low)
                if outside <= LONE and (doublings or not outside):
                    break
                half = counts.reshape(bins // 2, 2, bins // 2, 2).sum(axis=(1, 3))
                counts = np.zeros_like(counts)
                part = slice(0, bins // 2) if above else slice(bins // 2, bins)
                counts[part, part] = half
                self._width[channel] = 2 * width
                if not above:
                    self._low[channel] = low - width
                doublings += 1
        self._counts[channel, 1:-1, 1:-1] = counts
        columns = _smooth(self._counts[channel])
        self._near[channel] = _smooth(columns.T).T
        self._marginal[channel] = _smooth(self._counts[channel].sum(axis=1)[:, None])[:, 0]

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {name: getattr(self, f"_{name}").copy() for name in _KEPT} | {"seen": self.seen.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self.seen = np.array(state["seen"], dtype=np.float64)
        for name in _KEPT:
            setattr(self, f"_{name}", np.array(state[name], dtype=np.float64))


_KEPT = ("low", "width", "counts", "near", "marginal")


def _smooth(counts: Float) -> Float:
    """Along the first axis; what falls off the edge is lost."""
    out = counts.copy()
    out[1:] += NEAR[0] * counts[:-1]
    out[:-1] += NEAR[2] * counts[1:]
    return out
