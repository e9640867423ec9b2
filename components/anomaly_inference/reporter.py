"""From scores to what is told: results, the beginning and the end of conditions, events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anomaly_inference import configuration
from anomaly_inference.detectors import MonitorDetectors, Verdict
from anomaly_inference.results import ModelScore, Result, State
from anomaly_inference.stream_input import Segment
from edgeloop.alarms import Cause, Contribution, Kind
from edgeloop.clock import NS, rfc3339
from edgeloop.detect.protocol import Bool, Float, Words
from edgeloop.wire.batch import Batch

SHOWN = 1 * NS
HOLD = 2 * NS
"""How long the alarm of an event stands, ns."""
SETTLED = 10
"""Rows that must be normal before an alarm of before a restart is over."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A condition of a monitor has begun, or ended. sample: ns UTC of the newest sample that decided."""

    kind: Kind
    active: bool
    text: str
    cause: Cause
    sample: int


@dataclass(frozen=True, slots=True)
class RowScores:
    """What a monitor says of the rows [first, first + n) of a batch; return times in log10 s, all (n,).

    Where the rows are scored as blocks, that of the last whole block holds. abnormal: a condition holds; notice: it has
    lasted, and is offered as a new normal.
    models: return times by name.
    """

    first: int
    state: State
    condition: Float
    abnormal: Bool
    changepoint: Bool
    event: Float
    alert: Bool
    notice: Bool
    models: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def none(cls, first: int, state: State, n: int) -> RowScores:
        no = np.zeros(n, dtype=np.bool_)
        return cls(first, state, np.zeros(n), no, no, np.zeros(n), no, no)


Tap = Callable[[str, Batch, RowScores], None]
"""Told (monitor, batch, scores) of all that is scored."""


