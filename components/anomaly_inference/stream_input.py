"""A monitor's input: batches of its streams to rows that can be scored, and what is wrong with its sensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.diagnostics import InputDiagnostics
from anomaly_inference.joined_input import JoinedInput
from anomaly_inference.operating_state import Lookup, OperatingState, OperatingStates
from anomaly_inference.sensors import Sensors
from edgeloop.clock import NS
from edgeloop.detect import BlockFeatures
from edgeloop.detect.protocol import Float, Rows
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, Channel, row_times

BLOCKS_FROM = 200.0
"""Hz: below, every row is scored; from here on blocks of them are, where they are wanted."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows [first, first + count) of a batch. rows: None where they are not scored; `open`: they belong to a block
    that is not whole yet. shown: values or indicators for people, of the last row."""

    first: int
    count: int
    operating: OperatingState | None
    rows: Rows | None = None
    shown: Mapping[str, float] | None = None

    @property
    def open(self) -> bool:
        return self.operating is None


class Layout:
    """What depends on a stream's channels and rate. step: seconds between samples. Raises EdgeloopError for channels
    that the stream does not have."""

    def __init__(
        self,
        name: str,
        config: configuration.Monitor,
        known: Sequence[str],
        step: float,
        joined: Sequence[tuple[str, ...]],
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
        self.names = wanted + tuple(c for group in joined for c in group)
        self.sample_step = self.step = step
        self.features: BlockFeatures | None = None
        self.block = np.zeros((0, len(wanted)))
        self.filled = 0
        if 1 / step >= BLOCKS_FROM and config.block:
            length = max(256, round(config.block / NS / step))
            shaft = float(config.shaft) if config.shaft else None
            self.features = BlockFeatures(wanted, 1 / step, length, shaft=shaft, bearing=config.bearing)
            self.block = np.zeros((length, len(wanted)), order="F")
            self.step = length * step
        self.sensors = Sensors(config, wanted, step)


class StreamInput:
    """The first stream's batches, with the further ones joined as of its times.

    generation: counts up with each layout that is another stream's.
    """

    def __init__(self, name: str, config: configuration.Monitor, lookup: Lookup) -> None:
        self.name, self.config = name, config
        self.streams = tuple(config.input.split())
        self.operating = OperatingStates(config, lookup)
        self.diagnostics = InputDiagnostics()
        self.layout: Layout | None = None
        self.newest = (0, 0, 0)
        self.broken = False
        self._joined = {s: JoinedInput() for s in self.streams[1:]}
        self._rate: Fraction | None = None
        self._described: tuple[Channel, ...] = ()
        self._names: tuple[str, ...] = ()
        self._first: Batch | None = None

    def accept(self, batch: Batch, now: int) -> Batch | None:
        """What of a batch is new and of the first stream, once there is a layout; `broken`: it does not continue."""
        if not len(batch):
            return None
        if batch.stream != self.streams[0]:
            self._joined[batch.stream].add(batch)
            return None
        self._check(batch, now)
        layout = self.layout or self._start(batch)
        if layout is None:
            return None
        late = layout.sensors.overlap(batch)
        if late:
            self.diagnostics.show("late", f"{late} samples of {batch.stream} came again or late: left out", now)
            if late >= len(batch):
                return None
            batch = _after(batch, late)
        layout.sensors.arrived(batch, now)
        self.broken = layout.sensors.broken
        if self.broken:
            self.interrupt()
        last = len(batch) - 1
        self.newest = batch.epoch, batch.index + last, batch.time_of(last)
        return batch

    def segments(self, batch: Batch) -> Iterator[Segment]:
        """Of an accepted batch."""
        layout = self.layout
        assert layout is not None
        raw, values = self._columns(layout, batch)
        if layout.features is None:
            return self._rows(layout, batch, raw, values)
        return self._blocks(layout, layout.features, batch, values)

    def interrupt(self) -> None:
        """What follows does not continue what was."""
        if self.layout is not None:
            self.layout.filled = 0
            self.layout.sensors.flat.forget()

    def skipped(self) -> None:
        """Samples were not read, which is nobody's fault."""
        self.interrupt()
        if self.layout is not None:
            self.layout.sensors.continuity.forget()

    def tick(self, now: int, newest: int) -> None:
        self.diagnostics.tick(now)
        if self.layout is not None:
            self.layout.sensors.tick(now, newest)

    def _check(self, batch: Batch, now: int) -> None:
        """A stream that has become another one is learned again; a channel that is gone is missing."""
        layout = self.layout
        if batch.channels != self._described:
            self._described, self._names = batch.channels, tuple(c.name for c in batch.channels)
            self._rate = None
        if layout is None or (batch.rate is not None and batch.rate == self._rate):
            return
        names = self._names
        if batch.rate is not None and not math.isclose(float(1 / batch.rate), layout.sample_step, rel_tol=1e-6):
            line = f"{batch.stream} has changed from {1 / layout.sample_step:g} to {float(batch.rate):g} Hz"
        elif names != layout.known and not self.config.channels and set(names) - set(layout.known):
            line = f"{batch.stream} has channels {', '.join(names)} now"
        else:
            self._rate = batch.rate
            return
        self.diagnostics.show("changed", f"{line}: learning again", now)
        self.layout, self._first, self._rate = None, None, None

    def _start(self, batch: Batch) -> Layout | None:
        if batch.rate is not None:
            step = float(1 / batch.rate)
        elif self._first is None and len(batch) < 2:
            self._first = batch
            return None
        else:
            times = batch.times if len(batch) > 1 else np.array([self._first.time if self._first else 0, batch.time])
            assert times is not None
            step = max(float(np.median(np.diff(times))) / NS, 1e-3)
        return self.arrange([c.name for c in batch.channels], step)

    def arrange(self, channels: Sequence[str], step: float) -> Layout | None:
        """None while a joined stream has not said what it has."""
        if any(not joined.channels for joined in self._joined.values()):
            return None
        joined = [j.channels for j in self._joined.values()]
        self.layout = Layout(self.name, self.config, channels, step, joined)
        return self.layout

    def _columns(self, layout: Layout, batch: Batch) -> tuple[NDArray[np.generic], NDArray[np.floating]]:
        names = self._names
        if names == layout.known:
            self.diagnostics.set("channels", "")
            if layout.whole:
                return batch.samples, batch.values()
            return batch.samples[:, layout.columns], batch.values()[:, layout.columns]
        values = batch.values()
        found = np.full((len(batch), len(layout.channels)), np.nan, dtype=values.dtype)
        lacking = []
        for i, name in enumerate(layout.channels):
            if name in names:
                found[:, i] = values[:, names.index(name)]
            else:
                lacking.append(name)
        line = f"{batch.stream} has no channel {', '.join(lacking)} any more" if lacking else ""
        self.diagnostics.set("channels", line)
        return found, found

    def _join(self, times: NDArray[np.int64]) -> list[Float]:
        return [j.at(times, self.config.tolerance) for j in self._joined.values()]

    def _rows(
        self, layout: Layout, batch: Batch, raw: NDArray[np.generic], values: NDArray[np.floating]
    ) -> Iterator[Segment]:
        times = row_times(batch)
        own = np.asarray(values, dtype=np.float64)
        wide = np.hstack([own, *self._join(times)]) if self._joined else own
        for a, b, operating in self.operating.spans(times):
            suspect = layout.sensors.examine_rows(raw[a:b], own[a:b], operating)
            if operating.state != "live":
                yield Segment(a, b - a, operating)
                continue
            rows = wide[a:b]
            if suspect.any():
                rows = rows.copy()
                rows[:, : suspect.shape[1]][suspect] = np.nan
            shown = dict(zip(layout.names, rows[-1].tolist(), strict=True))
            yield Segment(a, b - a, operating, Rows(times[a:b], rows, own[a:b]), shown)

    def _blocks(
        self, layout: Layout, features: BlockFeatures, batch: Batch, values: NDArray[np.floating]
    ) -> Iterator[Segment]:
        at = 0
        while at < len(values):
            n = min(features.length - layout.filled, len(values) - at)
            layout.block[layout.filled : layout.filled + n] = values[at : at + n]
            layout.filled += n
            at += n
            whole = layout.filled == features.length
            pending = n - 1 if whole else n
            if pending:
                yield Segment(at - n, pending, None)
            if not whole:
                break
            layout.filled = 0
            last = at - 1
            end = batch.time_of(last)
            operating = self.operating.of(end - round(layout.step * NS), end)
            layout.sensors.examine(layout.block, layout.block, operating)
            if operating.state != "live":
                yield Segment(last, 1, operating)
                continue
            row, indicators = self._features(layout, features)
            times = np.array([end])
            row = np.concatenate([row, *(j[0] for j in self._join(times))])
            shown = {
                f"{k}.{c}": float(v) for k, vs in indicators.items() for c, v in zip(layout.channels, vs, strict=True)
            }
            yield Segment(last, 1, operating, Rows(times, row[None], layout.block), shown)

    @staticmethod
    def _features(layout: Layout, features: BlockFeatures) -> tuple[Float, dict[str, Float]]:
        with np.errstate(invalid="ignore", over="ignore"):
            row, indicators = features(layout.block)
            level = features.level(layout.block)
            constant = np.ptp(layout.block, axis=0) == 0
        if constant.any():
            row.reshape(len(constant), -1)[constant] = np.nan
        return np.concatenate([row, level]), indicators

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {}
        for stream, joined in self._joined.items():
            own |= {f"joined.{stream}.{k}": v for k, v in joined.state().items()}
        if self.layout is not None:
            own["block"] = self.layout.block[: self.layout.filled].copy()
            own |= {f"sensors.{k}": v for k, v in self.layout.sensors.state().items()}
        return own

    def restore_joined(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        for stream, joined in self._joined.items():
            begin = f"joined.{stream}."
            joined.restore({k.removeprefix(begin): v for k, v in state.items() if k.startswith(begin)})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False where the state is of other settings. The layout is there."""
        layout = self.layout
        assert layout is not None
        if not layout.sensors.restore({k[8:]: v for k, v in state.items() if k.startswith("sensors.")}):
            return False
        block = state["block"]
        if block.shape[1] == layout.block.shape[1] and len(block) <= len(layout.block):
            layout.block[: len(block)], layout.filled = block, len(block)
        return True


def _after(batch: Batch, rows: int) -> Batch:
    """A batch without its first rows."""
    return replace(
        batch, index=batch.index + rows, time=batch.time_of(rows), samples=batch.samples[rows:],
        times=None if batch.times is None else batch.times[rows:],
    )  # fmt: skip
