"""Where good ends: from scores of pictures by memories that did not have them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.teach.backbone import Floats
from edgeloop.teach.network import Limits

FOLDS: Final = 5
WIDER: Final = 3.0 / 2.326
"""Spreads from the mean over those of the normal distribution: thirty pictures do not show how heavy a tail is. With 3
spreads at a budget of 1 % the simulated belt gave 1.7 % (measured)."""
UNLIKE: Final = 8.0
"""Spreads from which a picture is not what was taught."""
UNLIKE_LEAST: Final = 0.15
"""The same, at least, as a share of the mean."""
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Held-out scores of good pictures. places: each picture's distances, place by place. bad: of bad pictures."""

    fail: Numbers
    middle: Numbers
    most: Numbers
    places: list[Floats]
    bad: Numbers = field(default_factory=lambda: np.zeros(0))

    def instead(self, fail: Numbers, bad: Numbers) -> Scores:
        return replace(self, fail=fail, bad=bad)


def limits_of(scores: Scores, reject: float) -> Limits:
    """reject: share of good pictures that may be rejected."""
    spreads = WIDER * NormalDist().inv_cdf(1 - min(0.5, max(1e-6, reject)))
    mean, deviation = float(scores.fail.mean()), float(scores.fail.std(ddof=1))
    fail = mean + spreads * max(deviation, 0.01 * abs(mean))
    if len(scores.bad) >= 5:
        fail = _between(scores, fail)
    return Limits(fail=fail, usual=mean, middle=_edge(scores.middle), most=_edge(scores.most))


def _between(scores: Scores, by_good: float) -> float:
    """Where bad pictures are known: where as large a share of the good ones would be rejected as of the bad ones would
    pass, by what both were when they were held out; never so low that more are rejected than is allowed."""
    mean, deviation = float(scores.fail.mean()), WIDER * float(scores.fail.std(ddof=1))
    far, broad = float(scores.bad.mean()), float(scores.bad.std(ddof=1))
    even = (mean * broad + far * deviation) / max(broad + deviation, 1e-12)
    return max(by_good, even)


def _edge(values: Numbers) -> float:
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    return mean + max(UNLIKE * deviation, UNLIKE_LEAST * mean)
