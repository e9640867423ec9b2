"""How much rows say: as many as are independent of each other.

Integrated autocorrelation time by the initial positive sequence of C. J. Geyer, "Practical Markov chain Monte Carlo",
Statistical Science 7 (1992).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

MOST = 4096
"""Rows that are looked at; of more, as many means."""
SLOWEST = 0.8
"""Share of the channels that have to have said enough."""


def effective(rows: Float) -> float:
    """Independent rows among these (n, channels), NaN where missing, as most channels say.

    >>> rng = np.random.default_rng(1)
    >>> round(effective(rng.normal(size=(1000, 2))), -2)
    1000.0
    >>> bool(effective(np.repeat(rng.normal(size=(100, 2)), 10, axis=0)) < 200)
    True
    """
    n = len(rows)
    if n < 8:
        return float(n)
    joined = -(-n // MOST)
    rows = rows[: n // joined * joined].reshape(-1, joined, rows.shape[1])
    known = np.isfinite(rows)
    values = np.where(known, rows, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    away = values - values.mean(axis=0)
    deviation = away.std(axis=0)
    away = away[:, deviation > 1e-9 * (1.0 + np.abs(values).max(axis=0))]
    if not away.shape[1]:
        return float(n)
    size = 1 << (2 * len(away) - 1).bit_length()
    spectrum = np.fft.rfft(away, size, axis=0)
    covariance = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=0)[: len(away) // 2]
    pairs = covariance[: len(covariance) // 2 * 2].reshape(-1, 2, covariance.shape[1]).sum(axis=1) / covariance[0]
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    times = np.maximum(2.0 * np.where(positive, pairs, 0.0).sum(axis=0) - 1.0, 1.0)
    return float(len(away) / np.quantile(times, SLOWEST))
