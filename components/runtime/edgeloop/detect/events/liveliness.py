"""How often each channel has been as lively: a histogram of its activity over octaves, two bins each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.events.familiarity import UNSEEN, add_near

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Int = NDArray[np.intp]

BINS = 32
STRICTER = 0.6
"""Decades by which an activity has to be rarer than a value."""
HALVES = 51
"""A float64's bits above this one: sign, exponent, and whether its fraction is at least 1.5."""
ONE = int(np.float64(1).view(np.int64)) >> HALVES
SMALLEST = 1e-150


class Liveliness:
    """Counts for `channels` channels, around the activity of each one's first rows; the lowest bin is a flat line."""

    def __init__(self, channels: int) -> None:
        self._seen, self._unit = np.zeros(channels), np.zeros(channels)
        self._near = np.zeros((channels, BINS + 2))
        self._row = np.arange(channels) * (BINS + 2)
        self._derive()

    def _derive(self) -> None:
        self._scale = 1.0 / np.where(self._unit > 0, self._unit, 1.0)
        self._rows_seen = np.log10(self._seen + 1.0) - STRICTER

    def return_time(self, activity: Float) -> Float:
        """log10 rows between rows like these, less STRICTER; (n, channels)."""
        near = self._near.take(self._bins(activity))
        near += UNSEEN
        return np.asarray(self._rows_seen - np.log10(near), dtype=np.float64)

    def learn(self, activity: Float, known: Bool) -> None:
        """A block of rows (n, channels)."""
        unknown = self._unit == 0
        if unknown.any():
            for channel in np.flatnonzero(unknown).tolist():
                moving = activity[known[:, channel] & (activity[:, channel] > 0), channel]
                if len(moving):
                    self._unit[channel] = max(float(np.median(moving)), SMALLEST)
        self._seen += np.count_nonzero(known, axis=0)
        self._derive()
        add_near(self._near.reshape(-1), self._bins(activity)[known])

    def _bins(self, activity: Float) -> Int:
        """Flat indices: 1 for a flat line, then half octaves."""
        halves = (activity * self._scale).view(np.int64) >> HALVES
        bins = halves + (BINS // 2 + 1 - ONE)
        np.maximum(bins, 1 + (halves != 0), out=bins)
        np.minimum(bins, BINS, out=bins)
        bins += self._row
        return np.asarray(bins, dtype=np.intp)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"seen": self._seen.copy(), "unit": self._unit.copy(), "near": self._near.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._seen, self._unit, self._near = (np.array(state[k], dtype=np.float64) for k in ("seen", "unit", "near"))
        self._derive()
