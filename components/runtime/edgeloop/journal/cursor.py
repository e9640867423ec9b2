"""Cursors: how far a reader has come, kept in the reader's own folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeloop.clock import NS, now
from edgeloop.durable import Damaged, Document, read
from edgeloop.journal.segment import START, JournalError, Position, is_segment

MAX_LEASE = 3600 * NS


class Cursor(msgspec.Struct, frozen=True):
    """Everything before (segment, offset) is done with. Until `lease` (ns UTC) the reader is at work on the segment."""

    segment: str
    offset: int
    lease: int = 0

    def leased(self, time: int) -> bool:
        """Never for longer than an hour ahead, so that a clock set back does not make a lease everlasting."""
        return 0 < self.lease - time <= MAX_LEASE

    @property
    def position(self) -> Position:
        return Position(self.segment, self.offset)


class CursorFile:
    """A small JSON file, replaced atomically.

    A lease asks the journal's owner to spare the segment at the cursor when it has to free disk, for a bounded time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Document(path, Cursor, lambda: _NONE, name=False)

    @property
    def damage(self) -> str:
        """What was wrong with the file that `load` set aside."""
        return self._file.damage

    def load(self) -> Cursor | None:
        """Its owner's; None where nothing was saved yet, or the file was no cursor and is set aside."""
        cursor = self._file.load()
        return None if cursor is _NONE or not _good(cursor) else cursor

    def look(self) -> Cursor | None:
        """Another process's. Raises JournalError where the file is no cursor."""
        try:
            cursor = read(self.path, Cursor)
        except OSError as error:
            raise JournalError("cannot read a cursor", where=str(self.path), why=str(error.strerror)) from error
        except Damaged as error:
            raise JournalError("a cursor is damaged", where=str(self.path), why=error.why) from error
        if cursor is not None and not _good(cursor):
            raise JournalError("a cursor names no segment", where=str(self.path))
        return cursor

    def save(self, position: Position, lease: float = 0.0) -> None:
        """`lease` in seconds from now. A death or power cut leaves this cursor or the one before."""
        until = now() + int(lease * NS) if lease > 0 else 0
        try:
            self._file.save(Cursor(position.segment, position.offset, until))
        except OSError as error:
            raise JournalError("cannot save a cursor", where=str(self.path), why=str(error.strerror)) from error


_NONE = Cursor("", 0)


def _good(cursor: Cursor) -> bool:
    return cursor.offset >= 0 and (cursor.position == START or is_segment(cursor.segment))
