"""Which segments go when the journal outgrows its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeloop.clock import now
from edgeloop.journal.cursor import Cursor, CursorFile
from edgeloop.journal.segment import JournalError, Latest, read_footer, scan, union
from edgeloop.wire.batch import Dropped

Problem = Callable[[str, str], None]
Cleared = Callable[[str], None]
_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    victims: tuple[str, ...]
    dropped: tuple[Dropped, ...]


class Retention:
    """Keeps the sealed segments within `budget` bytes less what is reserved for the live one.

    Records of a stream and epoch repeat and grow, so that the newest stand for those that went with their segments.
    What every durable reader has passed goes first, which is always the oldest; then the oldest, each range of it
    recorded as dropped. Nothing is passed while there is no durable reader. A segment under an unexpired lease is
    spared, so that the budget can be exceeded by a segment a lease.
    """

    def __init__(
        self, directory: Path, budget: int, durable_readers: Mapping[str, Path], on_problem: Problem, on_clear: Cleared
    ) -> None:
        self._directory, self._budget = directory, budget
        self._on_problem, self._on_clear = on_problem, on_clear
        self._damaged: set[str] = set()
        self.forgotten = 0
        self._known: list[Dropped] = []
        self._cursors = {name: CursorFile(path) for name, path in durable_readers.items()}

    def inherit(self, records: Sequence[Dropped]) -> None:
        """What earlier writers recorded."""
        self._known = union(records)

    def plan(self, sizes: Mapping[str, int], reserve: int) -> Plan:
        """sizes: bytes of the sealed segments, oldest first."""
        excess = sum(sizes.values()) + reserve - self._budget
        if excess <= 0:
            return Plan((), ())
        cursors = self._load()
        passed = min((c.segment if c else "" for c in cursors), default="")
        time = now()
        leased = {c.segment for c in cursors if c and c.leased(time)}
        victims: list[str] = []
        dropped: list[Dropped] = []
        for segment, size in sizes.items():
            if excess <= 0:
                break
            if segment in leased:
                continue
            if segment >= passed:
                dropped += self._lost(segment, time)
            victims.append(segment)
            excess -= size
        return Plan(tuple(victims), self._record(dropped))

    def released(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        """What may go at any time: sealed segments that every durable reader has passed."""
        passed = min((c.segment if c else "" for c in self._load()), default="")
        return tuple(segment for segment in sizes if segment < passed)

    def newest_cursor(self) -> str:
        """The newest segment that a durable reader has come to; empty where none has."""
        return max((cursor.segment for cursor in self._load() if cursor), default="")

    def _record(self, fresh: Sequence[Dropped]) -> tuple[Dropped, ...]:
        """The records to write: what is known to be dropped, where `fresh` adds to it or would take it away."""
        self._known = union([*self._known, *fresh])
        if len(self._known) > _RECORDS:
            oldest = sorted(self._known, key=lambda record: record.time)[: len(self._known) - _RECORDS]
            self._known = [record for record in self._known if record not in oldest]
            self.forgotten += len(oldest)
        touched = {(record.stream, record.epoch) for record in fresh}
        return tuple(record for record in self._known if (record.stream, record.epoch) in touched)

    def _load(self) -> list[Cursor | None]:
        cursors: list[Cursor | None] = []
        for name, file in self._cursors.items():
            try:
                cursors.append(file.look())
            except JournalError as error:
                cursors.append(None)
                self._damaged.add(name)
                self._on_problem(f"journal.reader.{name}", str(error))
                continue
            if name in self._damaged:
                self._damaged.remove(name)
                self._on_clear(f"journal.reader.{name}")
        return cursors

    def _lost(self, segment: str, time: int) -> list[Dropped]:
        try:
            footer = read_footer(self._directory / segment)
            contents = footer.contents if footer else scan(self._directory / segment, Latest())[0]
        except FileNotFoundError:
            return []
        return [
            *contents.dropped,
            *(Dropped(stream, e, first, last, time) for stream, rs in contents.ranges.items() for e, first, last in rs),
        ]
