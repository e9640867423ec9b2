"""How often healthy levels go how far: return times of excursions, not of rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.tail import Tail

Float = NDArray[np.float64]

BLOCK, KEPT = 32, 8192
"""Rows of a block, of which the largest statistic counts, and blocks remembered."""
THRESHOLD = 0.95
"""Quantile of the blocks above which excursions are modelled."""
FADING = 20.0
"""Excursions after which the prior is worth half of what it was at first."""
LIGHTER = -0.04
"""Shape: levels are means, whose tails are a little lighter yet than an exponential."""
CENSORED = 0.95
"""Quantile of the excesses beyond which only their number counts: a few anomalies change nothing."""


class Excursions(Tail):
    """Of the squares of the largest deviations, whose tail is nearer to an exponential than that of the deviations.

    Blocks in succession above the threshold are one excursion, its largest. The scale is the maximum-likelihood
    estimate of an exponential that is censored at a high quantile.

    Args:
        step: seconds between rows.
        prior: mean excess of a square, before there are data.
    """

    def __init__(self, step: float, prior: float) -> None:
        super().__init__(step * BLOCK, scale=prior, quantile=THRESHOLD, kept=KEPT, fading=FADING)

        self._largest, self._rows = 0.0, 0

    def teach(self, deviations: Float) -> bool:
        """The largest deviations (n,) of healthy rows. Returns whether the tail was fitted anew."""
        fitted, at = False, 0
        while at < len(deviations):
            n = min(len(deviations) - at, BLOCK - self._rows)
            self._largest = max(self._largest, float(deviations[at : at + n].max()))
            self._rows += n
            at += n
            if self._rows == BLOCK:
                fitted |= self.add(self._largest**2)
                self._largest, self._rows = 0.0, 0
        return fitted

    def state(self) -> dict[str, NDArray[np.generic]]:
        return super().state() | {"block": np.array([self._largest, float(self._rows)])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        super().restore(state)
        self._largest, rows = (float(v) for v in state["block"])
        self._rows = int(rows)

    def _excess(self, recent: Float) -> Float:
        if self._seen > KEPT:
            recent = np.roll(recent, -(self._seen % KEPT))
        above = recent > self._threshold
        starts = np.flatnonzero(above & ~np.r_[False, above[:-1]])
        excess = np.where(above, recent - self._threshold, 0.0)
        return np.asarray(np.maximum.reduceat(excess, starts)) if len(starts) else excess[:0]

    def _estimate(self, excess: Float) -> tuple[float, float]:
        """
        >>> scale, _ = Excursions(1.0, 3.0)._estimate(np.random.default_rng(1).exponential(2.0, 4000))
        >>> round(scale, 1)
        2.0
        """
        limit = float(np.quantile(excess, CENSORED))
        return max(float(np.minimum(excess, limit).sum()) / int((excess < limit).sum()), 1e-9), LIGHTER
