"""From changes of single nodes, each at its own time, to rows of all of them.

A server reports by exception: until it says otherwise a value holds. So a row holds, at the time of a change, the
last value of every node, which is what the server would have answered then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeloop.sequence import Chunk, Records, Samples
from edgeloop.wire.batch import Clock, Column
from sensor_ingest.sources import entries
from sensor_ingest.sources.opcua.nodes import Row

Value = float | int | str | None
"""None: the server calls it bad, or it is of another type than its row says."""
GOOD, UNCERTAIN, BAD = 0x00000000, 0x40000000, 0x80000000
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_SEVERITY = 0xC0000000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What a server said of a node. time: ns UTC of its source; status: OPC 10000-4, 7.38."""

    name: str
    time: int
    value: object
    status: int = GOOD


def value(row: Row, change: Change, words: Mapping[str, float] = MappingProxyType({})) -> Value:
    """The value as the row wants it; uncertain ones are kept. words: number by text, in small letters; NaN: none.

    >>> from sensor_ingest.sources.opcua.nodes import parse
    >>> row = parse("a", "ns=2;s=a Cel *0.1")
    >>> value(row, Change("a", 0, 725)), value(row, Change("a", 0, 725, BAD)), value(row, Change("a", 0, "x"))
    (72.5, None, None)
    >>> value(parse("a", "ns=2;s=a [1]"), Change("a", 0, [1.0, 2.0])), value(row, Change("a", 0, "725"))
    (2.0, 72.5)
    >>> value(parse("a", "ns=2;s=a"), Change("a", 0, "On"), {"on": 1.0})
    1.0
    """
    found = part(row, change.value)
    if change.status & _SEVERITY not in (GOOD, UNCERTAIN) or found is None:
        return None
    if row.kind == "string":
        return found if isinstance(found, str) else str(getattr(found, "Text", found))
    if isinstance(found, datetime):
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if isinstance(found, str) and row.kind == "number" and (known := words.get(found.strip().casefold())) is not None:
        return known
    if isinstance(found, str) and row.kind == "number":
        found = _plain(found)
    if not isinstance(found, (bool, int, float)):
        return None
    if row.kind == "number":
        return float(found) * row.scale + row.offset
    if isinstance(found, float) and not found.is_integer():
        return None
    return int(bool(found)) if row.kind == "bool" else int(found)


def part(row: Row, found: object) -> object:
    """The element and field that a row names; None where there is none."""
    for place in row.index:
        if not isinstance(found, (list, tuple)) or place >= len(found):
            return None
        found = found[place]
    for name in row.field.split(".") if row.field else ():
        found = getattr(found, name, None)
    return found[0] if isinstance(found, list) and len(found) == 1 and not row.index else found


def _plain(text: str) -> float | None:
    try:
        return float(text) if _NUMBER.fullmatch(text.strip()) else None
    except ValueError:
        return None


