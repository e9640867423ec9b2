"""Conditions: whether a machine's state is normal, from rows of values or features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anomaly_inference.documents import contributions
from anomaly_inference.trigger import Trigger
from edgeloop.alarms import Contribution
from edgeloop.detect import Detector, Score
from edgeloop.detect.words import describe

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
State = dict[str, NDArray[np.generic]]
Words = tuple[str, tuple[Contribution, ...]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of n rows: return times (log10 s), whether abnormal, whether it changed there, whether still learning."""

    return_time: Float
    abnormal: Bool
    changepoint: Bool
    learning: Bool


class Judge(Protocol):
    @property
    def learned(self) -> float:
        """Share of the learning window that is there, 0 to 1."""

    def update(self, rows: Float, context: str) -> Judgement: ...

    def words(self, at: int) -> Words:
        """Of a row of the last update: what is unusual about it."""

    def interrupt(self) -> None: ...

    def relearn(self) -> None: ...

    def calm(self) -> None:
        """What was abnormal is over, whatever the rows say: the machine stands."""

    def state(self) -> State: ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool: ...


class FeatureJudge:
    """Rows of block features, by the detector of many features and a trigger."""

    def __init__(self, detector: Detector, trigger: Trigger) -> None:
        self._detector, self._trigger = detector, trigger
        self._scores: list[Score] = []

    @property
    def learned(self) -> float:
        return self._detector.learned

    def update(self, rows: Float, context: str) -> Judgement:
        n = len(rows)
        return_time, abnormal = np.zeros(n), np.zeros(n, dtype=bool)
        changepoint, learning = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        self._scores = []
        for i, row in enumerate(rows):
            before = self._trigger.active
            score = self._detector.update(row, context=context, teach=not before)
            self._scores.append(score)
            if score.state == "learning":
                self._trigger.reset()
                learning[i] = True
                continue
            return_time[i] = score.return_time
            abnormal[i] = self._trigger.update(score.return_time)
            changepoint[i] = abnormal[i] != before
        return Judgement(return_time, abnormal, changepoint, learning)

    def words(self, at: int) -> Words:
        causes = self._scores[at].causes
        return describe(causes), tuple(contributions(causes))

    def interrupt(self) -> None:
        self._detector.interrupt()

    def relearn(self) -> None:
        self._detector.relearn()
        self._trigger.reset()

    def calm(self) -> None:
        """See Judge."""
        self._trigger.reset()

    def state(self) -> State:
        own: State = {"trigger": np.array([self._trigger.active, self._trigger.count], dtype=np.int64)}
        return own | {f"detector.{k}": v for k, v in self._detector.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        detector = {k.removeprefix("detector."): v for k, v in state.items() if k.startswith("detector.")}
        if "trigger" not in state or not self._detector.restore(detector):
            return False
        self._trigger.active, self._trigger.count = bool(state["trigger"][0]), int(state["trigger"][1])
        return True
