"""What depends on a stream's channels and rate, which its first batch tells: features, detector, trigger, sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.sensors import Sensors
from anomaly_inference.trigger import Trigger
from edgeloop.alarms import Contribution
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures, Detector, Feature, Settings
from edgeloop.errors import EdgeloopError
from edgeloop.join import AsOf
from edgeloop.wire.batch import Batch

BLOCKS_FROM = 200.0
"""Hz: below, every row is scored."""
FEWEST = 20
MOST_ROWS = 100_000
SETTLED = 10
"""Rows that must be normal before an alarm is over, however slow they come."""


class Joined:
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


class Scoring:
    """step: seconds between rows. Raises EdgeloopError for channels that the stream does not have."""

    def __init__(
        self, name: str, config: configuration.Monitor, batch: Batch, step: float, joined: Sequence[tuple[str, ...]]
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
        memory = max(learn // 3, round(config.memory / NS / self.step))
        self.detector = Detector(
            features,
            Settings(
                step=self.step,
                learn=learn,
                scales=scales,
                budget=budget,
                median=self.features is not None,
                memory=memory,
                quarantine=max(1, 3 * memory // 4),
                transfer=max(5, min(learn, round(3 / self.step))),
            ),
        )
        rows = config.confirm / NS / self.step, config.recover / NS / self.step
        self.trigger = Trigger(
            budget, max(2, math.ceil(rows[0])), max(2 if self.features else SETTLED, math.ceil(rows[1]))
        )
        self.sensors = Sensors(config, wanted, step)
        self.live_rows = 0
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