class Rows:
    """Streams `<id>` (numbers), `<id>_state` (bool, enumerations, strings) and `<id>_status` (status codes, a row at
    each change of one). Times never go back: what comes late takes the time of the row before it."""

    def __init__(self, id: str, rows: Mapping[str, Row], words: Mapping[str, float] = MappingProxyType({})) -> None:
        self._id, self._rows = id, rows
        self._words = {word.casefold(): number for word, number in words.items()}
        self._numbers = [row for row in rows.values() if row.kind == "number"]
        self._states = [row for row in rows.values() if row.kind != "number"]
        self._values: dict[str, Value] = dict.fromkeys(rows)
        self._codes: dict[str, int] = dict.fromkeys(rows, BAD)
        self.newest = 0
        """ns UTC of the last row."""
        self.late = 0
        """Changes that were older than the row before."""

    @property
    def bad(self) -> dict[str, int]:
        """Status by name, of what has no value."""
        return {name: self._codes[name] for name, value in self._values.items() if value is None}

    def start(self, changes: Iterable[Change], time: int, clock: Clock) -> list[Chunk]:
        """The first row: what all nodes hold at a time in ns UTC."""
        for change in changes:
            self._take(change)
        self.newest = max(self.newest, time)
        now = [(self.newest, dict(self._values))]
        return self._chunks(now, now, [(self.newest, dict(self._codes))], clock)

    def add(self, changes: Sequence[Change], clock: Clock) -> list[Chunk]:
        """Rows for what one message brought, a row for every time at which something changed."""
        numbers: list[tuple[int, dict[str, Value]]] = []
        states: list[tuple[int, dict[str, Value]]] = []
        codes: list[tuple[int, dict[str, int]]] = []
        for change in self._in_order(changes):
            value, code = self._values[change.name], self._codes[change.name]
            self._take(change)
            recoded = code != self._codes[change.name]
            if change.time <= self.newest and not recoded and value == self._values[change.name]:
                continue
            self.late += change.time < self.newest
            self.newest = max(change.time, self.newest)
            _append(numbers if self._rows[change.name].kind == "number" else states, self.newest, dict(self._values))
            if recoded:
                _append(codes, self.newest, dict(self._codes))
        return self._chunks(numbers, states, codes, clock)

    def _in_order(self, changes: Sequence[Change]) -> list[Change]:
        """By time, but of one node in the order in which the server told: what it says last is what holds."""
        newest: dict[str, int] = {}
        ordered = []
        for change in changes:
            before = newest.get(change.name, change.time)
            if change.time < before:
                self.late += before >= self.newest
                change = replace(change, time=before)
            newest[change.name] = change.time
            ordered.append(change)
        return sorted(ordered, key=lambda change: change.time)

    def hold(self, time: int, clock: Clock) -> list[Chunk]:
        """A row that says that everything still holds."""
        self.newest = max(self.newest, time)
        now = [(self.newest, dict(self._values))]
        return self._chunks(now, now, [], clock)

    def lose(self, time: int, clock: Clock) -> list[Chunk]:
        """A row that says that no number is known any more."""
        self._values = dict.fromkeys(self._values)
        self.newest = max(self.newest, time)
        return self._chunks([(self.newest, self._values)], [], [], clock)

    def _take(self, change: Change) -> None:
        self._values[change.name] = value(self._rows[change.name], change, self._words)
        self._codes[change.name] = change.status

    def _chunks(
        self,
        numbers: Sequence[tuple[int, Mapping[str, Value]]],
        states: Sequence[tuple[int, Mapping[str, Value]]],
        codes: Sequence[tuple[int, Mapping[str, int]]],
        clock: Clock,
    ) -> list[Chunk]:
        chunks: list[Chunk] = []
        if numbers and self._numbers:
            names = [row.name for row in self._numbers]
            values = [[math.nan if row[name] is None else row[name] for name in names] for _, row in numbers]
            samples = np.array(values, dtype=np.float64)
            chunks.append(Samples(self._id, samples, times=_times(numbers), clock=clock))
        if self._states:
            for same in _runs(states, self._states):
                known = [row for row in self._states if same[0][1][row.name] is not None]
                columns = {row.name: _column(row, [values[row.name] for _, values in same]) for row in known}
                if columns:
                    chunks.append(Records(f"{self._id}_state", _times(same), columns, clock=clock))
        if codes:
            status = {
                name: Column("status", np.array([row[name] for _, row in codes], dtype=np.uint32))
                for name in self._rows
            }
            chunks.append(Records(f"{self._id}_status", _times(codes), status, clock=clock))
        return chunks


def _append(rows: list[tuple[int, T]], time: int, row: T) -> None:
    """A row, or in place of the one that has the same time."""
    if rows and rows[-1][0] == time:
        rows.pop()
    rows.append((time, row))


def _times(rows: Sequence[tuple[int, object]]) -> NDArray[np.int64]:
    return np.array([time for time, _ in rows], dtype=np.int64)


def _runs(
    rows: Sequence[tuple[int, Mapping[str, Value]]], wanted: Sequence[Row]
) -> list[list[tuple[int, Mapping[str, Value]]]]:
    """Rows that follow each other and know the same columns."""
    runs: list[list[tuple[int, Mapping[str, Value]]]] = []
    before: list[bool] | None = None
    for time, values in rows:
        known = [values[row.name] is not None for row in wanted]
        if known != before:
            runs.append([])
        runs[-1].append((time, values))
        before = known
    return runs


def _column(row: Row, values: Sequence[Value]) -> Column:
    if row.kind == "bool":
        return Column("bool", np.array(values, dtype=np.uint8))
    texts = [str(found) if row.kind == "string" else int(found or 0) for found in values]
    return entries.column(texts, row.labels)
