"""From a statistic to a return time: peaks over a threshold with a prior for the first minutes.

The exceedances of a high threshold follow a generalised Pareto distribution (J. Pickands, Annals of Statistics 3, 1975;
as used on streams by Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017). With little
data scale and shape are drawn to a prior, and the rate of exceedances is never believed to be below 1/n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

KEPT = 512
LONGEST = 15.0
"""log10 s; about 30 million years: what lies beyond is the same to everybody."""


class Tail:
    """P(statistic > s) per row, for statistics that are a maximum of |z| over channels and features.

    Args:
        step: seconds between rows.
        scale, weight: the prior's mean excess, and how many exceedances it is worth.
    """

    def __init__(self, step: float, *, scale: float = 0.6, weight: float = 20.0, quantile: float = 0.9) -> None:
        self.step = step
        self._scale, self._weight, self._quantile = scale, weight, quantile
        self._seen = 0
        self._over = 0
        self._next_fit = 0
        self._threshold = 0.0
        self._sigma, self._shape = scale, 0.0
        self._rate = 1.0
        self._excesses = np.zeros(KEPT)
        self._recent = np.zeros(KEPT)

    def fit(self, statistics: Float) -> None:
        """Start from the learning window's statistics."""
        self._seen = self._over = 0
        self._threshold = float(np.quantile(statistics, self._quantile))
        for s in statistics:
            self._count(float(s))
        self._refit()

    def add(self, statistic: float) -> None:
        """Learn one healthy row; refits at each doubling of the data seen."""
        self._count(statistic)
        if self._seen >= self._next_fit:
            self._refit()

    def _count(self, statistic: float) -> None:
        self._recent[self._seen % KEPT] = statistic
        self._seen += 1
        if statistic > self._threshold:
            self._excesses[self._over % KEPT] = statistic - self._threshold
            self._over += 1

    def _refit(self) -> None:
        self._next_fit = 2 * self._seen
        recent = self._recent[: min(self._seen, KEPT)]
        threshold = float(np.quantile(recent, self._quantile))
        if self._seen > KEPT and threshold > self._threshold:
            self._excesses = np.maximum(self._excesses - (threshold - self._threshold), 0.0)
            kept = self._excesses[self._excesses > 0]
            self._excesses = np.zeros(KEPT)
            self._excesses[: len(kept)] = kept
            self._over = max(len(kept), round(self._seen * (1 - self._quantile)))
            self._threshold = threshold
        excess = self._excesses[: min(self._over, KEPT)]
        n = len(excess)
        mean = float(excess.mean()) if n else self._scale
        variance = float(excess.var()) if n > 1 else mean * mean
        shape = float(np.clip(0.5 * (1 - mean * mean / max(variance, 1e-12)), -0.2, 0.4))
        trust = n / (n + 5 * self._weight)
        self._shape = max(0.0, trust * shape)
        mean = (self._weight * self._scale + n * mean) / (self._weight + n)
        self._sigma = max(mean * (1 - self._shape), 1e-3)
        self._rate = (self._over + 1) / (self._seen + 1)

    def return_time(self, statistic: float) -> float:
        """log10 seconds between rows of a healthy stream that reach this level."""
        excess = statistic - self._threshold
        if excess <= 0:
            share = max(statistic, 0.0) / self._threshold if self._threshold > 0 else 0.0
            probability = 1.0 - share * (1.0 - min(self._rate, 1.0))
            return math.log10(self.step / probability)
        if self._shape > 1e-6:
            log_tail = -math.log1p(self._shape * excess / self._sigma) / self._shape
        else:
            log_tail = -excess / self._sigma
        return min(LONGEST, math.log10(self.step) - math.log10(self._rate) - log_tail / math.log(10))

    def level(self, return_time: float) -> float:
        """The statistic of a return time: the inverse, by bisection."""
        low, high = 0.0, self._threshold + 1.0
        while self.return_time(high) < return_time and high < 1e9:
            high *= 2
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.return_time(middle) < return_time else (low, middle)
        return high

    def state(self) -> dict[str, NDArray[np.generic]]:
        numbers = np.array(
            [self._seen, self._over, self._next_fit, self._threshold, self._sigma, self._shape, self._rate]
        )
        return {"numbers": numbers, "excesses": self._excesses.copy(), "recent": self._recent.copy()}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        numbers = [float(n) for n in state["numbers"]]
        self._seen, self._over, self._next_fit = (int(n) for n in numbers[:3])
        self._threshold, self._sigma, self._shape, self._rate = numbers[3:]
        self._excesses = np.array(state["excesses"], dtype=np.float64)
        self._recent = np.array(state["recent"], dtype=np.float64)
