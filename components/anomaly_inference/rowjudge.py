"""Conditions of rows of values, by the detector of conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from anomaly_inference.judge import Float, Judgement, State, Words
from edgeloop.alarms import Contribution
from edgeloop.detect.conditions import ConditionDetector, ConditionScores

SHOWN = 3


class RowJudge:
    """Rows of values, by the detector of conditions."""

    def __init__(self, detector: ConditionDetector, channels: Sequence[str]) -> None:
        self._detector, self._channels = detector, tuple(channels)
        self._scores: ConditionScores | None = None

    @property
    def learned(self) -> float:
        return self._detector.learned

    def update(self, rows: Float, context: str) -> Judgement:
        self._scores = scores = self._detector.update(rows, context=context)
        return Judgement(scores.return_time, scores.abnormal, scores.changepoint, scores.learning)

    def words(self, at: int) -> Words:
        if self._scores is None:
            return "unusual", ()
        z = self._scores.z[at]
        order = [int(i) for i in np.argsort(-np.abs(z), kind="stable")[:SHOWN] if math.isfinite(z[i])]
        if not order:
            return "unusual", ()
        first = order[0]
        direction = "higher" if z[first] > 0 else "lower"
        parts = [
            Contribution(channel=self._channels[i], band="value", ratio=1.0, z=round(float(z[i]), 1)) for i in order
        ]
        return f"{self._channels[first]} {direction} ({abs(z[first]):.0f} spreads)", tuple(parts)

    def interrupt(self) -> None:
        self._detector.interrupt()

    def relearn(self) -> None:
        self._detector.relearn()

    def calm(self) -> None:
        """Rows that are normal again end it."""

    def state(self) -> State:
        return dict(self._detector.state())

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        return self._detector.restore(dict(state))
