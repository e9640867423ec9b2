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
from edgeloop.detect.protocol import Context, DetectorType, Float, Rows, Scores, Setup, State, Words
from edgeloop.detect.trigger import Trigger

SETTLED = 10
"""Rows that must be normal before an alarm is over, however slow they come; of blocks two."""
SHOWN = 3
AUDIBLE, REACH = 0.05, 4.0
"""RMS of a channel below which its level is not believed to move; up to which a vibration reaches."""


def contributions(causes: tuple[Cause, ...], most: int = SHOWN) -> tuple[Contribution, ...]:
    return tuple(
        Contribution(channel=c.feature.channel, band=c.feature.name, ratio=round(c.ratio, 2), z=round(c.z, 1))
        for c in causes[:most]
    )


def trigger(setup: Setup) -> Trigger:
    """Of rows, or of the scores of blocks."""
    confirm, recover = setup.confirm / setup.step, setup.recover / setup.step
    return Trigger(setup.budget, max(2, math.ceil(confirm)), max(2 if setup.features else SETTLED, math.ceil(recover)))


class Part:
    """Some of a row's columns, by a detector and a trigger of their own. shares: parts that share the budget."""

    def __init__(self, features: tuple[Feature, ...], scales: tuple[int, ...], setup: Setup, shares: int) -> None:
        blocks, self._share = bool(setup.features), math.log10(shares)
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
        self.detector, self.trigger = Detector(features, settings), trigger(setup)
        self.scores: list[Score] = []
        self._adapt, self._lasted = adapting_rows(setup.adapt, setup.step), 0

    def update(self, values: Float, context: Context) -> Scores:
        found = Scores.none(len(values))
        self.scores = []
        asked = None if context.demand is None else context.demand + self._share
        if asked is not None and context.base is not None and self.detector.learned >= 1:
            asked = self.detector.tail.asked(asked, context.base + self._share)
        for i, row in enumerate(values):
            before = self.trigger.active
            score = self.detector.update(row, context=context.name, teach=not before)
            self.scores.append(score)
            if score.state == "learning":
                self.trigger.reset()
                found.learning[i] = True
                continue
            found.return_time[i] = score.return_time
            found.alert[i] = self.trigger.update(score.return_time, asked)
            found.changepoint[i] = found.alert[i] != before
            self._lasted = self._lasted + 1 if found.alert[i] else 0
            if self._adapt and self._lasted >= self._adapt:
                self.detector.settle(context.name)
                self.trigger.reset()
                self._lasted = 0
                found.settled[i] = True
        return found

    def state(self) -> State:
        own: State = {"trigger": np.array([self.trigger.active, self.trigger.count, self._lasted], dtype=np.int64)}
        return own | {f"detector.{k}": v for k, v in self.detector.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        detector = {k.removeprefix("detector."): v for k, v in state.items() if k.startswith("detector.")}
        if "trigger" not in state or not self.detector.restore(detector):
            return False
        active, self.trigger.count, *lasted = (int(n) for n in state["trigger"])
        self.trigger.active, self._lasted = bool(active), sum(lasted)
        return True


class Levels:
    """Of blocks, the levels of the channels are a part of their own: of process values they say all, and of vibration,
    whose level is nothing, they say nothing until they move by a share of it.

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
        levels = tuple(f for f in setup.features if f.kind == "level")
        others = tuple(f for f in setup.features if f.kind != "level")
        features = others + tuple(Feature(c, "value", "value", False, 0.0) for c in values)
        scales = (5,) if blocks else (1, min(50, max(5, round(1 / setup.step))))
        shares = 2 if levels else 1
        self._parts = {"": Part(features, scales, setup, shares)}
        if levels:
            self._parts["level."] = Part(levels, (1, 5), setup, shares)
        self._rms = [i for i, f in enumerate(others) if f.name == "RMS"]
        self._loud, self._heard = np.zeros(len(self._rms)), 0
        first, end = len(others), len(others) + len(levels)
        self._columns = {"": np.r_[0:first, end : end + len(values)], "level.": np.arange(first, end)}
        self._found: dict[str, Scores] = {}

    @property
    def learned(self) -> float:
        return self._parts[""].detector.learned

    def update(self, rows: Rows, context: Context) -> Scores:
        if len(self._parts) > 1:
            self._hear(rows.values)
        self._found = {
            name: part.update(
                self._values(name, rows.values, context) if len(self._parts) > 1 else rows.values, context
            )
            for name, part in self._parts.items()
        }
        found = list(self._found.values())
        if len(found) == 1:
            return found[0]
        one, two = found
        settled = (one.settled & ~two.alert) | (two.settled & ~one.alert)
        return Scores(
            np.maximum(one.return_time, two.return_time), one.alert | two.alert, one.changepoint | two.changepoint,
            one.learning, one.channel, settled, one.returned,
        )  # fmt: skip

    def _values(self, name: str, values: Float, context: Context) -> Float:
        """A part's columns. A vibration that stands still within its reach is no level: a sensor sticks."""
        if len(self._parts) == 1:
            return values
        own = values[:, self._columns[name]]
        centre = self._parts[name].detector.centre(context.name) if name else None
        if centre is None:
            return own
        still = np.isnan(values[:, self._rms])
        n = still.shape[1]
        still &= np.abs(own[:, :n] - centre[:n]) < REACH * self._loud
        return np.where(np.hstack([still, still]), np.nan, own)

    def _hear(self, values: Float) -> None:
        """While levels are learned: how much their channels vibrate, of which a part is no level."""
        levels = self._parts["level."].detector
        if levels.learned >= 1:
            return
        for row in np.exp(np.nan_to_num(values[:, self._rms], nan=-30.0)):
            self._heard += 1
            self._loud += (row - self._loud) / self._heard
        levels.least = np.tile(AUDIBLE * self._loud, 2)

    def accept(self) -> None:
        """There is one normal only."""

    def words(self, at: int) -> Words:
        loudest = max(self._found, key=lambda n: (self._found[n].alert[at], self._found[n].return_time[at]))
        causes = self._parts[loudest].scores[at].causes
        return describe(causes), contributions(causes)

    def interrupt(self) -> None:
        for part in self._parts.values():
            part.detector.interrupt()

    def calm(self) -> None:
        for part in self._parts.values():
            part.trigger.reset()

    def relearn(self) -> None:
        for part in self._parts.values():
            part.detector.relearn()
            part.trigger.reset()
        self._loud[:], self._heard = 0.0, 0

    def state(self) -> State:
        own: State = {"loud": np.append(self._loud, self._heard)}
        return own | {name + k: v for name, part in self._parts.items() for k, v in part.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """Release 0.1.0 had no levels of blocks: they are learned beside what is known."""
        whole = {k: v for k, v in state.items() if not k.startswith("level.") and k != "loud"}
        if not self._parts[""].restore(whole):
            return False
        levels = {k.removeprefix("level."): v for k, v in state.items() if k.startswith("level.")}
        if "level." in self._parts and levels and not self._parts["level."].restore(levels):
            return False
        if "loud" in state:
            self._loud, self._heard = np.array(state["loud"][:-1], dtype=np.float64), int(state["loud"][-1])
        return True


LEVELS = DetectorType(
    "levels", "condition", Levels, schema=1,
    cost="80 µs a row, or a block, and little more for a hundred features (one core of 2.5 GHz)",
    source="own; tail after J. Pickands, Annals of Statistics 3 (1975)",
)  # fmt: skip
