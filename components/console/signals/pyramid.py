"""The history of one stream: bins of samples with minimum, maximum and mean of each channel, and coarser ones above.

    <stream>/channels-<generation>.json     names and units; another set of channels is another generation
    <stream>/<yyyymmdd>-<level>-<generation>.bins   records of fixed size, in the order of arrival

A bin of level 0 holds as many samples as a second has, at most 256; each level above holds 16 of the one below. What is
here can be lost: the journal is the truth.
"""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeloop import decode
from edgeloop.clock import NS
from edgeloop.durable import replace
from edgeloop.errors import DecodeError
from edgeloop.wire.batch import Batch, Channel, row_times

FINEST: Final = 256
"""Most samples of a bin of level 0."""
STEP: Final = 16
LEVELS: Final = 4
_FILE = re.compile(r"(\d{8})-(\d)-([0-9a-f]{8})\.bins")


class Column(msgspec.Struct, frozen=True):
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Bins:
    """times (n,) int64 ns UTC, of each bin's first sample; low, high, mean (n, channels) float32."""

    columns: tuple[Column, ...]
    times: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]


def record(channels: int) -> np.dtype[Any]:
    """8 + 12 B a channel."""
    return np.dtype(
        [("time", "<i8"), ("low", "<f4", (channels,)), ("high", "<f4", (channels,)), ("mean", "<f4", (channels,))]
    )


def day(time: int) -> str:
    return f"{datetime.fromtimestamp(time // NS, UTC):%Y%m%d}"


