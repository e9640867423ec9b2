"""Count, sum, least and greatest of each minute, from files of any size in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.data import schemas
from edgeloop.decode import document
from edgeloop_tools.lake.listing import PURPOSE, Object

MINUTE = 60 * NS
ROWS = 131_072
"""Rows in memory at once."""

Moments = tuple[int, float, float, float]
"""n, sum, min, max."""
Key = tuple[str, str, str, str, str]
"""device, stream, clock, column, unit."""


class Minutes:
    """The moments of one site and date by key and minute (ns UTC). A sample that lies in several files counts once."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem
        self.found: dict[Key, dict[int, Moments]] = {}

    def add(self, objects: Sequence[Object]) -> None:
        """The files of one stream."""
        runs: dict[tuple[str, str], list[tuple[int, int, Object]]] = {}
        for item in objects:
            device, epoch, first, last = _named(item.key)
            runs.setdefault((device, epoch), []).append((first, last, item))
        for files in runs.values():
            files.sort(key=lambda f: f[:2])
            until, seen = -1, np.empty(0, dtype=np.int64)
            for at, (first, last, item) in enumerate(files):
                overlaps = first <= until or (at + 1 < len(files) and files[at + 1][0] <= last)
                kept = self._file(item, seen if overlaps else None)
                seen = np.union1d(seen, kept) if overlaps else seen[:0]
                until = max(until, last)

    def _file(self, item: Object, seen: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """seen: indices that were counted. The indices of this file, where any were given."""
        pq = optional.load("pyarrow.parquet", PURPOSE)
        every = [np.empty(0, dtype=np.int64)]
        stream, clock = item.parts["stream"], item.parts.get("clock", "synced")
        with self._filesystem.open_input_file(item.path) as opened:
            file = pq.ParquetFile(opened)
            wanted = list(_channels(file.schema_arrow))
            time = schemas.times(file.schema_arrow)[0]
            columns = [time, "index", "device", *(stored for _, stored, _, _, _ in wanted)]
            for batch in file.iter_batches(batch_size=ROWS, columns=columns, use_threads=False):
                if not batch.num_rows:
                    continue
                times = np.asarray(batch.column(time).cast("int64"))
                device = str(batch.column("device")[0])
                mask = None
                if seen is not None:
                    index = np.asarray(batch.column("index"))
                    mask = ~np.isin(index, seen)
                    every.append(index)
                for name, stored, unit, scale, offset in wanted:
                    column = batch.column(stored).cast("float64")
                    values = column.to_numpy(zero_copy_only=False) * scale + offset
                    good = np.isfinite(values) if mask is None else np.isfinite(values) & mask
                    self._add((device, stream, clock, name, unit), times[good] // MINUTE * MINUTE, values[good])
        return np.concatenate(every)

    def _add(self, key: Key, minutes: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        if np.any(np.diff(minutes) < 0):
            order = np.argsort(minutes, kind="stable")
            minutes, values = minutes[order], values[order]
        at = np.flatnonzero(np.concatenate(([True], np.diff(minutes) != 0)))
        counts = np.diff(np.concatenate((at, [len(values)])))
        sums = np.add.reduceat(values, at)
        low, high = np.minimum.reduceat(values, at), np.maximum.reduceat(values, at)
        known = self.found.setdefault(key, {})
        for minute, n, total, least, most in zip(
            minutes[at].tolist(), counts.tolist(), sums.tolist(), low.tolist(), high.tolist(), strict=True
        ):
            n0, total0, least0, most0 = known.get(minute, (0, 0.0, np.inf, -np.inf))
            known[minute] = (n0 + n, total0 + total, min(least0, least), max(most0, most))


def _channels(schema: Any) -> Iterator[tuple[str, str, str, float, float]]:
    """Name of today, name in the file, unit, scale and offset of what has a mean: numbers and switches."""
    pa = optional.load("pyarrow", PURPOSE)
    for name, stored in schemas.names(schema).items():
        field = schema.field(stored)
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
        if numeric:
            about = field.metadata or {}
            scale, offset = float(document(about.get(b"scale", b"1"))), float(document(about.get(b"offset", b"0")))
            yield name, stored, about.get(b"unit", b"").decode(), scale, offset


def _named(key: str) -> tuple[str, str, int, int]:
    """
    >>> _named("raw/site=a/core_7_00ab_0-99.parquet")
    ('core_7', '00ab', 0, 99)
    """
    stem = key.rpartition("/")[2].removesuffix(".parquet")
    device, epoch, rows = stem.rsplit("_", 2)
    first, _, last = rows.partition("-")
    return device, epoch, int(first), int(last)
