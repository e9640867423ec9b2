"""One monitor: a stream's samples in, scores and conditions out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.documents import Result, State, contributions
from anomaly_inference.gate import Gate, Lookup
from anomaly_inference.scoring import Joined, Scoring
from edgeloop.alarms import Cause, Contribution, Kind
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures, Score
from edgeloop.detect.words import describe
from edgeloop.wire.batch import Batch

SHOWN = 1 * NS


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
        self.gate = Gate(config, lookup)
        self._joined = {s: Joined() for s in self.streams[1:]}
        self._scoring: Scoring | None = None
        self._restored: Mapping[str, NDArray[np.generic]] | None = None
        self._first: Batch | None = None
        self._shown = 0
        self.result: Result | None = None
        self._fresh = False
        self._newest = (0, 0, 0)
        self._assumed = False

    def take(self, batch: Batch, now: int) -> list[Signal]:
        """A batch of one of the monitor's streams. now: ns UTC of its arrival."""
        if not len(batch):
            return []
        if batch.stream != self.streams[0]:
            self._joined[batch.stream].add(batch)
            return []
        scoring = self._scoring or self._start(batch)
        if scoring is None:
            return []
        event = scoring.sensors.arrived(batch, now)
        if event in ("gap", "restart"):
            scoring.interrupt()
        raw = batch.samples if scoring.whole else batch.samples[:, scoring.columns]
        values = batch.values() if scoring.whole else batch.values()[:, scoring.columns]
        last = len(batch) - 1
        self._newest = batch.epoch, batch.index + last, batch.time_of(last)
        if scoring.features is None:
            return self._rows(scoring, batch, raw, values)
        return self._blocks(scoring, scoring.features, batch, raw, values)

    def tick(self, now: int, newest: int) -> None:
        """Time passes. newest: ns UTC at which any stream last delivered."""
        if self._scoring is not None:
            self._scoring.sensors.tick(now, newest)

    def assume(self) -> None:
        """Its process alarm is open from before a restart: only recovery clears it."""
        self._assumed = True

    def levels(self) -> Iterator[tuple[Kind, bool]]:
        """What holds now, of what can be told."""
        scoring = self._scoring
        if scoring is None:
            return
        if scoring.idle:
            scoring.trigger.reset()
            yield "process", False
        elif scoring.judged:
            yield "process", scoring.trigger.active
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
        text = ""
        causes: tuple[Contribution, ...] = ()
        if self._scoring is not None and kind != "process":
            text = f"{self.streams[0]} {self._scoring.sensors.conditions[kind].text}"
        elif self._scoring is not None:
            text, causes = self._scoring.words
        return Signal(
            kind, active, text, Cause(stream=self.streams[0], epoch=epoch, index=index, attribution=causes), time
        )

    def drain(self) -> Result | None:
        """The newest result with the worst score since the last call; None where nothing was scored."""
        fresh, self._fresh = self._fresh, False
        return self.result if fresh else None

    def relearn(self) -> None:
        """Forget what is normal."""
        if self._scoring is not None:
            self._scoring.detector.relearn()
            self._scoring.trigger.reset()
            self._scoring.live_rows = 0

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
        missing = [s for s, joined in self._joined.items() if not joined.channels]
        if missing:
            return None
        self._scoring = Scoring(self.name, self.config, batch, step, [j.channels for j in self._joined.values()])
        if self._restored is not None:
            self._scoring.restore(self._restored)
            self._restored = None
        self._scoring.trigger.active = self._assumed
        return self._scoring

    def _rows(
        self, scoring: Scoring, batch: Batch, raw: NDArray[np.generic], values: NDArray[np.floating]
    ) -> list[Signal]:
        signals: list[Signal] = []
        rows = np.asarray(values, dtype=np.float64)
        times = np.array([batch.time_of(i) for i in range(len(batch))], dtype=np.int64)
        wide = np.hstack([rows, *(j.at(times, self.config.tolerance) for j in self._joined.values())])
        for i, row in enumerate(wide):
            passage = self.gate.passage(int(times[i]), int(times[i]))
            scoring.sensors.examine(raw[i : i + 1], rows[i : i + 1], passage)
            if passage.state != "live":
                scoring.pause(idle=passage.state == "idle")
                self._say(scoring, batch, i, passage.state, Score("learning"), {})
                continue
            suspect = scoring.sensors.flat.suspect
            if suspect.any():
                row = row.copy()
                row[: len(suspect)][suspect] = np.nan
            signals += self._score(scoring, batch, i, row, passage.context, scoring.names_of(row))
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
            scoring.block[scoring.filled : scoring.filled + n] = values[at : at + n]
            scoring.filled += n
            at += n
            if scoring.filled < features.length:
                break
            scoring.filled = 0
            last = at - 1
            end = batch.time_of(last)
            passage = self.gate.passage(end - round(scoring.step * NS), end)
            scoring.sensors.examine(scoring.block, scoring.block, passage)
            if passage.state != "live":
                scoring.pause(idle=passage.state == "idle")
                self._say(scoring, batch, last, passage.state, Score("learning"), {})
                continue
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
            signals += self._score(scoring, batch, last, row, passage.context, shown)
        return signals

    def _score(
        self, scoring: Scoring, batch: Batch, at: int, row: NDArray[np.float64], context: str, shown: dict[str, float]
    ) -> list[Signal]:
        score = scoring.detector.update(row, context=context, teach=not scoring.trigger.active)
        if score.state == "learning":
            scoring.trigger.reset()
            self._say(scoring, batch, at, "learning", score, shown)
            return []
        scoring.live_rows += 1
        shadow = scoring.live_rows * scoring.step * NS <= self.config.shadow
        self._say(scoring, batch, at, "shadow" if shadow else "live", score, shown)
        if shadow:
            return []
        scoring.judged, scoring.idle = True, False
        before = scoring.trigger.active
        if scoring.trigger.update(score.return_time) == before:
            return []
        scoring.words = describe(score.causes), tuple(contributions(score.causes))
        cause = Cause(
            stream=batch.stream,
            epoch=batch.epoch,
            index=batch.index + at,
            score=score.score,
            return_time=round(score.return_time, 2),
            attribution=scoring.words[1],
        )
        return [Signal("process", not before, scoring.words[0], cause, batch.time_of(at))]

    def _say(
        self, scoring: Scoring, batch: Batch, at: int, state: State, score: Score, shown: dict[str, float]
    ) -> None:
        time = batch.time_of(at)
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
            learned=scoring.detector.learned,
        )  # fmt: skip

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Empty before the first samples."""
        return self._scoring.state() if self._scoring is not None else dict(self._restored or {})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._restored = state or None
