"""Rows of values, by the detector of states that last."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.learning import adapting_rows, learning_rows
from edgeloop.detect.protocol import Context, DetectorType, Rows, Scores, Setup, State, Words
from edgeloop.detect.states.carried import Carried
from edgeloop.detect.states.detector import ConditionDetector
from edgeloop.detect.states.settings import ConditionScores, ConditionSettings

SHOWN = 3
FEWEST_ROWS = 60


class States:
    """See ConditionDetector, which has an example."""

    def __init__(self, setup: Setup) -> None:
        learn = learning_rows(setup.learn, setup.step, FEWEST_ROWS)
        settings = ConditionSettings(
            step=setup.step, learn=learn, budget=setup.budget, adapt=adapting_rows(setup.adapt, setup.step)
        )
        self._detector, self._columns = ConditionDetector(len(setup.columns), settings), setup.columns
        self._scores: ConditionScores | None = None
        self._carried = Carried(len(setup.columns))

    @property
    def learned(self) -> float:
        return self._detector.learned

    def update(self, rows: Rows, context: Context) -> Scores:
        self._scores = s = self._detector.update(
            self._carried.fill(rows.values), context=context.name, demand=context.demand, base=context.base
        )
        channel = np.zeros(len(rows), dtype=np.intp)
        return Scores(s.return_time, s.abnormal, s.changepoint, s.learning, channel, s.settled, s.returned)

    def words(self, at: int) -> Words:
        if self._scores is None:
            return "unusual", ()
        z = self._scores.z[at]
        order = [
            int(i)
            for i in np.argsort(-np.abs(z) / self._detector.statistic.typical[:-1], kind="stable")[:SHOWN]
            if math.isfinite(z[i])
        ]
        if not order:
            return "unusual", ()
        first = order[0]
        direction = "higher" if z[first] > 0 else "lower"
        parts = [
            Contribution(channel=self._columns[i], band="value", ratio=1.0, z=round(float(z[i]), 1)) for i in order
        ]
        return f"{self._columns[first]} {direction} ({abs(z[first]):.0f} spreads)", tuple(parts)

    def interrupt(self) -> None:
        self._detector.interrupt()
        self._carried.forget()

    def calm(self) -> None:
        """Rows that are normal again end it."""

    def relearn(self) -> None:
        self._detector.relearn()

    def accept(self) -> None:
        self._detector.accept()

    def state(self) -> State:
        return dict(self._detector.state()) | self._carried.state()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        if "carried" in state:
            self._carried.restore(state)
        return self._detector.restore(dict(state))


STATES = DetectorType(
    "states", "condition", States, schema=1,
    cost="0.06 µs a value at 1000 channels, 20 µs a row that comes alone (one core of 2.5 GHz)",
    source="own; tail after Siffer et al., KDD 2017",
)  # fmt: skip
