"""Samples of one stream, read from a journal that may be written meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.journal import JournalReader, Position, since, tail
from edgeloop.journal.segment import read_footer, segments
from edgeloop.wire.batch import Batch, Dropped, RecordBatch, row_times

PASS = 16 << 20
"""Bytes of the journal in memory at once, roughly."""


@dataclass(slots=True)
class Account:
    """What was taken. steps: where time or index do not go on; missing: samples that indexes leave out; dropped: those
    that the owner deleted; damaged: places of the journal that cannot be read. Times in ns UTC."""

    rows: int = 0
    epochs: int = 0
    steps: int = 0
    missing: int = 0
    dropped: int = 0
    damaged: int = 0
    first: int | None = None
    last: int | None = None


def streams(journal: Path) -> dict[str, int]:
    """Those there are, and ns UTC of the newest sample of each that the newest segment holding it has."""
    names = segments(journal)
    if not names:
        where, mend = str(journal), "name the nucleus with --root; is io.edgeloop.SensorIngest deployed?"
        raise EdgeloopError("there is no journal", where=where, mend=mend)
    newest: dict[str, int] = {}
    for name in reversed(names):
        try:
            footer = read_footer(journal / name)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise EdgeloopError(
                "cannot read the journal", where=str(journal), why="it is its component's",
                mend="run this as the component user (sudo -u ggc_user)",
            ) from None  # fmt: skip
        if footer is not None and footer.contents.ranges.keys() <= newest.keys():
            continue
        found: dict[str, int] = {}
        for item in _items(journal, Position(name, 0), _end(journal, name)):
            if isinstance(item, (Batch, RecordBatch)) and len(item):
                found[item.stream] = max(found.get(item.stream, 0), int(row_times(item)[-1]))
        newest = found | newest
    return newest


def samples(
    journal: Path, stream: str, start: int | None, end: int | None, account: Account
) -> Iterator[Batch | RecordBatch]:
    """Of [start, end), in the order of the journal; no empty ones. `account` is complete at the end."""
    reader = JournalReader(journal, None if start is None else since(journal, start))
    known: tuple[int, int] | None = None
    try:
        for item in _read(reader, tail(journal)):
            if item.stream != stream:
                continue
            if isinstance(item, Dropped):
                account.dropped += item.last - item.first + 1
                continue
            part = _within(item, start, end)
            if not len(part):
                continue
            times = row_times(part)
            if known is None or known[0] != part.epoch:
                account.epochs += 1
                account.steps += known is not None
            elif part.index != known[1]:
                account.missing += max(0, part.index - known[1])
                account.steps += 1
            elif part.discontinuity:
                account.steps += 1
            known = part.epoch, part.index + len(part)
            account.rows += len(part)
            account.first = int(times[0]) if account.first is None else account.first
            account.last = int(times[-1])
            yield part
        account.damaged = reader.gaps
    finally:
        reader.close()


def _within(item: Batch | RecordBatch, start: int | None, end: int | None) -> Batch | RecordBatch:
    times = row_times(item)
    if not len(times) or ((start is None or times[0] >= start) and (end is None or times[-1] < end)):
        return item
    wanted = np.ones(len(times), bool)
    if start is not None:
        wanted &= times >= start
    if end is not None:
        wanted &= times < end
    rows = np.flatnonzero(wanted)
    low, high = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    kept = None if item.times is None else item.times[low:high]
    whole = low == 0 and item.discontinuity
    if isinstance(item, Batch):
        return replace(
            item, index=item.index + low, time=item.time_of(low), samples=item.samples[low:high], times=kept,
            discontinuity=whole,
        )  # fmt: skip
    columns = {name: replace(c, values=c.values[low:high]) for name, c in item.columns.items()}
    return replace(item, index=item.index + low, times=item.times[low:high], columns=columns, discontinuity=whole)


def _items(journal: Path, start: Position, until: Position) -> Iterator[Batch | RecordBatch | Dropped]:
    reader = JournalReader(journal, start)
    try:
        yield from _read(reader, until)
    finally:
        reader.close()


def _read(reader: JournalReader, until: Position) -> Iterator[Batch | RecordBatch | Dropped]:
    while reader.position < until:
        before = reader.position
        for item, _ in reader.read(until, PASS):
            yield item
        if reader.position == before:
            return


def _end(journal: Path, name: str) -> Position:
    try:
        return Position(name, os.stat(journal / name).st_size)
    except FileNotFoundError:
        return Position(name, 0)
