"""Windows over time, row by row: mean, min, max, rms, rate, count, sum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUMMED = frozenset({"mean", "rms", "count", "sum"})
REBASED = 1e6
"""Rows after which sums begin anew, so that they stay exact."""
MOST = 1_000_000
"""Rows of a window; beyond it the oldest do not count."""


class Window:
    """One function over the last `length` ns of a channel, at each of its rows. Not known before a window has passed.

    >>> mean = Window("mean", 2)
    >>> mean.add(np.array([0, 1, 2, 3]), np.array([1.0, 2.0, 3.0, np.nan])).tolist()
    [nan, nan, 2.5, 3.0]
    """

    def __init__(self, function: str, length: int) -> None:
        self._function, self._length = function, length
        self._times = np.empty(0, dtype=np.int64)
        self._values = np.empty(0)
        self._totals = np.zeros((1, 2))
        """Up to before each row, and after the last: how many there were, and their sum, of squares for rms."""
        self._middle: float | None = None
        self._began: int | None = None

    def add(self, times: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) of the rows given, in order of time."""
        if not len(times):
            return np.empty(0)
        if self._began is None or (len(self._times) and times[0] < self._times[-1]):
            self._began = int(times[0])
            self._times, self._values, self._totals = self._times[:0], self._values[:0], np.zeros((1, 2))
        before = len(self._times)
        self._times, self._values = np.concatenate([self._times, times]), np.concatenate([self._values, values])
        if self._function in _SUMMED:
            self._total(values)
        first = self._times.searchsorted(times - self._length, side="right")
        last = np.arange(before, len(self._times))
        found: NDArray[np.float64] = getattr(self, f"_{self._function}")(first, last)
        if times[0] - self._began < self._length:
            found[times - self._began < self._length] = np.nan
        start = max(int(first[-1]), len(self._times) - MOST)
        if start > len(self._times) // 4:
            self._times, self._values = self._times[start:], self._values[start:]
            if self._function in _SUMMED:
                self._totals = self._totals[start:]
                if self._totals[0, 0] > REBASED:
                    self._totals = self._totals - self._totals[0]
        return found

    def _total(self, values: NDArray[np.float64]) -> None:
        known = np.isfinite(values)
        if self._middle is None and known.any():
            self._middle = float(values[known][0])
        rows = np.zeros((len(values), 2))
        rows[:, 0] = known
        np.subtract(values, self._middle or 0.0, out=rows[:, 1], where=known)
        if self._function == "rms":
            np.square(values, out=rows[:, 1], where=known)
        np.cumsum(rows, axis=0, out=rows)
        self._totals = np.concatenate([self._totals, self._totals[-1] + rows])

    def _sums(self, first: Any, last: Any) -> tuple[Any, Any]:
        found = self._totals[last + 1] - self._totals[first]
        return found[:, 0], found[:, 1]

    def _count(self, first: Any, last: Any) -> Any:
        return self._sums(first, last)[0]

    def _sum(self, first: Any, last: Any) -> Any:
        count, total = self._sums(first, last)
        return total + (self._middle or 0.0) * count

    def _mean(self, first: Any, last: Any) -> Any:
        count, total = self._sums(first, last)
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0) + (self._middle or 0.0)

    def _rms(self, first: Any, last: Any) -> Any:
        count, total = self._sums(first, last)
        mean = np.divide(np.maximum(total, 0.0), count, out=np.full(len(count), np.nan), where=count > 0)
        return np.sqrt(mean)

    def _max(self, first: Any, last: Any) -> Any:
        return self._extreme(np.fmax, first, last)

    def _min(self, first: Any, last: Any) -> Any:
        return self._extreme(np.fmin, first, last)

    def _extreme(self, function: Any, first: Any, last: Any) -> Any:
        """Pieces as long as a window at most: what was before a piece from behind, the piece itself from its start."""
        found = np.empty(len(last))
        done = 0
        while done < len(last):
            begin = int(last[done])
            end = done + int(np.searchsorted(first[done:], begin, side="right"))
            end = max(end, done + 1)
            low = int(first[done])
            inner = function.accumulate(self._values[begin : int(last[end - 1]) + 1])
            if low < begin:
                behind = function.accumulate(self._values[low:begin][::-1])[::-1]
                behind = np.append(behind, np.nan)
                found[done:end] = function(behind[np.minimum(first[done:end], begin) - low], inner)
            else:
                found[done:end] = inner
            done = end
        return found

    def _rate(self, first: Any, last: Any) -> Any:
        span = (self._times[last] - self._times[first]) / 1e9
        change = self._values[last] - self._values[first]
        return np.divide(change, span, out=np.full(len(span), np.nan), where=span > 0)
