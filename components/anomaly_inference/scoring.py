"""What depends on a stream's channels and rate, which its first batch tells: features, detectors, models, sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.events import Events
from anomaly_inference.judge import FeatureJudge, Judge, State, Words
from anomaly_inference.models import Models, Provider
from anomaly_inference.rowjudge import RowJudge
from anomaly_inference.sensors import Sensors
from anomaly_inference.trigger import Trigger
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures, Detector, Feature, Settings
from edgeloop.detect.conditions import ConditionDetector, ConditionSettings
from edgeloop.detect.display import display
from edgeloop.detect.events import EventSettings
from edgeloop.errors import EdgeloopError

BLOCKS_FROM = 200.0
"""Hz: below, every row is scored; from here on blocks of them are, where they are wanted."""
FEWEST = 20
FEWEST_ROWS = 60
"""Rows of the learning window, for the two detectors."""
LEVELS_FROM = 2.0
"""Hz: from here on a condition is a level, of the last row or over seconds; below, a state over many rows."""
WARM = 16, 86_400.0
"""An event is rare only for who has watched for this share of the budget's time, or so many seconds if that is less."""
MOST_ROWS = 100_000
SETTLED = 10
"""Rows that must be normal before an alarm is over, however slow they come."""


class Scoring:
    """step: seconds between rows. joined: channels of the further inputs. Raises EdgeloopError for channels that the
    stream does not have."""

    def __init__(
        self,
        name: str,
        config: configuration.Monitor,
        known: Sequence[str],
        step: float,
        joined: Sequence[tuple[str, ...]],
        provider: Provider,
    ) -> None:
        wanted = tuple(config.channels.split()) or tuple(known)
        for channel in (*wanted, *config.range):
            if channel not in known:
                raise EdgeloopError(
                    "unknown channel",
                    where=f"monitors.{name}",
                    why=repr(channel),
                    mend=f"the stream has {', '.join(known)}",
                )
        self.known, self.channels, self.whole = tuple(known), wanted, wanted == tuple(known)
        self.columns = [self.known.index(c) for c in wanted]
        self.sample_step = self.step = step
        self.features: BlockFeatures | None = None
        self.block = np.zeros((0, len(wanted)), dtype=np.float32)
        self.filled = 0
        fast = 1 / step >= BLOCKS_FROM
        if fast and config.block:
            length = max(256, round(config.block / NS / step))
            shaft = float(config.shaft) if config.shaft else None
            self.features = BlockFeatures(wanted, 1 / step, length, shaft=shaft, bearing=config.bearing)
            self.block = np.zeros((length, len(wanted)), dtype=np.float32, order="F")
            self.step = length * step
        self.columns_scored = wanted + tuple(c for group in joined for c in group)
        self.budget = math.log10(config.budget / NS)
        self.judge: Judge | None = None
        self.events: Events | None = None
        detect = set(config.detect.split())
        states = "states" in detect or ("conditions" in detect and (fast or 1 / step < LEVELS_FROM))
        if self.features is None and states:
            self.judge = self._states(config)
        elif detect - {"events"}:
            self.judge = self._levels(config)
        if self.features is None and "events" in detect:
            self.events = self._events()
        self.models = Models(name, config.models.split(), wanted, 1 / step, self._trigger(config), provider)
        self.sensors = Sensors(config, wanted, step)
        self.live_rows = 0
        self.learn = self._learn(config, 1)
        self.seen = 0
        self.idle = self.judged = self.abnormal = False
        self.words: Words = ("unusual", ())

    def display(self, return_time: float) -> float:
        """A return time on a scale from 0 to 1."""
        return display(return_time, least=math.log10(self.step), budget=self.budget)

    @property
    def learned(self) -> float:
        return self.judge.learned if self.judge is not None else min(1.0, self.seen / self.learn)

    def interrupt(self) -> None:
        """What follows does not continue what was."""
        self.filled = 0
        self.sensors.flat.forget()
        self.models.interrupt()
        self.pause(idle=self.idle)

    def pause(self, *, idle: bool) -> None:
        if self.judge is not None:
            self.judge.interrupt()
        if self.events is not None:
            self.events.interrupt()
        self.idle = idle

    def relearn(self) -> None:
        if self.judge is not None:
            self.judge.relearn()
        if self.events is not None:
            self.events.relearn()
        self.models.reset()
        self.live_rows = self.seen = 0
        self.abnormal = False

    def state(self) -> State:
        counts = [self.live_rows, self.seen, self.filled, self.idle, self.judged]
        own: State = {"counts": np.array(counts, dtype=np.int64), "block": self.block[: self.filled].copy()}
        for name, part in self._parts().items():
            own |= {f"{name}.{k}": v for k, v in part.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False where what was learned is of other features or settings, and is not taken."""
        for name, part in self._parts().items():
            known = {k[len(name) + 1 :]: v for k, v in state.items() if k.startswith(f"{name}.")}
            if not part.restore(known):
                return False
        self.live_rows, self.seen, filled, idle, judged = (int(n) for n in state["counts"])
        self.idle, self.judged = bool(idle), bool(judged)
        block = state["block"]
        if block.shape[1] == self.block.shape[1] and len(block) == filled <= len(self.block):
            self.block[:filled], self.filled = block, filled
        return True

    def _parts(self) -> dict[str, Judge | Events | Models | Sensors]:
        parts: dict[str, Judge | Events | Models | Sensors] = {"sensors": self.sensors, "models": self.models}
        if self.judge is not None:
            parts["judge"] = self.judge
        if self.events is not None:
            parts["events"] = self.events
        return parts

    def _learn(self, config: configuration.Monitor, least: int) -> int:
        return min(MOST_ROWS, max(FEWEST, least, round(config.learn / NS / self.step)))

    def _trigger(self, config: configuration.Monitor) -> Trigger:
        confirm, recover = config.confirm / NS / self.step, config.recover / NS / self.step
        fewest = 2 if self.features else SETTLED
        return Trigger(self.budget, max(2, math.ceil(confirm)), max(fewest, math.ceil(recover)))

    def _events(self) -> Events:
        settings = EventSettings(step=self.step, budget=self.budget)
        watched = min(settings.rows / WARM[0], WARM[1] / self.step)
        settings = replace(settings, warm=max(settings.warm, math.ceil(watched)))
        return Events(len(self.columns_scored), settings)

    def _states(self, config: configuration.Monitor) -> Judge:
        settings = ConditionSettings(step=self.step, learn=self._learn(config, FEWEST_ROWS), budget=self.budget)
        return RowJudge(ConditionDetector(len(self.columns_scored), settings), self.columns_scored)

    def _levels(self, config: configuration.Monitor) -> Judge:
        """Of rows of values, or of the features of blocks."""
        values = self.columns_scored if self.features is None else self.columns_scored[len(self.channels) :]
        features = tuple(Feature(c, "value", "value", False, 0.0) for c in values)
        scales = (1, min(50, max(5, round(1 / self.step)))) if self.features is None else (5,)
        if self.features is not None:
            features = self.features.features + features
        learn = self._learn(config, (10 if self.features is None else 4) * max(scales))
        memory = max(learn // 3, round(config.memory / NS / self.step))
        settings = Settings(
            step=self.step,
            learn=learn,
            scales=scales,
            budget=self.budget,
            median=self.features is not None,
            memory=memory,
            quarantine=max(1, 3 * memory // 4),
            transfer=max(5, min(learn, round(3 / self.step))),
        )
        return FeatureJudge(Detector(features, settings), self._trigger(config))
