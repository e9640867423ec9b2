"""From a statistic to a return time: peaks over a threshold with a prior for the first minutes.

The exceedances of a high threshold follow a generalised Pareto distribution, here with the estimator by quantiles of
J. Pickands ("Statistical inference using extreme order statistics", Annals of Statistics 3, 1975); on streams see
Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017. With little data scale and shape are
drawn to a prior, and the rate of exceedances is never believed to be below 1/n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

KEPT = 4096
HEAVIEST = 0.1
"""Shape: heavier tails make any level meaningless within the life of a machine."""
LIGHTEST = -0.06
"""Shape: noise and wander have lighter tails than an exponential; how light is not left to few data."""
NEARLY_IMPOSSIBLE = 1e-12
LONGEST = 15.0
"""log10 s; about 30 million years: what lies beyond is the same to everybody."""


def pickands(excess: Float) -> tuple[float, float]:
    """Scale and shape of a generalised Pareto distribution from two quantiles, which a few anomalies cannot move.

    >>> scale, shape = pickands(np.random.default_rng(1).exponential(0.5, 4000))
    >>> round(scale, 1), abs(round(shape, 1))
    (0.5, 0.0)
    """
    half, three_quarters = (float(q) for q in np.quantile(excess, (0.5, 0.75)))
    half = max(half, 1e-9)
    shape = min(max(math.log2(max(three_quarters - half, 1e-9) / half), LIGHTEST), HEAVIEST)
    return (half / math.log(2) if abs(shape) < 1e-6 else shape * half / (2**shape - 1)), shape


class Tail:
    """P(statistic > s) per row, for statistics that are a maximum of |z| over channels and features.

    Args:
        step: seconds between rows.
        scale, weight: the prior's mean excess, and how many exceedances it is worth.
        quantile: of the last `kept` statistics, above which exceedances are modelled.
        fading: exceedances after which the prior is worth half.
    """

    def __init__(
        self,
        step: float,
        *,
        scale: float = 0.45,
        weight: float = 20.0,
        quantile: float = 0.9,
        kept: int = KEPT,
        fading: float = math.inf,
    ) -> None:
        self.step, self._kept, self._fading = step, kept, fading
        self._scale, self._weight, self._quantile = scale, weight, quantile
        self._seen = self._next_fit = 0
        self._threshold = 0.0
        self._sigma, self._shape, self._rate = scale, 0.0, 1.0
        self._recent = np.zeros(self._kept)

    def fit(self, statistics: Float) -> None:
        """Start from the learning window's statistics."""
        recent = statistics[-self._kept :]
        self._recent[: len(recent)] = recent
        self._seen = len(recent)
        self._refit()

    def add(self, statistic: float) -> bool:
        """Learn one healthy row. Returns whether it was fitted anew: at each doubling of the data seen, then each time
        half of it is new."""
        self._recent[self._seen % self._kept] = statistic
        self._seen += 1
        if self._seen < self._next_fit:
            return False
        self._refit()
        return True

    def _refit(self) -> None:
        self._next_fit = self._seen + min(self._seen, self._kept // 2)
        recent = self._recent[: min(self._seen, self._kept)]
        self._threshold = float(np.quantile(recent, self._quantile))
        excess = self._excess(recent)
        n = len(excess)
        sigma, shape = self._estimate(excess) if n >= 8 else (self._scale, 0.0)
        self._shape = shape * n / (n + 5 * self._weight)
        weight = self._weight / (1 + n / self._fading)
        self._sigma = max((weight * self._scale + n * sigma) / (weight + n), 1e-3)
        self._rate = (n + 1) / (len(recent) + 1)

    def _excess(self, recent: Float) -> Float:
        return recent[recent > self._threshold] - self._threshold

    def _estimate(self, excess: Float) -> tuple[float, float]:
        return pickands(excess)

    def return_time(self, statistic: float) -> float:
        """log10 seconds between rows of a healthy stream that reach this level."""
        excess = statistic - self._threshold
        if excess <= 0:
            share = max(statistic, 0.0) / self._threshold if self._threshold > 0 else 0.0
            probability = 1.0 - share * (1.0 - min(self._rate, 1.0))
            return math.log10(self.step / probability)
        if abs(self._shape) > 1e-6:
            inside = max(self._shape * excess / self._sigma, NEARLY_IMPOSSIBLE - 1)
            log_tail = -math.log1p(inside) / self._shape
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
        numbers = [self._seen, self._next_fit, self._threshold, self._sigma, self._shape, self._rate]
        return {"numbers": np.array(numbers), "recent": self._recent.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        numbers = [float(n) for n in state["numbers"]]
        self._seen, self._next_fit = (int(n) for n in numbers[:2])
        self._threshold, self._sigma, self._shape, self._rate = numbers[2:]
        self._recent = np.array(state["recent"], dtype=np.float64)
