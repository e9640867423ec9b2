"""One monitor: a stream's samples in, scores and conditions out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.documents import ModelScore, Result, State
from anomaly_inference.gate import Gate, Lookup, Passage
from anomaly_inference.joined import Joined
from anomaly_inference.judge import Judgement, Words
from anomaly_inference.models import Provider
from anomaly_inference.notes import Notes
from anomaly_inference.scoring import SETTLED, Scoring
from edgeloop.alarms import Cause, Contribution, Kind
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures
from edgeloop.wire.batch import Batch, Channel

SHOWN = 1 * NS
HOLD = 2 * NS
"""How long the alarm of an event stands, ns."""

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


ANEW = "what was learned is of another form: learning again"
FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What comes of a state that another version wrote."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A condition of a monitor has begun, or ended. sample: ns UTC of the newest sample that decided."""

    kind: Kind
    active: bool
    text: str
    cause: Cause
    sample: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What a monitor says of the rows [first, first + n) of a batch; return times in log10 s, all (n,).

    Where the rows are scored as blocks, that of the last whole block holds. models: return times by name.
    """

    first: int
    state: State
    condition: Float
    abnormal: Bool
    changepoint: Bool
    event: Float
    alert: Bool
    models: Mapping[str, float] = field(default_factory=dict)


Tap = Callable[[str, Batch, Scores], None]
"""Told (monitor, batch, scores) of all that is scored."""


class Monitor:
    """Scores one stream, with further streams joined as of its times."""

    def __init__(
        self, name: str, config: configuration.Monitor, lookup: Lookup, provider: Provider, tap: Tap | None = None
    ) -> None:
        self.name, self.config = name, config
        self.streams = tuple(config.input.split())
        self.gate = Gate(config, lookup)
        self.notes = Notes()
        self._provider, self._tap = provider, tap
        self._joined = {s: Joined() for s in self.streams[1:]}
        self._scoring: Scoring | None = None
        self._known: Mapping[str, NDArray[np.generic]] = {}
        self._rate: Fraction | None = None
        self._described: tuple[Channel, ...] = ()
        self._names: tuple[str, ...] = ()
        self._first: Batch | None = None
        self._shown = self._until = 0
        self._block = 0.0, False
        self.result: Result | None = None
        self._fresh = False
        self._newest = (0, 0, 0)
        self._hold = 0

    def take(self, batch: Batch, now: int) -> list[Signal]:
        """A batch of one of the monitor's streams. now: ns UTC of its arrival."""
        if not len(batch):
            return []
        if batch.stream != self.streams[0]:
            self._joined[batch.stream].add(batch)
            return []
        self._check(batch, now)
        scoring = self._scoring or self._start(batch)
        if scoring is None:
            return []
        late = scoring.sensors.overlap(batch)
        if late:
            self.notes.show("late", f"{late} samples of {batch.stream} came again or late: left out", now)
            if late >= len(batch):
                return []
            batch = _after(batch, late)
        scoring.sensors.arrived(batch, now)
        if scoring.sensors.broken:
            scoring.interrupt()
        raw, values = self._columns(scoring, batch, now)
        last = len(batch) - 1
        self._newest = batch.epoch, batch.index + last, batch.time_of(last)
        if scoring.features is None:
            signals = self._rows(scoring, batch, raw, values, now)
        else:
            signals = self._blocks(scoring, scoring.features, batch, raw, values)
        self.notes.set("models", scoring.models.problem)
        self.notes.set("drift", scoring.models.drift)
        return signals

    def tick(self, now: int, newest: int) -> None:
        """Time passes. newest: ns UTC at which any stream last delivered."""
        self.notes.tick(now)
        if self._scoring is not None:
            self._scoring.sensors.tick(now, newest)
        if self._until and now >= self._until:
            self._until = 0

    def assume(self) -> None:
        """Its process alarm is open from before a restart: only recovery clears it."""
        self._hold = SETTLED

    def levels(self) -> Iterator[tuple[Kind, bool]]:
        """What holds now, of what can be told."""
        scoring = self._scoring
        if scoring is None:
            return
        yield "event", bool(self._until)
        if scoring.models.all:
            yield "drift", bool(scoring.models.drift)
        if scoring.idle:
            yield "process", False
        elif scoring.judged and not self._hold:
            yield "process", scoring.abnormal
        for kind, condition in scoring.sensors.conditions.items():
            if condition.active or scoring.sensors.certain(kind):
                yield kind, condition.active

    @property
    def step(self) -> int:
        """The last step of its stream's time stamps, ns."""
        return self._scoring.sensors.step if self._scoring is not None else 0

    def signal(self, kind: Kind, active: bool) -> Signal:
        """A level in words, with the newest sample as its cause."""
        epoch, index, time = self._newest
        words: Words = ("", ())
        if self._scoring is not None and kind in self._scoring.sensors.conditions:
            words = f"{self.streams[0]} {self._scoring.sensors.conditions[kind].text}", ()
        elif self._scoring is not None and kind == "drift":
            words = self._scoring.models.drift, ()
        elif self._scoring is not None:
            words = self._scoring.words
        cause = Cause(stream=self.streams[0], epoch=epoch, index=index, attribution=words[1])
        return Signal(kind, active, words[0], cause, time)

    def drain(self) -> Result | None:
        """The newest result with the worst score since the last call; None where nothing was scored."""
        fresh, self._fresh = self._fresh, False
        return self.result if fresh else None

    def relearn(self) -> None:
        """Forget what is normal."""
        if self._scoring is not None:
            self._scoring.relearn()

    def skipped(self) -> None:
        """Samples were not read, which is nobody's fault."""
        if self._scoring is not None:
            self._scoring.interrupt()
            self._scoring.sensors.continuity.forget()

    # -- the stream ----------------------------------------------------------------------------------------------------

    def _check(self, batch: Batch, now: int) -> None:
        """A stream that has become another one is learned again; a channel that is gone is missing."""
        scoring = self._scoring
        if batch.channels != self._described:
            self._described, self._names = batch.channels, tuple(c.name for c in batch.channels)
            self._rate = None
        if scoring is None or (batch.rate is not None and batch.rate == self._rate):
            return
        names = self._names
        if batch.rate is not None and not math.isclose(float(1 / batch.rate), scoring.sample_step, rel_tol=1e-6):
            line = f"{batch.stream} has changed from {1 / scoring.sample_step:g} to {float(batch.rate):g} Hz"
        elif names != scoring.known and not self.config.channels and set(names) - set(scoring.known):
            line = f"{batch.stream} has channels {', '.join(names)} now"
        else:
            self._rate = batch.rate
            return
        self.notes.show("changed", f"{line}: learning again", now)
        self._scoring, self._first, self._known, self._rate = None, None, {}, None

    def _start(self, batch: Batch) -> Scoring | None:
        if batch.rate is not None:
            step = float(1 / batch.rate)
        elif self._first is None and len(batch) < 2:
            self._first = batch
            return None
        else:
            times = batch.times if len(batch) > 1 else np.array([self._first.time if self._first else 0, batch.time])
            assert times is not None
            step = max(float(np.median(np.diff(times))) / NS, 1e-3)
        if any(not joined.channels for joined in self._joined.values()):
            return None
        return self._make([c.name for c in batch.channels], step)

    def _make(self, channels: list[str], step: float) -> Scoring:
        joined = [j.channels for j in self._joined.values()]
        scoring = Scoring(self.name, self.config, channels, step, joined, self._provider)
        try:
            if self._known and not scoring.restore(self._known):
                self.notes.set("learned", ANEW)
        except FORM:
            self.notes.set("learned", ANEW)
            scoring = Scoring(self.name, self.config, channels, step, joined, self._provider)
        self._known, self._scoring = {}, scoring
        return scoring

    def _columns(self, scoring: Scoring, batch: Batch, now: int) -> tuple[NDArray[np.generic], NDArray[np.floating]]:
        names = self._names
        if names == scoring.known:
            self.notes.set("channels", "")
            if scoring.whole:
                return batch.samples, batch.values()
            return batch.samples[:, scoring.columns], batch.values()[:, scoring.columns]
        values = batch.values()
        found = np.full((len(batch), len(scoring.channels)), np.nan, dtype=values.dtype)
        lacking = []
        for i, name in enumerate(scoring.channels):
            if name in names:
                found[:, i] = values[:, names.index(name)]
            else:
                lacking.append(name)
        line = f"{batch.stream} has no channel {', '.join(lacking)} any more" if lacking else ""
        self.notes.set("channels", line)
        return found, found

    # -- scoring -------------------------------------------------------------------------------------------------------

    def _rows(
        self,
        scoring: Scoring,
        batch: Batch,
        raw: NDArray[np.generic],
        values: NDArray[np.floating],
        now: int,
    ) -> list[Signal]:
        signals: list[Signal] = []
        times = batch.times
        if times is None:
            times = np.array([batch.time_of(i) for i in range(len(batch))], dtype=np.int64)
        own = np.asarray(values, dtype=np.float64)
        wide = np.hstack([own, *(j.at(times, self.config.tolerance) for j in self._joined.values())])
        for a, b, passage in self.gate.spans(times):
            suspect = scoring.sensors.examine_rows(raw[a:b], own[a:b], passage)
            if passage.state != "live":
                scoring.pause(idle=passage.state == "idle")
                scoring.models.interrupt()
                self._passed(scoring, batch, a, b, passage.state)
                continue
            rows = wide[a:b]
            if suspect.any():
                rows = rows.copy()
                rows[:, : suspect.shape[1]][suspect] = np.nan
            shown = dict(zip(scoring.columns_scored, map(float, rows[-1]), strict=True))
            signals += self._score(scoring, batch, a, rows, own[a:b], passage, shown, now)
        return signals

    def _blocks(
        self,
        scoring: Scoring,
        features: BlockFeatures,
        batch: Batch,
        raw: NDArray[np.generic],
        values: NDArray[np.floating],
    ) -> list[Signal]:
        signals: list[Signal] = []
        at = 0
        while at < len(values):
            n = min(features.length - scoring.filled, len(values) - at)
            with np.errstate(over="ignore"):
                scoring.block[scoring.filled : scoring.filled + n] = values[at : at + n]
            scoring.filled += n
            at += n
            whole = scoring.filled == features.length
            if self._tap is not None:
                self._hold_block(batch, at - n, at - 1 if whole else at)
            if not whole:
                break
            scoring.filled = 0
            last = at - 1
            end = batch.time_of(last)
            passage = self.gate.passage(end - round(scoring.step * NS), end)
            scoring.sensors.examine(scoring.block, scoring.block, passage)
            if passage.state != "live":
                scoring.pause(idle=passage.state == "idle")
                scoring.models.interrupt()
                self._passed(scoring, batch, last, at, passage.state)
                continue
            with np.errstate(invalid="ignore", over="ignore"):
                row, indicators = features(scoring.block)
                constant = np.ptp(scoring.block, axis=0) == 0
            if constant.any():
                row.reshape(len(constant), -1)[constant] = np.nan
            if self._joined:
                joined = [j.at(np.array([end]), self.config.tolerance)[0] for j in self._joined.values()]
                row = np.concatenate([row, *joined])
            shown = {
                f"{k}.{c}": float(v) for k, vs in indicators.items() for c, v in zip(scoring.channels, vs, strict=True)
            }
            signals += self._score(scoring, batch, last, row[None], scoring.block, passage, shown, 0)
        return signals

    def _score(
        self,
        scoring: Scoring,
        batch: Batch,
        first: int,
        rows: Float,
        samples: NDArray[np.floating],
        passage: Passage,
        shown: dict[str, float],
        now: int,
    ) -> list[Signal]:
        """rows: of features or values, from row `first` of the batch on; samples: what models are given."""
        n = len(rows)
        quiet = np.zeros(n, dtype=bool)
        judged = Judgement(np.zeros(n), quiet, quiet, quiet)
        if scoring.judge is not None:
            judged = scoring.judge.update(rows, passage.context)
        event, alert = np.zeros(n), quiet
        channel = np.zeros(n, dtype=np.int64)
        if scoring.events is not None:
            found = scoring.events.update(rows, passage.context)
            event, alert, channel = found.return_time, found.alert, found.channel
        by_model = scoring.models.update(samples, each=scoring.features is None)[-n:]
        learning = judged.learning
        if scoring.judge is None:
            learning = scoring.seen + np.arange(n) < scoring.learn
        scoring.seen = min(scoring.seen + n, scoring.learn)
        learned = int(np.count_nonzero(learning))
        shadow = min(n - learned, max(0, int(self.config.shadow / NS / scoring.step) - scoring.live_rows))
        scoring.live_rows += n - learned
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
            whole = judged.abnormal[a:b] | by_model[a:b]
            part = Scores(
                first + a, state,
                judged.return_time[a:b], whole & live, judged.changepoint[a:b] & live,
                event[a:b], alert[a:b] & live, {m.name: m.return_time for m in scoring.models.all if m.scorer},
            )  # fmt: skip
            if live:
                signals += self._live(scoring, batch, part, a, channel, rows, now)
            self._say(scoring, batch, part, a, shown)
        return signals

    def _live(
        self, scoring: Scoring, batch: Batch, scores: Scores, at: int, channel: NDArray[np.int64], rows: Float, now: int
    ) -> list[Signal]:
        """Changes of the condition, and events while it is normal. at: of the first of these in the update."""
        signals = []
        scoring.judged, scoring.idle = True, False
        before = scoring.abnormal
        changes = np.flatnonzero(np.diff(scores.abnormal, prepend=before))
        for i in changes:
            active = bool(scores.abnormal[i])
            model = scoring.models.abnormal
            if scoring.judge is not None and not (model and scores.condition[i] < scoring.budget):
                scoring.words = scoring.judge.words(at + int(i))
            elif model is not None:
                scoring.words = f"{model.title}: unlike what it has learned", ()
            signals.append(
                self._signal(scoring, batch, scores.first + int(i), "process", active, float(scores.condition[i]))
            )
        scoring.abnormal = bool(scores.abnormal[-1])
        calm = np.flatnonzero(scores.abnormal[::-1])
        self._hold = (
            0 if scoring.abnormal else max(0, self._hold - (int(calm[0]) if len(calm) else len(scores.abnormal)))
        )
        for i in np.flatnonzero(scores.alert & ~scores.abnormal):
            which = int(channel[at + i])
            name, value = scoring.columns_scored[which], float(rows[at + i, which])
            text = f"{name} unusual for a moment: {value:.4g}"
            parts = (Contribution(channel=name, band="value", ratio=1.0, z=0.0),)
            if not self._until:
                signals.append(
                    self._signal(
                        scoring, batch, scores.first + int(i), "event", True, float(scores.event[i]), (text, parts)
                    )
                )
            self._until = now + HOLD
        return signals

    def _signal(
        self,
        scoring: Scoring,
        batch: Batch,
        at: int,
        kind: Kind,
        active: bool,
        return_time: float,
        words: Words | None = None,
    ) -> Signal:
        text, parts = words or scoring.words
        cause = Cause(
            stream=batch.stream, epoch=batch.epoch, index=batch.index + at, score=scoring.display(return_time),
            return_time=round(return_time, 2), attribution=parts,
        )  # fmt: skip
        return Signal(kind, active, text, cause, batch.time_of(at))

    def _passed(self, scoring: Scoring, batch: Batch, a: int, b: int, state: State) -> None:
        """Rows that are not scored."""
        if state == "idle":
            scoring.abnormal = False
            scoring.models.reset()
            if scoring.judge is not None:
                scoring.judge.calm()
        n = b - a
        none = np.zeros(n, dtype=bool)
        self._say(scoring, batch, Scores(a, state, np.zeros(n), none, none, np.zeros(n), none), 0, {})

    def _hold_block(self, batch: Batch, a: int, b: int) -> None:
        """Rows that belong to a block that is not whole yet: the last one's word holds."""
        if b > a and self._tap is not None:
            n, (return_time, abnormal) = b - a, self._block
            none = np.zeros(n, dtype=bool)
            same = np.full(n, abnormal)
            self._tap(self.name, batch, Scores(a, "live", np.full(n, return_time), same, none, np.zeros(n), none))

    def _say(self, scoring: Scoring, batch: Batch, scores: Scores, at: int, shown: dict[str, float]) -> None:
        """The result, the worst since it was taken. at: of the first of these in the last update."""
        if self._tap is not None:
            self._tap(self.name, batch, scores)
            self._block = float(scores.condition[-1]), bool(scores.abnormal[-1])
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
            for m in scoring.models.all
            if m.scorer is not None and m.name in scores.models
        }
        if before is not None:
            indicators = indicators or before.indicators
            event = max(event, before.event) if before.state == scores.state else event
        if before is not None and before.state == scores.state and before.return_time > return_time:
            return_time, attribution = before.return_time, before.attribution
        elif scoring.judge is not None and scores.state in ("live", "shadow"):
            attribution = scoring.judge.words(at + worst)[1]
        self._fresh = True
        self.result = Result(
            monitor=self.name, stream=batch.stream, epoch=batch.epoch, index=batch.index + last, time=time,
            state=scores.state, score=scoring.display(return_time) if scores.state in ("live", "shadow") else 0.0,
            return_time=return_time, event=event, models=models, attribution=attribution, indicators=indicators,
            learned=scoring.learned,
        )  # fmt: skip

    # -- what survives -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Empty before the first samples."""
        own: dict[str, NDArray[np.generic]] = {}
        for stream, joined in self._joined.items():
            own |= {f"joined.{stream}.{k}": v for k, v in joined.state().items()}
        scoring = self._scoring
        if scoring is None:
            return own | dict(self._known)
        shape = {
            "known": scoring.known, "step": scoring.sample_step.hex(), "newest": self._newest, "until": self._until,
            "shown": self._shown, "hold": self._hold, "gate": self.gate.idle_until, "abnormal": scoring.abnormal,
            "told": self._block,
        }  # fmt: skip
        own["shape"] = np.frombuffer(msgspec.json.encode(shape), dtype=np.uint8)
        return own | {f"scoring.{k}": v for k, v in scoring.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Goes on where the state was taken, or learns again where another version took it.

        EdgeloopError where the configuration does not fit its channels.
        """
        try:
            self._resume(state)
        except FORM:
            self.notes.set("learned", ANEW)
            self._known, self._scoring = {}, None

    def _resume(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        for stream, joined in self._joined.items():
            begin = f"joined.{stream}."
            joined.restore({k.removeprefix(begin): v for k, v in state.items() if k.startswith(begin)})
        if "shape" not in state:
            return
        shape = msgspec.json.decode(state["shape"].tobytes())
        self._known = {k.removeprefix("scoring."): v for k, v in state.items() if k.startswith("scoring.")}
        if any(not joined.channels for joined in self._joined.values()):
            return
        scoring = self._make(list(shape["known"]), float.fromhex(shape["step"]))
        epoch, index, time = shape["newest"]
        self._newest = int(epoch), int(index), int(time)
        self._until, self._shown, self._hold = shape["until"], shape["shown"], shape["hold"]
        self.gate.idle_until, scoring.abnormal = shape["gate"], shape["abnormal"]
        self._block = float(shape["told"][0]), bool(shape["told"][1])


def _after(batch: Batch, rows: int) -> Batch:
    """A batch without its first rows."""
    return replace(
        batch, index=batch.index + rows, time=batch.time_of(rows), samples=batch.samples[rows:],
        times=None if batch.times is None else batch.times[rows:],
    )  # fmt: skip
