"""One monitor: a stream's samples in, scores and conditions out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.documents import Result, State, contributions
from anomaly_inference.sensors import Sensors
from anomaly_inference.trigger import Trigger
from edgeloop.alarms import Cause, Contribution, Kind
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures, Detector, Feature, Score, Settings
from edgeloop.detect.words import describe
from edgeloop.errors import EdgeloopError
from edgeloop.join import AsOf, Condition, Latest
from edgeloop.wire.batch import Batch

BLOCKS_FROM = 200.0
"""Hz: below, every row is scored."""
FEWEST = 20
SHOWN = 1 * NS
MOST_ROWS = 100_000
SETTLED = 10
"""Rows that must be normal before an alarm is over, however slow they come."""

Lookup = Callable[[str, str, str], tuple[Latest, int]]


@dataclass(frozen=True, slots=True)
class Signal:
    """A condition of a monitor has begun, or ended. sample: ns UTC of the newest sample that decided."""

    kind: Kind
    active: bool
    text: str
    cause: Cause
    sample: int


class Monitor:
    """Scores one stream, with further streams joined as of its times."""

    def __init__(self, name: str, config: configuration.Monitor, lookup: Lookup) -> None:
        self.name, self.config = name, config
        self.streams = tuple(config.input.split())
        self._when = Condition.parse(config.when) if config.when else None
        self._per = Condition.parse(config.per) if config.per else None
        self._lookup = lookup
        self._joined = {s: _Joined() for s in self.streams[1:]}
        self._setup: _Setup | None = None
        self._restored: Mapping[str, NDArray[np.generic]] | None = None
        self._first: Batch | None = None
        self._shown = 0
        self.result: Result | None = None
        self._fresh = False
        self._newest = (0, 0, 0)
        self._assumed = False

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(stream, column) that must be looked up."""
        return tuple((c.stream, c.column) for c in (self._when, self._per) if c)

    def take(self, batch: Batch, now: int) -> list[Signal]:
        """A batch of one of the monitor's streams. now: ns UTC of its arrival."""
        if not len(batch):
            return []
        if batch.stream != self.streams[0]:
            self._joined[batch.stream].add(batch)
            return []
        setup = self._setup or self._set_up(batch)
        if setup is None:
            return []
        event = setup.sensors.arrived(batch, now)
        if event in ("gap", "restart"):
            setup.interrupt()
        raw = batch.samples if setup.whole else batch.samples[:, setup.columns]
        values = batch.values() if setup.whole else batch.values()[:, setup.columns]
        last = len(batch) - 1
        self._newest = batch.epoch, batch.index + last, batch.time_of(last)
        if setup.features is None:
            return self._rows(setup, batch, raw, values)
        return self._blocks(setup, setup.features, batch, raw, values)

    def tick(self, now: int, newest: int) -> None:
        """Time passes. newest: ns UTC at which any stream last delivered."""
        if self._setup is not None:
            self._setup.sensors.tick(now, newest)

    def assume(self) -> None:
        """Its process alarm is open from before a restart: only recovery clears it."""
        self._assumed = True

    def levels(self) -> Iterator[tuple[Kind, bool]]:
        """What holds now, of what can be told."""
        setup = self._setup
        if setup is None:
            return
        if setup.idle:
            setup.trigger.reset()
            yield "process", False
        elif setup.judged:
            yield "process", setup.trigger.active
        for kind, condition in setup.sensors.conditions.items():
            if condition.active or setup.sensors.certain(kind):
                yield kind, condition.active

    def signal(self, kind: Kind, active: bool) -> Signal:
        """A level in words, with the newest sample as its cause."""
        epoch, index, time = self._newest
        text = ""
        causes: tuple[Contribution, ...] = ()
        if self._setup is not None and kind != "process":
            text = self._setup.sensors.conditions[kind].text
        elif self._setup is not None:
            text, causes = self._setup.words
        return Signal(
            kind, active, text, Cause(stream=self.streams[0], epoch=epoch, index=index, attribution=causes), time
        )

    def drain(self) -> Result | None:
        """The newest result with the worst score since the last call; None where nothing was scored."""
        fresh, self._fresh = self._fresh, False
        return self.result if fresh else None

    def relearn(self) -> None:
        """Forget what is normal."""
        if self._setup is not None:
            self._setup.detector.relearn()
            self._setup.trigger.reset()
            self._setup.live_rows = 0

    def _set_up(self, batch: Batch) -> _Setup | None:
        if batch.rate is not None:
            step = float(1 / batch.rate)
        elif self._first is None and len(batch) < 2:
            self._first = batch
            return None
        else:
            times = batch.times if len(batch) > 1 else np.array([self._first.time if self._first else 0, batch.time])
            assert times is not None
            step = max(float(np.median(np.diff(times))) / NS, 1e-3)
        missing = [s for s, joined in self._joined.items() if not joined.channels]
        if missing:
            return None
        self._setup = _Setup(self.name, self.config, batch, step, [j.channels for j in self._joined.values()])
        if self._restored is not None:
            self._setup.restore(self._restored)
            self._restored = None
        self._setup.trigger.active = self._assumed
        return self._setup

    def _rows(
        self, setup: _Setup, batch: Batch, raw: NDArray[np.generic], values: NDArray[np.floating]
    ) -> list[Signal]:
        signals: list[Signal] = []
        rows = np.asarray(values, dtype=np.float64)
        times = np.array([batch.time_of(i) for i in range(len(batch))], dtype=np.int64)
        wide = np.hstack([rows, *(j.at(times, self.config.tolerance) for j in self._joined.values())])
        for i, row in enumerate(wide):
            state, context = self._gate(setup, int(times[i]), int(times[i]))
            if state != "live":
                setup.pause(idle=state == "idle")
                self._say(setup, batch, i, state, Score("learning"), {})
                continue
            setup.sensors.examine(raw[i : i + 1], rows[i : i + 1])
            suspect = setup.sensors.flat.suspect
            if suspect.any():
                row = row.copy()
                row[: len(suspect)][suspect] = np.nan
            signals += self._score(setup, batch, i, row, context, setup.names_of(row))
        return signals

    def _blocks(
        self,
        setup: _Setup,
        features: BlockFeatures,
        batch: Batch,
        raw: NDArray[np.generic],
        values: NDArray[np.floating],
    ) -> list[Signal]:
        signals: list[Signal] = []
        at = 0
        while at < len(values):
            n = min(features.length - setup.filled, len(values) - at)
            setup.block[setup.filled : setup.filled + n] = values[at : at + n]
            setup.filled += n
            at += n
            if setup.filled < features.length:
                break
            setup.filled = 0
            last = at - 1
            end = batch.time_of(last)
            state, context = self._gate(setup, end - round(setup.step * NS), end)
            if state != "live":
                setup.pause(idle=state == "idle")
                self._say(setup, batch, last, state, Score("learning"), {})
                continue
            setup.sensors.examine(setup.block, setup.block)
            row, indicators = features(setup.block)
            constant = np.ptp(setup.block, axis=0) == 0
            if constant.any():
                row.reshape(len(constant), -1)[constant] = np.nan
            if self._joined:
                joined = [j.at(np.array([end]), self.config.tolerance)[0] for j in self._joined.values()]
                row = np.concatenate([row, *joined])
            shown = {
                f"{k}.{c}": float(v) for k, vs in indicators.items() for c, v in zip(setup.channels, vs, strict=True)
            }
            signals += self._score(setup, batch, last, row, context, shown)
        return signals

    def _gate(self, setup: _Setup, start: int, end: int) -> tuple[State, str]:
        """Whether [start, end] (ns UTC) is to be scored, and in which context."""
        settle = self.config.settle
        if self._when is not None:
            latest, ahead = self._lookup(self._when.stream, self._when.column, self.streams[0])
            before, after = latest.at(start + ahead), latest.at(end + ahead)
            if before is None or after is None:
                return "settling", ""
            if not (self._when.holds(before) and self._when.holds(after)):
                return "idle", ""
            since = latest.since(end + ahead)
            if since is not None and not self._when.operator and since + settle > start + ahead:
                return "settling", ""
            if self._when.operator and setup.idle_until > start:
                return "settling", ""
        context = ""
        if self._per is not None:
            latest, ahead = self._lookup(self._per.stream, self._per.column, self.streams[0])
            value, since = latest.at(end + ahead), latest.since(end + ahead)
            if value is None or since is None or since + settle > start + ahead:
                return "settling", ""
            context = str(value)[:64]
        return "live", context

    def _score(
        self, setup: _Setup, batch: Batch, at: int, row: NDArray[np.float64], context: str, shown: dict[str, float]
    ) -> list[Signal]:
        score = setup.detector.update(row, context=context, teach=not setup.trigger.active)
        if score.state == "learning":
            setup.trigger.reset()
            self._say(setup, batch, at, "learning", score, shown)
            return []
        setup.live_rows += 1
        shadow = setup.live_rows * setup.step * NS <= self.config.shadow
        self._say(setup, batch, at, "shadow" if shadow else "live", score, shown)
        if shadow:
            return []
        setup.judged, setup.idle = True, False
        before = setup.trigger.active
        if setup.trigger.update(score.return_time) == before:
            return []
        setup.words = describe(score.causes), tuple(contributions(score.causes))
        cause = Cause(
            stream=batch.stream,
            epoch=batch.epoch,
            index=batch.index + at,
            score=score.score,
            return_time=round(score.return_time, 2),
            attribution=setup.words[1],
        )
        return [Signal("process", not before, setup.words[0], cause, batch.time_of(at))]

    def _say(self, setup: _Setup, batch: Batch, at: int, state: State, score: Score, shown: dict[str, float]) -> None:
        time = batch.time_of(at)
        if state == "idle":
            setup.idle_until = time + self.config.settle
        indicators: dict[str, float] = {}
        if abs(time - self._shown) >= SHOWN:
            self._shown, indicators = time, {k: v for k, v in shown.items() if math.isfinite(v)}
        elif self.result is not None and self._fresh:
            indicators = self.result.indicators
        worst = self.result
        if worst is not None and self._fresh and worst.score > score.score and state == worst.state:
            score = Score(score.state, worst.score, worst.return_time)
            kept = worst.attribution
        else:
            kept = contributions(score.causes)
        self._fresh = True
        self.result = Result(
            monitor=self.name, stream=batch.stream, epoch=batch.epoch, index=batch.index + at, time=time, state=state,
            score=score.score, return_time=score.return_time, attribution=kept, indicators=indicators,
            learned=setup.detector.learned,
        )  # fmt: skip

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Empty before the first samples."""
        return self._setup.state() if self._setup is not None else dict(self._restored or {})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._restored = state or None


class _Joined:
    """A further input, as of."""

    def __init__(self) -> None:
        self.channels: tuple[str, ...] = ()
        self._past: AsOf | None = None

    def add(self, batch: Batch) -> None:
        if self._past is None:
            self.channels = tuple(f"{batch.stream}.{c.name}" for c in batch.channels)
            self._past = AsOf(len(batch.channels))
        times = batch.times
        if times is None:
            times = np.array([batch.time_of(i) for i in range(len(batch))], dtype=np.int64)
        self._past.add(times, batch.values().astype(np.float64))

    def at(self, times: NDArray[np.int64], tolerance: int) -> NDArray[np.float64]:
        if self._past is None:
            return np.full((len(times), len(self.channels)), np.nan)
        return self._past.at(times, tolerance)


class _Setup:
    """What depends on the channels and the rate, which the first batch tells."""

    def __init__(
        self, name: str, config: configuration.Monitor, batch: Batch, step: float, joined: list[tuple[str, ...]]
    ) -> None:
        known = tuple(c.name for c in batch.channels)
        wanted = tuple(config.channels.split()) or known
        for channel in (*wanted, *config.range):
            if channel not in known:
                raise EdgeloopError(
                    "unknown channel",
                    where=f"monitors.{name}",
                    why=repr(channel),
                    mend=f"the stream has {', '.join(known)}",
                )
        self.channels, self.whole = wanted, wanted == known
        self.columns = [known.index(c) for c in wanted]
        rate = 1 / step
        self.features: BlockFeatures | None = None
        self.block = np.zeros((0, len(wanted)), dtype=np.float32)
        self.filled = 0
        features: tuple[Feature, ...]
        self.step = step
        if rate >= BLOCKS_FROM:
            length = max(256, round(config.block / NS * rate))
            shaft = float(config.shaft) if config.shaft else None
            self.features = BlockFeatures(wanted, rate, length, shaft=shaft, bearing=config.bearing)
            self.block = np.zeros((length, len(wanted)), dtype=np.float32)
            self.step = length * step
            features = self.features.features
            scales: tuple[int, ...] = (5,)
        else:
            features = tuple(Feature(c, "value", "value", False, 0.0) for c in wanted)
            scales = (1, min(50, max(5, round(1 / step))))
        features += tuple(Feature(c, "value", "value", False, 0.0) for group in joined for c in group)
        learn = min(
            MOST_ROWS, max(FEWEST, (4 if self.features else 10) * max(scales), round(config.learn / NS / self.step))
        )
        budget = math.log10(config.budget / NS)
        self.detector = Detector(
            features,
            Settings(
                step=self.step,
                learn=learn,
                scales=scales,
                budget=budget,
                median=self.features is not None,
                memory=max(learn // 2, round(config.memory / NS / self.step)),
                transfer=max(5, min(learn, round(3 / self.step))),
            ),
        )
        rows = config.confirm / NS / self.step, config.recover / NS / self.step
        self.trigger = Trigger(
            budget, max(2, math.ceil(rows[0])), max(2 if self.features else SETTLED, math.ceil(rows[1]))
        )
        self.sensors = Sensors(config, wanted, step)
        self.live_rows = 0
        self.idle_until = 0
        self.idle = self.judged = False
        self.words: tuple[str, tuple[Contribution, ...]] = ("unusual", ())

    def names_of(self, row: NDArray[np.float64]) -> dict[str, float]:
        return {f.channel: float(v) for f, v in zip(self.detector.features, row, strict=True)}

    def interrupt(self) -> None:
        self.filled = 0
        self.detector.interrupt()
        self.sensors.flat.forget()

    def pause(self, *, idle: bool) -> None:
        self.detector.interrupt()
        self.idle = idle
        if idle:
            self.sensors.idle()

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {"live_rows": np.array([self.live_rows])}
        own |= {f"detector.{k}": v for k, v in self.detector.state().items()}
        return own | {f"flat.{k}": v for k, v in self.sensors.flat.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        def part(name: str) -> dict[str, NDArray[np.generic]]:
            return {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}

        if self.detector.restore(part("detector.")):
            self.detector.interrupt()
            self.live_rows = int(state["live_rows"][0])
            self.sensors.flat.restore(part("flat."))
