"""What a sensor said: batches of samples and of records, as values in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS

ClockSource = Literal["ptp", "ntp", "device", "free"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One column. `unit` is UCUM; physical value = raw * scale + offset."""

    name: str
    unit: str = "1"
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the time stamps can be trusted; all but `source` in ns."""

    source: ClockSource = "free"
    offset: int = 0
    uncertainty: int = 0
    synced_at: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of one stream. The identity of a sample is (device, stream, epoch, index).

    samples: (n, channels) raw, int16 | int32 | float32 | float64, row-major.
    rate: samples a second as a rational, or None where `times` (n,) int64 ns UTC says when each was taken.
    time: ns UTC of the first sample.
    previous: (epoch, last index) of the writer before, in the first batch of an epoch.
    title: the full name of what the stream is about, where `stream` is a short one.
    """

    stream: str
    epoch: int
    index: int
    time: int
    channels: tuple[Channel, ...]
    samples: NDArray[np.generic]
    rate: Fraction | None = None
    times: NDArray[np.int64] | None = None
    clock: Clock = field(default_factory=Clock)
    calibration: str = ""
    discontinuity: bool = False
    previous: tuple[int, int] | None = None
    title: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def time_of(self, row: int) -> int:
        """ns UTC of a row, exact to the ns at any rate."""
        if self.times is not None:
            return int(self.times[row])
        assert self.rate is not None
        return self.time + row * NS * self.rate.denominator // self.rate.numerator

    @property
    def end(self) -> int:
        """ns UTC at which the sample after the last one is due (the last one's time where there is no rate)."""
        return self.time_of(len(self.samples) if self.times is None else len(self.samples) - 1)

    def values(self) -> NDArray[np.floating]:
        """(n, channels) in physical units; a view where nothing has to be scaled."""
        raw = cast("NDArray[np.floating]", self.samples)
        scale, offset, plain = _scaling(self.channels)
        if plain:
            return raw if raw.dtype.kind == "f" else raw.astype(np.float64)
        return np.asarray(raw * scale + offset)

    def values_of(self, channel: int) -> NDArray[np.floating]:
        """(n,) of one channel, as `values`."""
        raw = cast("NDArray[np.floating]", self.samples[:, channel])
        scale, offset, plain = _scaling(self.channels)
        if plain:
            return raw if raw.dtype.kind == "f" else raw.astype(np.float64)
        return np.asarray(raw * scale[channel] + offset[channel])


_Scaling = tuple[NDArray[np.float64], NDArray[np.float64], bool]
_scalings: dict[int, tuple[tuple[Channel, ...], _Scaling]] = {}


def _scaling(channels: tuple[Channel, ...]) -> _Scaling:
    """(scale, offset, whether they change nothing); of the tuples seen last, which a stream's batches share."""
    known = _scalings.get(id(channels))
    if known is not None and known[0] is channels:
        return known[1]
    scale, offset = np.array([[c.scale for c in channels], [c.offset for c in channels]], dtype=np.float64)
    found = scale, offset, bool((scale == 1.0).all() and (offset == 0.0).all())
    if len(_scalings) >= 64:
        _scalings.clear()
    _scalings[id(channels)] = channels, found
    return found


ColumnType = Literal["bool", "enum", "string", "status", "int", "float"]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a record batch, all arrays of length n.

    bool: uint8 0|1; enum: int32 codes into `labels`; string: list of str;
    status: uint32 codes (OPC-UA); int: int64; float: float64 in `unit` (UCUM).
    """

    type: ColumnType
    values: NDArray[np.generic] | tuple[str, ...]
    labels: tuple[str, ...] = ()
    unit: str = "1"


@dataclass(frozen=True, slots=True, eq=False)
class RecordBatch:
    """Records of one stream, by column: booleans, enumerations, strings, status codes. `times` (n,) int64 ns UTC."""

    stream: str
    epoch: int
    index: int
    times: NDArray[np.int64]
    columns: Mapping[str, Column]
    clock: Clock = field(default_factory=Clock)
    discontinuity: bool = False
    previous: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.times)


def row_times(item: Batch | RecordBatch) -> NDArray[np.int64]:
    """(n,) ns UTC of every row, exact, as `Batch.time_of`.

    >>> from fractions import Fraction
    >>> batch = Batch("a", 1, 0, 5, (Channel("x"),), np.zeros((4, 1), np.int16), rate=Fraction(25_600))
    >>> row_times(batch).tolist() == [batch.time_of(row) for row in range(4)]
    True
    """
    if item.times is not None:
        return item.times
    assert isinstance(item, Batch)
    assert item.rate is not None
    whole, rest = divmod(NS * item.rate.denominator, item.rate.numerator)
    rows = np.arange(len(item), dtype=np.int64)
    if rest * len(item) >= 2**62:
        return np.array([item.time_of(row) for row in range(len(item))], dtype=np.int64)
    return item.time + rows * whole + rows * rest // item.rate.numerator


@dataclass(frozen=True, slots=True)
class Dropped:
    """Journal record: the owner deleted samples [first, last] of (stream, epoch) that nobody had uploaded.

    Later records of a stream and epoch may cover earlier ones: their union is what was dropped.
    """

    stream: str
    epoch: int
    first: int
    last: int
    time: int


Item = Batch | RecordBatch | Dropped
