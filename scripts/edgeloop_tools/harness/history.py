"""The streams over the run in few numbers, taken from the journal: what the plots and the trivial threshold look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.wire.batch import Batch, RecordBatch
from edgeloop_tools.harness.ledger import walk

BLOCK = NS // 5
"""Fast streams are reduced to one RMS per channel and block, ns."""
FAST = 50
"""Streams of more samples a second than this are reduced."""


@dataclass(slots=True)
class Series:
    """times: ns UTC by the source's clock; rows: one value per channel (RMS without mean for a fast stream)."""

    channels: tuple[str, ...]
    units: tuple[str, ...]
    fast: bool
    times: list[int] = field(default_factory=list)
    rows: list[NDArray[np.floating]] = field(default_factory=list)

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n,) and (n, channels), in the journal's order."""
        times = np.array(self.times, dtype=np.int64)
        rows = np.array(self.rows, dtype=np.float64).reshape(len(times), len(self.channels))
        return times, rows


@dataclass(slots=True)
class _Open:
    block: int
    time: int
    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]


class History:
    """Fed with every batch of the journal."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.running: dict[str, tuple[list[int], list[bool]]] = {}
        self._open: dict[str, _Open] = {}

    def add(self, item: Batch | RecordBatch) -> None:
        if isinstance(item, RecordBatch):
            column = item.columns.get("running")
            if column is not None and not isinstance(column.values, tuple):
                times, states = self.running.setdefault(item.stream, ([], []))
                times += item.times.tolist()
                states += column.values.astype(bool).tolist()
            return
        series = self.series.get(item.stream)
        if series is None:
            fast = item.rate is not None and item.rate > FAST
            names, units = tuple(c.name for c in item.channels), tuple(c.unit for c in item.channels)
            series = self.series[item.stream] = Series(names, units, fast)
        values = item.values()
        if not series.fast:
            for row in range(len(item)):
                series.times.append(item.time_of(row))
                series.rows.append(np.asarray(values[row], dtype=np.float64))
            return
        assert item.rate is not None
        self._reduce(series, item, values, item.rate)

    def _reduce(self, series: Series, item: Batch, values: NDArray[np.floating], rate: Fraction) -> None:
        size = max(1, round(rate * BLOCK / NS))
        row = 0
        while row < len(values):
            block, within = divmod(item.index + row, size)
            upto = min(len(values), row + size - within)
            piece = np.asarray(values[row:upto], dtype=np.float64)
            current = self._open.get(item.stream)
            if current is None or current.block != block:
                zero = np.zeros(values.shape[1])
                current = self._open[item.stream] = _Open(block, item.time_of(row), 0, zero, zero.copy())
            current.count += len(piece)
            current.total += piece.sum(axis=0)
            current.squares += np.einsum("ij,ij->j", piece, piece)
            if within + len(piece) == size:
                if current.count == size:
                    mean = current.total / size
                    series.times.append(current.time)
                    series.rows.append(np.sqrt(np.maximum(current.squares / size - mean * mean, 0.0)))
                del self._open[item.stream]
            row = upto

    def running_at(self, stream: str, times: NDArray[np.int64], settle: int) -> NDArray[np.bool_]:
        """Whether the machine had been running for `settle` ns at each time; all true where no PLC stream says."""
        known = self.running.get(stream)
        if known is None or not known[0]:
            return np.ones(len(times), dtype=bool)
        order = np.argsort(np.array(known[0]), kind="stable")
        at = np.array(known[0], dtype=np.int64)[order]
        state = np.array(known[1], dtype=bool)[order]
        place = np.searchsorted(at, times, side="right") - 1
        now_running = np.where(place >= 0, state[np.maximum(place, 0)], False)
        stopped = at[~state]
        recent = np.searchsorted(stopped, times, side="right") - np.searchsorted(stopped, times - settle, side="right")
        settled: NDArray[np.bool_] = now_running & (recent == 0)
        return settled


def window(
    directory: Path, stream: str, start: int, end: int
) -> tuple[NDArray[np.float64], float, tuple[str, ...]] | None:
    """The samples (n, channels) of a stream between two times in ns UTC, with the rate in Hz and the channels."""
    pieces: list[NDArray[np.float64]] = []
    rate = 0.0
    names: tuple[str, ...] = ()
    for batch in _batches(directory, stream):
        if batch.rate is None or batch.end <= start or batch.time >= end:
            continue
        rate, names = float(batch.rate), tuple(c.name for c in batch.channels)
        first = max(0, round((start - batch.time) * rate / NS))
        last = min(len(batch), round((end - batch.time) * rate / NS))
        pieces.append(np.asarray(batch.values()[first:last], dtype=np.float64))
    return (np.concatenate(pieces), rate, names) if pieces else None


def _batches(directory: Path, stream: str) -> Iterable[Batch]:
    return (item for item in walk(directory) if isinstance(item, Batch) and item.stream == stream)


def envelope_spectrum(
    samples: NDArray[np.float64], rate: float, upto: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Envelope of one channel above a 16th of the rate: frequencies and amplitudes up to `upto` Hz.

    Randall and Antoni, Rolling element bearing diagnostics, Mechanical Systems and Signal Processing 25 (2011).

    >>> t = np.arange(8192) / 8192
    >>> hum = (1 + np.cos(2 * np.pi * 100 * t)) * np.cos(2 * np.pi * 2000 * t)
    >>> f, a = envelope_spectrum(hum, 8192, 500)
    >>> float(f[np.argmax(a)])
    100.0
    """
    n = len(samples)
    spectrum = np.fft.rfft(samples - samples.mean())
    spectrum[: n // 8] = 0
    analytic = np.zeros(n, dtype=np.complex128)
    analytic[: len(spectrum)] = 2 * spectrum
    envelope = np.abs(np.fft.ifft(analytic))
    amplitude = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(n))).astype(np.float64) * 4 / n
    frequency = np.fft.rfftfreq(n, 1 / rate).astype(np.float64)
    keep = frequency <= upto
    return frequency[keep], amplitude[keep]