class Pyramid:
    """The writer's side of one stream."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: tuple[Column, ...] = ()
        self._generation = ""
        self._size = 0
        self._rest: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._above: list[list[NDArray[Any]]] = [[] for _ in range(LEVELS)]
        self._pending: dict[tuple[str, int], list[NDArray[Any]]] = {}
        self._newest = _newest(folder)

    def add(self, batch: Batch) -> None:
        """The samples of a batch, in physical units."""
        columns = tuple(Column(c.name, c.unit) for c in batch.channels)
        if columns != self._columns:
            self._begin(columns, batch.channels)
        if batch.discontinuity:
            self._cut()
        self._size = self._size or bin_size(batch)
        self._rest.append((row_times(batch), np.asarray(batch.values(), dtype=np.float64)))
        have = sum(len(times) for times, _ in self._rest)
        if have >= self._size:
            times = np.concatenate([times for times, _ in self._rest])
            values = np.concatenate([values for _, values in self._rest])
            whole = len(times) // self._size * self._size
            self._rest = [(times[whole:], values[whole:])] if whole < len(times) else []
            self._level(0, _binned(times[:whole], values[:whole], self._size, record(len(columns))))

    def flush(self) -> int:
        """Bytes written."""
        written = 0
        if self._pending:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for (date, level), blocks in self._pending.items():
            path = self._folder / f"{date}-{level}-{self._generation}.bins"
            data = np.concatenate(blocks).tobytes()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                torn = os.fstat(descriptor).st_size % record(len(self._columns)).itemsize
                if torn:
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - torn)
                written += os.write(descriptor, data)
            finally:
                os.close(descriptor)
        self._pending.clear()
        return written

    def _begin(self, columns: tuple[Column, ...], channels: Sequence[Channel]) -> None:
        self.flush()
        self._cut()
        self._columns, self._size = columns, 0
        text = msgspec.json.encode(columns)
        self._generation = hashlib.blake2b(text, digest_size=4).hexdigest()
        path = self._folder / f"channels-{self._generation}.json"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(path, text, mode=0o600)

    def _cut(self) -> None:
        """No bin lies over a gap."""
        self._rest.clear()
        self._above = [[] for _ in range(LEVELS)]

    def _level(self, level: int, bins: NDArray[Any]) -> None:
        bins = bins[bins["time"] > self._newest.get(level, -1)]
        if not len(bins):
            return
        self._newest[level] = int(bins["time"][-1])
        for date in dict.fromkeys((day(int(bins["time"][0])), day(int(bins["time"][-1])))):
            inside = bins if date == day(int(bins["time"][0])) == day(int(bins["time"][-1])) else _of_day(bins, date)
            self._pending.setdefault((date, level), []).append(inside)
        if level + 1 == LEVELS:
            return
        held = self._above[level]
        held.append(bins)
        if sum(map(len, held)) >= STEP:
            joined = np.concatenate(held)
            whole = len(joined) // STEP * STEP
            self._above[level] = [joined[whole:]] if whole < len(joined) else []
            self._level(level + 1, _joined(joined[:whole]))


def bin_size(batch: Batch) -> int:
    """Samples of a bin of level 0: a second's, at most FINEST."""
    if batch.rate is not None:
        return int(min(FINEST, max(1, round(batch.rate))))
    times = row_times(batch)
    if len(times) < 2 or times[-1] <= times[0]:
        return 1
    return int(min(FINEST, max(1, (len(times) - 1) * NS // int(times[-1] - times[0]))))


def read(folder: Path, start: int, end: int, most: int) -> Bins | None:
    """The bins of [start, end) in ns UTC: of the finest level whose files hold at most `most` there, of the newest set
    of channels. None where there are none."""
    files = _files(folder)
    generations = [g for _, _, g in sorted(files)]
    if not generations:
        return None
    generation = generations[-1]
    columns = _columns(folder, generation)
    if columns is None:
        return None
    days = {day(start), day(end - 1)} | {d for d, _, _ in files if day(start) <= d <= day(end - 1)}
    chosen: list[NDArray[Any]] = []
    for level in range(LEVELS):
        parts = [_slice(folder / f"{d}-{level}-{generation}.bins", len(columns), start, end) for d in sorted(days)]
        count = sum(map(len, parts))
        if count:
            chosen = parts
        if 0 < count <= most:
            break
    if not chosen:
        return None
    found = np.concatenate(chosen)
    return Bins(columns, found["time"], found["low"], found["high"], found["mean"])


def thinned(bins: Bins, most: int) -> Bins:
    """At most `most` bins, each over several."""
    step = -(-len(bins.times) // max(1, most))
    if step <= 1:
        return bins
    at = np.arange(0, len(bins.times), step)
    counts = np.diff(np.append(at, len(bins.times)))[:, None]
    mean = np.add.reduceat(bins.mean, at, axis=0) / counts
    return Bins(
        bins.columns, bins.times[at], np.minimum.reduceat(bins.low, at, axis=0),
        np.maximum.reduceat(bins.high, at, axis=0), mean.astype(np.float32),
    )  # fmt: skip


def trim(folder: Path, budget: int) -> int:
    """Deletes the finest bins of the oldest days of all streams below `folder` until they take at most `budget` bytes.
    Returns the bytes that are left."""
    found = [(p, _FILE.fullmatch(p.name), p.stat().st_size) for p in folder.glob("*/*.bins")]
    files = [(m[1], int(m[2]), p, size) for p, m, size in found if m is not None]
    total = sum(size for *_, size in files)
    today = max((d for d, *_ in files), default="")
    order = sorted(files, key=lambda f: (f[1] + (f[0] == today) * LEVELS, f[0]))
    for _, _, path, size in order:
        if total <= budget:
            break
        path.unlink(missing_ok=True)
        total -= size
    return total


# -- inside ------------------------------------------------------------------------------------------------------------


def _binned(times: NDArray[np.int64], values: NDArray[np.float64], size: int, kind: np.dtype[Any]) -> NDArray[Any]:
    shaped = values.reshape(-1, size, values.shape[1])
    bins = np.empty(len(shaped), kind)
    bins["time"], bins["low"], bins["high"] = times[::size], shaped.min(axis=1), shaped.max(axis=1)
    bins["mean"] = shaped.mean(axis=1)
    return bins


def _joined(bins: NDArray[Any]) -> NDArray[Any]:
    shaped = bins.reshape(-1, STEP)
    above = np.empty(len(shaped), bins.dtype)
    above["time"], above["low"] = shaped["time"][:, 0], shaped["low"].min(axis=1)
    above["high"], above["mean"] = shaped["high"].max(axis=1), shaped["mean"].mean(axis=1)
    return above


def _of_day(bins: NDArray[Any], date: str) -> NDArray[Any]:
    return bins[[day(int(t)) == date for t in bins["time"]]]


def _files(folder: Path) -> list[tuple[str, int, str]]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [(m[1], int(m[2]), m[3]) for m in map(_FILE.fullmatch, names) if m]


def _columns(folder: Path, generation: str) -> tuple[Column, ...] | None:
    try:
        return decode.file(folder / f"channels-{generation}.json", tuple[Column, ...])
    except (OSError, DecodeError):
        return None


def _slice(path: Path, channels: int, start: int, end: int) -> NDArray[Any]:
    """The bins of [start, end) as they lie in the file: found by halving, so that nothing else of a day is read."""
    kind = record(channels)
    try:
        count = path.stat().st_size // kind.itemsize
        bins = np.memmap(path, kind, "r", shape=(count,)) if count else np.empty(0, kind)
    except FileNotFoundError:
        return np.empty(0, kind)
    times = bins["time"]
    first, last = (bisect_left(range(len(times)), at, key=lambda row: int(times[row])) for at in (start, end))
    return bins[first:last]


def _newest(folder: Path) -> dict[int, int]:
    """The time of the last bin of each level: what comes again after a restart is not written twice."""
    newest: dict[int, int] = {}
    for date, level, generation in sorted(_files(folder)):
        columns = _columns(folder, generation)
        path = folder / f"{date}-{level}-{generation}.bins"
        kind = record(len(columns)) if columns else None
        if kind is None or path.stat().st_size < kind.itemsize:
            continue
        count = path.stat().st_size // kind.itemsize
        newest[level] = int(np.memmap(path, kind, "r", shape=(count,))["time"][-1])
    return newest
