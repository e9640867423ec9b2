"""How rarely a healthy monitor gets so far: the predictive tail of block maxima.

Logarithms of the largest statistic of each block; those above a high quantile are excursions with exponential excess
(a Pareto tail, which is the domain of attraction of what has heavy tails) under a gamma prior, and what is asked is the
posterior predictive: with little data it is heavy by itself. The prior's shape has a share that falls with the rows
seen, since a spread estimated from few rows makes a Student's t of a normal. Pareto tails of maxima: J. Pickands,
"Statistical inference using extreme order statistics", Annals of Statistics 3 (1975); predictive: A. C. Davison,
"Approximate predictive likelihood", Biometrika 73 (1986).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.tail import LONGEST

Float = NDArray[np.float64]

KEPT = 4096
QUANTILE = 0.9
PRIOR = 10.0
"""Excursions that the prior is worth."""
SHAPE = 0.08
"""Tail index of the prior with endless data."""
CAP = 1.02
"""Largest share of the alarm level that teaches: an alarm counts as "just there"."""
OBVIOUS = 4.0
"""A statistic so many times beyond the alarm level is told whatever was spent. With a tail index of 1 or more it comes
as many times more rarely, with 2 sixteen times."""
SMALLEST = 1e-6
LOG10 = math.log(10.0)


class PredictiveTail:
    """Args: step: seconds between rows; block: rows of a block; young: rows that halve the confidence;
        least: what the largest of a block is taken to be at least.

    >>> tail = PredictiveTail(1.0, block=16, young=27.0)
    >>> tail.fit(np.abs(np.random.default_rng(1).normal(size=8000)))
    >>> float(tail.level(6.0).round(1)), float(tail.return_times(np.array([5.0])).round(1)[0])
    (7.5, 4.6)
    """

    def __init__(self, step: float, *, block: int, young: float, least: float = SMALLEST) -> None:
        self.step, self.block, self._young, self._least = step, block, young, least
        self._recent = np.zeros(KEPT)
        self._blocks = self._rows = self._next = self._learned = 0
        self._largest, self._filled = 0.0, 0
        self._log_step = math.log10(step)
        self._refit()

    def fit(self, statistics: Float, learned: int = 0) -> None:
        """Start from statistics (n,) of rows that they were not estimated from; learned: rows behind the spreads."""
        self._blocks = self._rows = self._next = self._filled = 0
        self._learned = learned
        self._largest = 0.0
        self.teach(statistics)
        self._refit()

    def adopt(self, maxima: Float) -> None:
        """Start from the largest statistics of blocks (n,), the oldest first."""
        self.fit(np.zeros(0))
        maxima = maxima[-KEPT:]
        self._recent[: len(maxima)] = np.log(np.maximum(maxima, SMALLEST))
        self._blocks, self._rows = len(maxima), len(maxima) * self.block
        self._refit()

    def teach(self, statistics: Float, most: float = math.inf) -> bool:
        """Statistics (n,) of healthy rows, in order; beyond `most` they count as that. Returns whether it changed."""
        at, changed = 0, False
        while at < len(statistics):
            n = min(len(statistics) - at, self.block - self._filled)
            self._largest = max(self._largest, float(statistics[at : at + n].max()))
            self._filled += n
            at += n
            if self._filled == self.block:
                changed |= self._whole(most)
        return changed

    def _whole(self, most: float) -> bool:
        """A block is."""
        self._recent[self._blocks % KEPT] = math.log(max(min(self._largest, most), self._least))
        self._blocks += 1
        self._rows += self.block
        self._largest, self._filled = 0.0, 0
        if self._blocks < self._next:
            return False
        self._refit()
        return True

    def _refit(self) -> None:
        n = min(self._blocks, KEPT)
        self._next = self._blocks + max(4, n // 16)
        recent = self._recent[:n]
        if self._blocks > KEPT:
            recent = np.roll(recent, -(self._blocks % KEPT))
        rows = max(n * self.block, 1)
        self._threshold = float(np.quantile(recent, QUANTILE)) if n else 0.0
        above = recent > self._threshold
        starts = np.flatnonzero(above & ~np.r_[False, above[:-1]]) if n else np.empty(0, dtype=np.intp)
        excess = np.where(above, recent - self._threshold, 0.0)
        total = float(np.maximum.reduceat(excess, starts).sum()) if len(starts) else 0.0
        self._count = PRIOR + len(starts)
        self._sum = PRIOR * (SHAPE + self._young / max(rows, self._learned)) + total
        self._rate = min((len(starts) + 0.5) / rows, 1.0)
        self._base = self._log_step - math.log10(self._rate)
        self._low = math.exp(self._threshold)

    def return_times(self, statistics: Float) -> Float:
        """log10 s between healthy rows that reach this far; (n,) each."""
        with np.errstate(divide="ignore"):
            excess = np.log(statistics) - self._threshold
        beyond = self._base + self._count / LOG10 * np.log1p(np.maximum(excess, 0.0) / self._sum)
        below = self._log_step - np.log10(1.0 - np.minimum(statistics / self._low, 1.0) * (1.0 - self._rate))
        return np.asarray(np.minimum(np.where(excess > 0, beyond, below), LONGEST))

    def return_time(self, statistic: float) -> float:
        """Of one."""
        if statistic <= self._low:
            return self._log_step - math.log10(1.0 - statistic / self._low * (1.0 - self._rate))
        excess = math.log(statistic) - self._threshold
        return min(self._base + self._count / LOG10 * math.log1p(excess / self._sum), LONGEST)

    def add(self, statistic: float, most: float = math.inf) -> bool:
        """`teach` of one row."""
        self._largest = max(self._largest, statistic)
        self._filled += 1
        return self._whole(most) if self._filled == self.block else False

    def level(self, return_time: float) -> Float:
        """The statistic of a return time (log10 s), at least the threshold."""
        decades = max(return_time - self._base, 0.0) * LOG10
        return np.asarray(np.exp(min(self._threshold + self._sum * math.expm1(decades / self._count), 200.0)))

    def asked(self, demand: float, base: float) -> float:
        """The return time that an alarm needs, log10 s: the demand, but where it was raised from a base no more than
        what is OBVIOUS times as far as that: whatever was spent, nobody would miss it."""
        return min(demand, self.return_time(OBVIOUS * float(self.level(base)))) if demand > base else demand

    def state(self) -> dict[str, NDArray[np.generic]]:
        numbers = [self._blocks, self._rows, self._next, self._learned, self._largest, self._filled]
        fitted = [self._threshold, self._count, self._sum, self._rate]
        return {
            "pareto": np.array([*numbers, *fitted], dtype=np.float64),
            "recent": self._recent[: min(self._blocks, KEPT)].copy(),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        numbers = [float(n) for n in state["pareto"]]
        self._blocks, self._rows, self._next, self._learned = (int(n) for n in numbers[:4])
        self._largest, self._filled = numbers[4], int(numbers[5])
        self._threshold, self._count, self._sum, self._rate = numbers[6:]
        recent = np.array(state["recent"], dtype=np.float64)
        self._recent[: len(recent)] = recent
        self._base = self._log_step - math.log10(self._rate)
        self._low = math.exp(self._threshold)
