"""Cursors: how far a reader has come, kept in the reader's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edgeloop import decode
from edgeloop.clock import NS, now
from edgeloop.errors import DecodeError
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

    def load(self) -> Cursor | None:
        """None where nothing was saved yet. Raises JournalError where the file is no cursor."""
        try:
            cursor = decode.file(self.path, Cursor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError("cannot read a cursor", where=str(self.path), why=str(error.strerror)) from error
        except DecodeError as error:
            raise JournalError(
                "a cursor is damaged", where=str(self.path), why=str(error), mend="delete it to read all again"
            ) from error
        if cursor.offset < 0 or (cursor.position != START and not is_segment(cursor.segment)):
            raise JournalError("a cursor names no segment", where=str(self.path), mend="delete it to read all again")
        return cursor

    def save(self, position: Position, lease: float = 0.0) -> None:
        """`lease` in seconds from now. A death or power cut leaves this cursor or the one before."""
        until = now() + int(lease * NS) if lease > 0 else 0
        data = msgspec.json.encode(Cursor(position.segment, position.offset, until))
        scratch = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, data)
                os.fdatasync(fd)
            finally:
                os.close(fd)
            os.replace(scratch, self.path)
        except OSError as error:
            raise JournalError("cannot save a cursor", where=str(self.path), why=str(error.strerror)) from error
