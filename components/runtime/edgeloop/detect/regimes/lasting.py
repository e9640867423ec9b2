"""How rarely a stay lasts so long: the predictive Pareto tail of the durations of those before, as in `pareto`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

FEWEST = 12
"""Stays before anything is said."""
QUANTILE = 0.75
PRIOR, SHAPE, YOUNG = 10.0, 0.08, 2.0
"""Stays that the prior is worth; its tail index at least, that of a clock, or the deviation of the logarithms; stays
that add 1 to it."""


class Lasting:
    """durations: rows of the stays before; watched: rows in which they were seen.

    >>> lasting = Lasting([120.0] * 42, 10_080.0)
    >>> [round(lasting.return_time(t), 1) for t in (60, 125, 240, 480)]
    [0.0, 3.1, 4.9, 6.2]
    >>> round(lasting.age(4.9))
    244
    """

    def __init__(self, durations: Sequence[float], watched: float) -> None:
        n = len(durations)
        self.known = n >= FEWEST
        if not self.known:
            return
        logs = np.log(np.maximum(np.asarray(durations, dtype=np.float64), 1.0))
        self._threshold = float(np.quantile(logs, QUANTILE))
        above = logs[logs > self._threshold] - self._threshold
        self._count = PRIOR + len(above)
        self._sum = PRIOR * (max(SHAPE, float(logs.std())) + YOUNG / n) + float(above.sum())
        self._every = math.log10(max(watched, 1.0) / n)
        self._rest = math.log10((len(above) + 0.5) / n) if len(above) else math.log10(1.0 - QUANTILE)

    def return_time(self, age: float) -> float:
        """log10 rows between stays that last so long; 0 where nothing can be said, or it is nothing unusual."""
        return float(self.return_times(round(age), 1)[0])

    def return_times(self, first: int, n: int) -> Float:
        """Of a stay's rows number first, first + 1, …; (n,)."""
        if not self.known or math.log(first + n) <= self._threshold:
            return np.zeros(n)
        excess = np.maximum(np.log(np.arange(first, first + n)) - self._threshold, 0.0)
        beyond = self._every - self._rest + (self._count / math.log(10.0)) * np.log1p(excess / self._sum)
        return np.where(excess > 0, beyond, 0.0)

    def age(self, return_time: float) -> float:
        """Rows from which a stay has that return time, log10 rows; endless where nothing can be said."""
        if not self.known:
            return math.inf
        decades = max(return_time - self._every + self._rest, 0.0) * math.log(10.0)
        grown = self._sum * math.expm1(min(decades / self._count, 300.0))
        return math.inf if self._threshold + grown > 40.0 else math.exp(self._threshold + grown)
