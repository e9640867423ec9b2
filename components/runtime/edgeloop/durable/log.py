"""Records in the order they happened, one a line; a record is whole or it is not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeloop import decode
from edgeloop.durable.disk import place, put, replace, sync_folder
from edgeloop.durable.seal import HEAD, seal, sealed, unseal

LARGEST: Final = 4 << 20
"""Bytes of a record."""
_FILE: Final = 256 << 20


class AppendLog:
    """JSON objects, each with its checksum. What `append` returned for survives the death of the process, once `sync`
    returned also a power cut. A line that was torn or has changed is passed over, and counted in `damaged`.

    Nothing is opened before it is needed. kept: a file that has grown to `largest` bytes becomes `<stem>.1<suffix>`,
    that one `<stem>.2<suffix>`, up to `kept`; 0: it only grows, and its owner rewrites it.
    """

    def __init__(self, path: Path, *, kept: int = 0, largest: int = LARGEST, mode: int = 0o600) -> None:
        self.path = path
        self._kept, self._largest, self._mode = kept, largest, mode
        self._descriptor = -1
        self._end = self._safe = 0
        self._torn = self._named = self._ragged = False
        self._doubtful = b""
        self.damaged = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        if self._descriptor >= 0:
            return self._end
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self) -> list[bytes]:
        """The records that are there. Raises OSError where the file is there and cannot be read."""
        found: list[bytes] = []
        self.damaged = 0
        try:
            content = decode.content(self.path, most=_FILE)
        except FileNotFoundError:
            return found
        except decode.DecodeError:
            self.damaged = 1
            return found
        for record in records(content):
            if record is None:
                self.damaged += 1
            else:
                found.append(record)
        return found

    def backwards(self) -> Iterator[bytes]:
        """The records of this file and of those before it, newest first."""
        for number in range(self._kept + 1):
            try:
                content = self._numbered(number).read_bytes()
            except OSError:
                continue
            yield from (record for record in reversed(list(records(content))) if record is not None)

    def append(self, record: bytes, *, sync: bool = True) -> None:
        """Raises OSError, and the record is not there, or perhaps where only the sync failed; ValueError for what is
        no record."""
        if b"\n" in record or len(record) > LARGEST:
            raise ValueError("a record has no line ends and is not larger than 4 MiB")
        line = seal(record) + b"\n"
        if self._kept and self.size >= self._largest:
            self._rotate()
        self._open()
        if self._ragged:
            self._cut()
        try:
            put(self._descriptor, b"\n" + line if self._torn else line, self._end)
        except OSError:
            self._ragged = True
            with suppress(OSError):
                self._cut()
            raise
        self._end += len(line) + self._torn
        self._torn = False
        if sync:
            self.sync()

    def sync(self) -> None:
        """To the disk, its name too. Raises OSError; what could not be brought there is written again by the next."""
        if self._descriptor < 0 or (self._safe == self._end and self._named):
            return
        if self._doubtful:
            put(self._descriptor, self._doubtful, self._safe)
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            with suppress(OSError):
                self._doubtful = os.pread(self._descriptor, self._end - self._safe, self._safe)
            raise
        if not self._named:
            sync_folder(self.path.parent)
            self._named = True
        self._safe, self._doubtful = self._end, b""

    def rewrite(self, kept: Iterable[bytes]) -> None:
        """Only these records, in one step. Raises OSError, leaving the old."""
        replace(self.path, b"".join(seal(record) + b"\n" for record in kept), self._mode)
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._doubtful = -1, b""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._descriptor >= 0:
            return
        self._named = self.path.exists()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        self._end = self._safe = os.fstat(self._descriptor).st_size
        self._torn = self._end > 0 and os.pread(self._descriptor, 1, self._end - 1) != b"\n"

    def _cut(self) -> None:
        """Takes back what a failed append began."""
        os.ftruncate(self._descriptor, self._end)
        self._ragged = False

    def _rotate(self) -> None:
        """One name after the other is on the disk, so that none takes the place of another that has not moved yet."""
        self.sync()
        self.close()
        for number in range(self._kept - 1, -1, -1):
            if self._numbered(number).exists():
                place(self._numbered(number), self._numbered(number + 1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_suffix(f".{number}{self.path.suffix}") if number else self.path


def records(content: bytes) -> Iterator[bytes | None]:
    """Of a file that perhaps another process writes; None for what is none."""
    for line in content.split(b"\n"):
        if line:
            yield from _of_line(line)


def whole(line: bytes) -> bytes | None:
    """The record of a line; None where it is torn or has changed."""
    try:
        record = unseal(line)
        if not sealed(line):
            decode.document(line, dict, bounds=decode.OWN)
    except (ValueError, decode.DecodeError):
        return None
    return record


def _of_line(line: bytes) -> Iterator[bytes | None]:
    """Where a line end is gone, the records that ran into each other."""
    record = whole(line)
    begin = line.find(HEAD, 1) if record is None else -1
    yield whole(line[:begin]) if begin > 0 else record
    if begin > 0:
        yield from _of_line(line[begin:])
