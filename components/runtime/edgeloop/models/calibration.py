"""From a model's scores to return times, by healthy data that it was not trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.tail import LONGEST, Tail
from edgeloop.models.manifest import Calibration

SCALE = 0.45
"""Mean excess over the 90th percentile that is expected at first, in standard deviations: a little more than normal."""
USUAL = 16
POINTS = 40


def calibrate(scores: NDArray[np.floating], step: float) -> Calibration:
    """scores: (n,), positive, of healthy windows, by time; step: s between them. Scores become return times by the
    tail that the streaming detectors use (generalised Pareto), below its threshold by their quantiles.

    >>> found = calibrate(np.random.default_rng(1).exponential(1.0, 3000), step=1.0)
    >>> round(float(np.interp(7.0, found.scores, found.return_times)), 1)  # e**7 s
    3.0
    """
    known = scores.astype(np.float64)
    tail = Tail(step, scale=SCALE * max(float(known.std()), 1e-6), kept=len(known))
    tail.fit(known)
    usual = np.quantile(known, np.linspace(0, 0.9, USUAL))
    least = tail.return_time(float(usual[-1]))
    shares = np.linspace(0, 0.9, USUAL)
    points = list(zip(usual, np.log10(step / (1 - shares)), strict=True))
    points += [(tail.level(t), t) for t in np.linspace(least, LONGEST, POINTS)[1:]]
    chosen: list[tuple[float, float]] = []
    for score, time in points:
        score, time = round(float(score), 5), round(float(time), 4)
        if not chosen or (score > chosen[-1][0] and time >= chosen[-1][1]):
            chosen.append((score, time))
    return Calibration(scores=tuple(s for s, _ in chosen), return_times=tuple(t for _, t in chosen))


def return_times(scores: NDArray[np.floating], calibration: Calibration) -> NDArray[np.float64]:
    """log10 s, of any shape."""
    times: NDArray[np.float64] = np.interp(scores, calibration.scores, calibration.return_times)
    return times


def level(return_time: float, calibration: Calibration) -> float:
    """The score of a return time (log10 s)."""
    return float(np.interp(return_time, calibration.return_times, calibration.scores))
