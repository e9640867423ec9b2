"""Values that are missing now and then, as they were last: half of them missing at random is no hole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LONGEST = 8
"""Rows that a value is carried; what is missing for longer is missing."""
LARGEST = 1e100


class Carried:
    """
    >>> carried = Carried(1)
    >>> carried.fill(np.array([[1.0], [np.nan], [3.0]])).ravel().tolist()
    [1.0, 1.0, 3.0]
    >>> carried.fill(np.full((10, 1), np.nan)).ravel().tolist()[6:9]
    [3.0, 3.0, nan]
    """

    def __init__(self, channels: int) -> None:
        self._last = np.full(channels, np.nan)
        self._age = np.zeros(channels, dtype=np.int64)

    def fill(self, rows: Float) -> Float:
        """Rows (n, channels), NaN where missing."""
        if not len(rows):
            return rows
        known = np.abs(rows) < LARGEST
        if known.all():
            self._last, self._age = rows[-1].copy(), np.zeros_like(self._age)
            return rows
        n = len(rows)
        whole = np.concatenate([self._last[None], rows])
        place = np.where(np.concatenate([np.ones_like(known[:1]), known]), np.arange(n + 1)[:, None], 0)
        newest = np.maximum.accumulate(place, axis=0)[1:]
        age = np.arange(1, n + 1)[:, None] - newest + np.where(newest == 0, self._age, 0)
        filled = np.where(age <= LONGEST, np.take_along_axis(whole, newest, axis=0), np.nan)
        self._last, self._age = np.take_along_axis(whole, newest[-1:], axis=0)[0], age[-1]
        return np.asarray(filled)

    def forget(self) -> None:
        """What follows does not continue."""
        self._last = np.full_like(self._last, np.nan)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"carried": np.array([self._last, self._age.astype(np.float64)])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        last, age = np.array(state["carried"], dtype=np.float64)
        self._last, self._age = last, age.astype(np.int64)
