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
AROUND = np.outer(NEAR, NEAR).ravel()
UNSEEN = 0.5
"""The count of what has never been seen."""
OUT_OF_PLACE = 10.0**1.8
"""Square of how much rarer a usual value has to be in its context than an unusual one in general."""
LONE = 1
"""Rows of a block on one side of the range that are taken for glitches."""
FINEST = 1e-9
SMALLEST = 1e-30


class Familiarity:
    """Counts for `channels` channels: (bins + 2)² × 16 B each and a little; 18.5 kB at 32 bins.

    Rows are pairs (2, n, channels) of values and of their contexts, which are means of values; all finite.
    """

    def __init__(self, channels: int, bins: int) -> None:
        self._bins, self._padded = bins, bins + 2
        p = self._padded
        self.seen = np.zeros(channels)
        self._low, self._width = np.zeros(channels), np.ones(channels)
        self._counts = np.zeros((channels, p, p))
        self._near = np.zeros((channels, p, p))
        self._marginal = np.zeros((channels, p))
        self._row = np.arange(channels) * p
        self._neighbours = np.array([[i * p + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        self._first = np.array([0.0, 1.0]).reshape(2, 1, 1)
        self._last = np.array([bins + 1.0, bins]).reshape(2, 1, 1)
        self._derive()

    def _derive(self) -> None:
        self._scale, self._high = self._bins / self._width, self._low + self._width
        self._rows_seen = np.log10(self.seen + 1.0)

    def return_time(self, rows: Float) -> Float:
        """log10 rows between rows like these, (n, channels); beyond the range in proportion to the distance."""
        row, cell = self._cells(rows)
        joint, alone = self._near.take(cell), self._marginal.take(row)
        joint += UNSEEN
        alone += UNSEEN
        alone *= joint
        joint *= joint
        joint *= OUT_OF_PLACE
        np.minimum(alone, joint, out=joint)
        time = np.asarray(self._rows_seen - 0.5 * np.log10(joint), dtype=np.float64)
        beyond = np.maximum(self._low - rows[0], rows[0] - self._high)
        if beyond.max(initial=0.0) > 0:
            time += np.log10(1.0 + np.maximum(beyond, 0.0) / self._width) * (self.seen > 0)
        return time

    def learn(self, rows: Float, valid: Bool) -> None:
        """A block of rows; valid: (n, channels)."""
        values, counts = rows[0], np.count_nonzero(valid, axis=0)
        begin = (self.seen == 0) & (2 * counts >= len(values))
        if begin.any():
            for channel in np.flatnonzero(begin).tolist():
                self._begin(channel, values[valid[:, channel], channel])
        learning = begin | (self.seen > 0)
        known = valid & learning
        outside = known & ((values < self._low) | (values >= self._high))
        if outside.any():
            for channel in np.flatnonzero(outside.any(axis=0)).tolist():
                self._widen(channel, values[valid[:, channel], channel])
        self.seen += counts * learning
        self._derive()
        row, cell = self._cells(rows, self._first[1], self._last[1])
        row, cell = (row.ravel(), cell.ravel()) if known.all() else (row[known], cell[known])
        np.add.at(self._counts.reshape(-1), cell, 1.0)
        np.add.at(self._near.reshape(-1), (cell + self._neighbours).ravel(), AROUND.repeat(len(cell)))
        add_near(self._marginal.reshape(-1), row)
        self._near[:, :: self._bins + 1] = 0.0
        self._marginal[:, :: self._bins + 1] = 0.0

    def _cells(self, rows: Float, first: Float | None = None, last: Float | None = None) -> tuple[Int, Int]:
        """Flat indices of the values' bins and of the cells; values outside the range are in its padding."""
        position = rows - self._low
        position *= self._scale
        position += 1.0
        np.maximum(position, self._first if first is None else first, out=position)
        np.minimum(position, self._last if last is None else last, out=position)
        row, column = position.astype(np.intp)
        row += self._row
        return row, row * self._padded + column

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
        self._near[channel] = _smooth(_smooth(self._counts[channel]).T).T
        self._marginal[channel] = _smooth(self._counts[channel].sum(axis=1))

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {name: getattr(self, f"_{name}").copy() for name in _KEPT} | {"seen": self.seen.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self.seen = np.array(state["seen"], dtype=np.float64)
        for name in _KEPT:
            setattr(self, f"_{name}", np.array(state[name], dtype=np.float64))
        self._derive()


_KEPT = ("low", "width", "counts", "near", "marginal")


def add_near(histogram: Float, bins: Int) -> None:
    """One for each bin and NEAR around it; bins are neither the first nor the last."""
    counts = np.bincount(bins, minlength=len(histogram))
    histogram += NEAR[1] * counts
    histogram[:-1] += NEAR[0] * counts[1:]
    histogram[1:] += NEAR[2] * counts[:-1]


def _smooth(counts: Float) -> Float:
    """Along the first axis; what falls off the edge is lost."""
    out = counts.copy()
    out[1:] += NEAR[0] * counts[:-1]
    out[:-1] += NEAR[2] * counts[1:]
    return out
