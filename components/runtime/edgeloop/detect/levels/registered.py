"""Rows of values or of block features, by the detector of many features and a trigger."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.features import Feature
from edgeloop.detect.learning import adapting_rows, learning_rows
from edgeloop.detect.levels.detector import Cause, Detector, Score, Settings
from edgeloop.detect.levels.words import describe
from edgeloop.detect.protocol import Context, DetectorType, Rows, Scores, Setup, State, Words
from edgeloop.detect.trigger import Trigger

SETTLED = 10
"""Rows that must be normal before an alarm is over, however slow they come; of blocks two."""
SHOWN = 3


def contributions(causes: tuple[Cause, ...], most: int = SHOWN) -> tuple[Contribution, ...]:
    return tuple(
        Contribution(channel=c.feature.channel, band=c.feature.name, ratio=round(c.ratio, 2), z=round(c.z, 1))
        for c in causes[:most]
    )


def trigger(setup: Setup) -> Trigger:
    """Of rows, or of the scores of blocks."""
    confirm, recover = setup.confirm / setup.step, setup.recover / setup.step
    return Trigger(setup.budget, max(2, math.ceil(confirm)), max(2 if setup.features else SETTLED, math.ceil(recover)))


class Levels:
    """
    >>> setup = Setup("m", ("a",), ("a",), step=0.1, rate=10.0, budget=4.0, learn=20.0)
    >>> detector, rng = Levels(setup), np.random.default_rng(1)
    >>> def rows(values): return Rows(np.arange(len(values)), values, values)
    >>> bool(detector.update(rows(rng.normal(5, 1, (400, 1))), Context()).alert.any())
    False
    >>> bool(detector.update(rows(rng.normal(15, 1, (20, 1))), Context()).alert[-1]), detector.words(19)[0][:11]
    (True, 'a higher by')
    """

    def __init__(self, setup: Setup) -> None:
        blocks = bool(setup.features)
        values = setup.columns[len(setup.channels) :] if blocks else setup.columns
        features = setup.features + tuple(Feature(c, "value", "value", False, 0.0) for c in values)
        scales = (5,) if blocks else (1, min(50, max(5, round(1 / setup.step))))
        learn = learning_rows(setup.learn, setup.step, (4 if blocks else 10) * max(scales))
        memory = max(learn // 3, round(setup.memory / setup.step))
        settings = Settings(
            step=setup.step,
            learn=learn,
            scales=scales,
            budget=setup.budget,
            median=blocks,
            memory=memory,
            quarantine=max(1, 3 * memory // 4),
            transfer=max(5, min(learn, round(3 / setup.step))),
        )
        self._detector, self._trigger = Detector(features, settings), trigger(setup)
        self._scores: list[Score] = []
        self._adapt, self._lasted = adapting_rows(setup.adapt, setup.step), 0

    @property
    def learned(self) -> float:
        return self._detector.learned

    def update(self, rows: Rows, context: Context) -> Scores:
        found = Scores.none(len(rows))
        self._scores = []
        for i, row in enumerate(rows.values):
            before = self._trigger.active
            score = self._detector.update(row, context=context.name, teach=not before)
            self._scores.append(score)
            if score.state == "learning":
                self._trigger.reset()
                found.learning[i] = True
                continue
            found.return_time[i] = score.return_time
            found.alert[i] = self._trigger.update(score.return_time)
            found.changepoint[i] = found.alert[i] != before
            self._lasted = self._lasted + 1 if found.alert[i] else 0
            if self._adapt and self._lasted >= self._adapt:
                self._detector.settle(context.name)
                self._trigger.reset()
                self._lasted = 0
                found.settled[i] = True
        return found

    def accept(self) -> None:
        """There is one normal only."""

    def words(self, at: int) -> Words:
        causes = self._scores[at].causes
        return describe(causes), contributions(causes)

    def interrupt(self) -> None:
        self._detector.interrupt()

    def calm(self) -> None:
        self._trigger.reset()

    def relearn(self) -> None:
        self._detector.relearn()
        self._trigger.reset()

    def state(self) -> State:
        own: State = {"trigger": np.array([self._trigger.active, self._trigger.count, self._lasted], dtype=np.int64)}
        return own | {f"detector.{k}": v for k, v in self._detector.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        detector = {k.removeprefix("detector."): v for k, v in state.items() if k.startswith("detector.")}
        if "trigger" not in state or not self._detector.restore(detector):
            return False
        active, self._trigger.count, *lasted = (int(n) for n in state["trigger"])
        self._trigger.active, self._lasted = bool(active), sum(lasted)
        return True


LEVELS = DetectorType(
    "levels", "condition", Levels, schema=1,
    cost="80 µs a row, or a block, and little more for a hundred features (one core of 2.5 GHz)",
    source="own; tail after J. Pickands, Annals of Statistics 3 (1975)",
)  # fmt: skip