class Reporter:
    """judged: whether anything was scored live; abnormal: whether its condition holds; hold: rows until an alarm from
    before a restart can be over."""

    def __init__(self, name: str, config: configuration.Monitor, tap: Tap | None) -> None:
        self._name, self._config, self._tap = name, config, tap
        self.result: Result | None = None
        self.words: Words = ("unusual", ())
        self.until = self.point = self.hold = self.live_rows = 0
        self.idle = self.judged = self.abnormal = False
        self.notice: str | None = None
        self.held = ""
        self.onset: Words = ("unusual", ())
        self.alike: Words = ("unusual", ())
        self.insisted = False
        self.began = self._shown = 0
        self._fresh = False
        self._last = 0.0, False

    def anew(self) -> None:
        """The stream has become another one."""
        self.words, self.live_rows = ("unusual", ()), 0
        self.idle = self.judged = self.abnormal = False

    def relearn(self) -> None:
        self.live_rows, self.abnormal, self.insisted, self.notice, self.held = 0, False, False, None, ""

    def drain(self) -> Result | None:
        """The newest result with the worst score since the last call; None where nothing was scored."""
        fresh, self._fresh = self._fresh, False
        return self.result if fresh else None

    def tick(self, now: int) -> None:
        if self.until and now >= self.until:
            self.until = self.point = 0

    def pending(self, batch: Batch, segment: Segment) -> None:
        """Rows that belong to a block that is not whole yet: the last one's word holds."""
        if self._tap is not None:
            n, (return_time, abnormal) = segment.count, self._last
            none, same = np.zeros(n, dtype=bool), np.full(n, abnormal)
            times = np.full(n, return_time)
            notice = np.full(n, self.notice is not None)
            self._tap(self._name, batch, RowScores(segment.first, "live", times, same, none, np.zeros(n), none, notice))

    def passed(self, detectors: MonitorDetectors, batch: Batch, segment: Segment) -> None:
        """Rows that are not scored."""
        assert segment.operating is not None
        state = segment.operating.state
        self.idle = state == "idle"
        if self.idle:
            self.abnormal = False
        self._say(detectors, batch, RowScores.none(segment.first, state, segment.count), None, 0, {})

    def scored(
        self, detectors: MonitorDetectors, batch: Batch, segment: Segment, first: int, verdict: Verdict, now: int
    ) -> list[Signal]:
        """first: row of the segment that the verdict begins with."""
        n = len(verdict.condition)
        learned = int(np.count_nonzero(verdict.learning))
        shadow = min(n - learned, max(0, int(self._config.shadow / NS / detectors.step) - self.live_rows))
        self.live_rows += n - learned
        if detectors.held.fresh >= 0:
            self.alike, detectors.held.fresh = detectors.words(verdict, detectors.held.fresh), -1
        signals: list[Signal] = []
        spans: tuple[tuple[int, int, State], ...] = (
            (0, learned, "learning"),
            (learned, learned + shadow, "shadow"),
            (learned + shadow, n, "live"),
        )
        for a, b, state in spans:
            if a == b:
                continue
            live = state == "live"
            part = RowScores(
                segment.first + first + a, state,
                verdict.condition[a:b], (verdict.abnormal[a:b] | verdict.models[a:b]) & live,
                verdict.changepoint[a:b] & live, verdict.event[a:b], verdict.alert[a:b] & (state != "shadow"),
                np.zeros(b - a, dtype=np.bool_), verdict.returns,
            )  # fmt: skip
            if live:
                signals += self._live(detectors, batch, part, verdict, a, now)
            elif state == "learning":
                for i in np.flatnonzero(part.alert).tolist():
                    signals += self._point(detectors, batch, part, verdict, a, i, now)
            self._say(detectors, batch, part, verdict, a, segment.shown or {})
        return signals

    def _live(
        self, detectors: MonitorDetectors, batch: Batch, scores: RowScores, verdict: Verdict, at: int, now: int
    ) -> list[Signal]:
        """Changes of the condition, and events while it is normal. at: of the first of these in the update."""
        signals: list[Signal] = []
        self.judged, self.idle = True, False
        if not (self.abnormal or scores.abnormal.any() or scores.alert.any() or self._telling(detectors, verdict)):
            self.hold = max(0, self.hold - len(scores.abnormal))
            return signals
        changes = np.flatnonzero(np.diff(scores.abnormal, prepend=self.abnormal)).tolist()
        points = np.flatnonzero(scores.alert & ~scores.abnormal).tolist()
        for i, point in sorted([(i, False) for i in changes] + [(i, True) for i in points]):
            if point:
                signals += self._point(detectors, batch, scores, verdict, at, i, now)
            else:
                signals += self._change(detectors, batch, scores, verdict, at, i)
        if self.notice or self.insisted or verdict.settled.any():
            signals += self._notices(detectors, batch, scores, verdict, at)
        if detectors.held.news or detectors.held.over:
            signals += self._held_back(detectors, batch, scores, at)
        self.abnormal = bool(scores.abnormal[-1])
        calm = np.flatnonzero(scores.abnormal[::-1])
        rows = int(calm[0]) if len(calm) else len(scores.abnormal)
        self.hold = 0 if self.abnormal else max(0, self.hold - rows)
        return signals

    def _telling(self, detectors: MonitorDetectors, verdict: Verdict) -> bool:
        """Whether there may be anything to say while nothing is abnormal."""
        held = detectors.held
        return bool(self.notice or self.insisted or held.news or held.over or verdict.settled.any())

    def _change(
        self, detectors: MonitorDetectors, batch: Batch, scores: RowScores, verdict: Verdict, at: int, i: int
    ) -> list[Signal]:
        """The condition begins or ends at row i of the scores."""
        row, active, return_time = scores.first + i, bool(scores.abnormal[i]), float(scores.condition[i])
        loud = detectors.models.abnormal is not None and return_time < detectors.budget
        if detectors.streaming and not loud:
            self.words = detectors.words(verdict, at + i)
        elif detectors.models.abnormal is not None:
            self.words = detectors.words(verdict, at + i, "model")
        if active:
            detectors.ledger.spend(at + i, detectors.cost(return_time))
            self.began, self.onset = batch.time_of(row), self.words
        elif self.insisted:
            return []
        return [self._signal(detectors, batch, row, "process", active, return_time, self.words)]

    def _point(
        self, detectors: MonitorDetectors, batch: Batch, scores: RowScores, verdict: Verdict, at: int, i: int, now: int
    ) -> list[Signal]:
        """An event at row i of the scores; one that is over by its time ends first."""
        row, return_time = scores.first + i, float(scores.event[i])
        detectors.ledger.spend(at + i, point=True)
        words = detectors.words(verdict, at + i, "event")
        signals = [self._signal(detectors, batch, row, "event", True, return_time, words)]
        if self.point and batch.time_of(row) - self.point >= HOLD:
            signals.insert(0, self._signal(detectors, batch, row, "event", False, return_time, words))
        self.point, self.until = batch.time_of(row), now + HOLD
        return signals

    def _notices(
        self, detectors: MonitorDetectors, batch: Batch, scores: RowScores, verdict: Verdict, at: int
    ) -> list[Signal]:
        """A state that has lasted is offered as a new normal, until a former normal is back or somebody answers."""
        signals, n = [], len(scores.notice)
        settled, returned = verdict.settled[at : at + n], verdict.returned[at : at + n]
        for i in np.flatnonzero(settled | returned).tolist():
            if self.held:
                signals.append(self._signal(detectors, batch, scores.first + i, "notice", False, 0.0, (self.held, ())))
                self.held = ""
            scores.notice[i:] = settled[i]
            since = rfc3339(self.began or batch.time_of(scores.first + i))[:16].replace("T", " ")
            text = f"since {since} steady at a new level: {self.onset[0]}; was this intended?"
            words = (text, self.onset[1]) if settled[i] else ("back to what was normal before", ())
            if settled[i] or self.notice:
                signals.append(self._signal(detectors, batch, scores.first + i, "notice", bool(settled[i]), 0.0, words))
            self.notice = text if settled[i] else None
            self.insisted = False
        if not (settled | returned).any():
            scores.notice[:] = self.notice is not None
        return signals

    def _held_back(self, detectors: MonitorDetectors, batch: Batch, scores: RowScores, at: int) -> list[Signal]:
        """What the budget has held back is told as one, again when it has become many times as many."""
        held, signals = detectors.held, []
        row = scores.first + max(0, held.place - at)
        if self.notice is not None:
            return []
        if self.held:
            signals.append(self._signal(detectors, batch, row, "notice", False, 0.0, (self.held, ())))
        if held.over:
            self.held = ""
            held.forget()
        else:
            self.held = held.text(self.alike[0])
            signals.append(self._signal(detectors, batch, row, "notice", True, 0.0, (self.held, self.alike[1])))
        return signals

    def answered(self, *, insist: bool) -> None:
        """An operator has said what a new normal is; insist: no normal, the alarm stands until the former is back."""
        self.notice, self.insisted = None, insist

    @staticmethod
    def _signal(
        detectors: MonitorDetectors, batch: Batch, at: int, kind: Kind, active: bool, return_time: float, words: Words
    ) -> Signal:
        cause = Cause(
            stream=batch.stream, epoch=batch.epoch, index=batch.index + at, score=detectors.display(return_time),
            return_time=round(return_time, 2), attribution=words[1],
        )  # fmt: skip
        return Signal(kind, active, words[0], cause, batch.time_of(at))

    def _say(
        self,
        detectors: MonitorDetectors,
        batch: Batch,
        scores: RowScores,
        verdict: Verdict | None,
        at: int,
        shown: Mapping[str, float],
    ) -> None:
        """The result, the worst since it was taken. at: of the first of these in the last update."""
        if self._tap is not None:
            self._tap(self._name, batch, scores)
            self._last = float(scores.condition[-1]), bool(scores.abnormal[-1])
        last = scores.first + len(scores.condition) - 1
        time = batch.time_of(last)
        worst = int(np.argmax(scores.condition))
        return_time, event = float(scores.condition[worst]), float(scores.event.max())
        indicators: dict[str, float] = {}
        if abs(time - self._shown) >= SHOWN:
            self._shown, indicators = time, {k: v for k, v in shown.items() if math.isfinite(v)}
        before = self.result if self._fresh else None
        attribution: Sequence[Contribution] = ()
        models = {
            m.name: ModelScore(
                return_time=round(scores.models[m.name], 2),
                version=m.scorer.version,
                drift=round(m.drift.worst[1], 3) if m.drift else 0.0,
            )
            for m in detectors.models.all
            if m.scorer is not None and m.name in scores.models
        }
        if before is not None:
            indicators = indicators or before.indicators
            event = max(event, before.event) if before.state == scores.state else event
        judged = scores.state in ("live", "shadow")
        if before is not None and before.state == scores.state and before.return_time > return_time:
            return_time, attribution = before.return_time, before.attribution
        elif verdict is not None and detectors.streaming and judged:
            attribution = detectors.words(verdict, at + worst)[1]
        self._fresh = True
        self.result = Result(
            monitor=self._name, stream=batch.stream, epoch=batch.epoch, index=batch.index + last, time=time,
            state=scores.state, score=detectors.display(return_time) if judged else 0.0,
            return_time=return_time, event=event, models=models, attribution=attribution, indicators=indicators,
            learned=detectors.learned, missing=detectors.missing,
        )  # fmt: skip

    def state(self) -> dict[str, object]:
        """In numbers that JSON has."""
        return {
            "until": self.until, "point": self.point, "shown": self._shown, "hold": self.hold,
            "abnormal": self.abnormal, "told": self._last, "live_rows": self.live_rows, "idle": self.idle,
            "judged": self.judged, "notice": self.notice, "began": self.began, "insisted": self.insisted,
            "held": self.held,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError where it is of another form."""
        self.until, self._shown, self.hold, self.live_rows = (
            int(state[k]) for k in ("until", "shown", "hold", "live_rows")
        )
        self.abnormal, self.idle, self.judged = (bool(state[k]) for k in ("abnormal", "idle", "judged"))
        self.insisted, self.point = bool(state.get("insisted")), int(state.get("point", 0))
        self.notice, self.began = state.get("notice"), int(state.get("began", 0))
        self.held = str(state.get("held", ""))
        return_time, abnormal = state["told"]
        self._last = float(return_time), bool(abnormal)
