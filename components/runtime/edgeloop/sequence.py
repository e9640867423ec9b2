"""From what a source says to batches: identity, time and discontinuity of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, Channel, Clock, Column, RecordBatch


@dataclass(frozen=True, slots=True)
class Stream:
    """What a source says of one stream. rate: samples a second, or None: each sample brings its time.

    channels: empty for records. calibration: id of the calibration in force. title: the full name of what it is
    about, where `name` is a short one.
    """

    name: str
    channels: tuple[Channel, ...] = ()
    rate: Fraction | None = None
    calibration: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples (n, channels) of a stream, n > 0. time: ns UTC of the first, or times (n,) where the stream has no rate.

    clock: None means the time stamps are this device's. gap: what came before is not what this continues.
    channels: those of these samples, where what the stream declares may have moved on meanwhile.
    """

    stream: str
    samples: NDArray[np.generic]
    time: int = 0
    times: NDArray[np.int64] | None = None
    clock: Clock | None = None
    gap: bool = False
    channels: tuple[Channel, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Records of a stream, by column, n > 0. times (n,) ns UTC. clock, gap: as of Samples."""

    stream: str
    times: NDArray[np.int64]
    columns: Mapping[str, Column]
    clock: Clock | None = None
    gap: bool = False


Chunk = Samples | Records


@dataclass(slots=True)
class Sequencer:
    """Numbers the samples of one stream in one epoch and flags where time and index part.

    A step of the source's time against its rate is a discontinuity beyond two samples or 10 ms; where samples bring
    their own times, a step backwards is, and a gap that the source knows of.

    >>> one = Sequencer(Stream("a", (Channel("v"),), Fraction(1000)), epoch=5)
    >>> zeros = np.zeros((100, 1), np.float32)
    >>> [one.next(Samples("a", zeros, time=t), Clock()).discontinuity for t in (0, NS // 10, NS)]
    [False, False, True]
    >>> one.index
    300
    """

    stream: Stream
    epoch: int
    previous: tuple[int, int] | None = None
    index: int = 0
    step: int = 0
    """ns by which the last chunk's time was off."""
    _due: int | None = field(default=None, repr=False)

    def next(self, chunk: Chunk, clock: Clock) -> Batch | RecordBatch:
        """The chunk as a batch. clock: this device's, used where the chunk brings none."""
        clock = chunk.clock or clock
        if isinstance(chunk, Records):
            first, n = int(chunk.times[0]), len(chunk.times)
            self._flag(first, rising=True, gap=chunk.gap)
            records = RecordBatch(
                self.stream.name, self.epoch, self.index, chunk.times, chunk.columns,
                clock=clock, discontinuity=chunk.gap or self.step != 0, previous=self.previous,
            )  # fmt: skip
            self._advance(n, int(chunk.times[-1]))
            return records
        channels = self.stream.channels if chunk.channels is None else chunk.channels
        if chunk.samples.ndim != 2 or chunk.samples.shape[1] != len(channels):
            raise EdgeloopError(
                f"stream {self.stream.name} got samples of shape {chunk.samples.shape}",
                why=f"it has {len(channels)} channels",
                mend="correct the source",
            )
        rate = None if chunk.times is not None else self.stream.rate
        first = chunk.time if chunk.times is None else int(chunk.times[0])
        self._flag(first, rising=rate is None, gap=chunk.gap)
        batch = Batch(
            self.stream.name, self.epoch, self.index, first, channels, chunk.samples,
            rate=rate, times=chunk.times, clock=clock, calibration=self.stream.calibration,
            discontinuity=chunk.gap or self.step != 0, previous=self.previous, title=self.stream.title,
        )  # fmt: skip
        self._advance(len(chunk.samples), batch.end)
        return batch

    def _flag(self, time: int, *, rising: bool, gap: bool) -> None:
        self.step = 0
        if self._due is None:
            return
        step = time - self._due
        if gap:
            self.step = step or 1
            return
        if rising:
            self.step = min(step, 0)
            return
        assert self.stream.rate is not None
        if abs(step) > max(NS // 100, int(2 * NS / self.stream.rate)):
            self.step = step

    def _advance(self, n: int, due: int) -> None:
        self.index += n
        self.previous = None
        self._due = due
