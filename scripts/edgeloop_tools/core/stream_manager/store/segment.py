"""A run of messages with consecutive sequence numbers, in a file or in memory.

A file is named by its first sequence number and holds records: CRC-32C of the rest, payload length (both uint32),
sequence number, ingest time in ms (both int64), all big-endian, and the payload.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from awscrt import checksums

HEAD = struct.Struct(">IIqq")
_REST = struct.Struct(">Iqq")
SUFFIX = ".log"


class Message(NamedTuple):
    """ingest_time: ms since 1970, UTC."""

    sequence_number: int
    ingest_time: int
    payload: bytes


class Segment(Protocol):
    """`size` in bytes, heads included; `newest` is `first` - 1 while it is empty."""

    first: int
    size: int
    last_ingest: int

    @property
    def newest(self) -> int: ...
    def append(self, payload: bytes, ingest_time: int) -> None: ...
    def read(self, start: int) -> Iterator[Message]: ...
    def seal(self) -> None: ...
    def remove(self) -> None: ...
    def descriptor(self) -> int | None:
        """A copy of the file's descriptor, for the caller to sync and close."""
        ...


class FileSegment:
    """Raises OSError. A failed append leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = int(path.stem)
        self.size = 0
        self.last_ingest = 0
        self._offsets = array("Q")
        self._file: int | None = None

    @classmethod
    def create(cls, folder: Path, first: int) -> FileSegment:
        found = cls(folder / f"{first:020d}{SUFFIX}")
        found._file = os.open(found.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return found

    @classmethod
    def recover(cls, path: Path, *, last: bool) -> tuple[FileSegment, int]:
        """A segment of an earlier process, and the bytes behind its last good record. They are cut off where it is the
        last segment, which goes on."""
        found = cls(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            end = os.fstat(descriptor).st_size
            while found._scan(descriptor, end):
                pass
            if last:
                if found.size < end:
                    os.ftruncate(descriptor, found.size)
                found._file, descriptor = descriptor, -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return found, end - found.size

    @property
    def newest(self) -> int:
        return self.first + len(self._offsets) - 1

    def append(self, payload: bytes, ingest_time: int) -> None:
        assert self._file is not None
        sequence = self.newest + 1
        rest = _REST.pack(len(payload), sequence, ingest_time)
        crc = checksums.crc32c(payload, checksums.crc32c(rest))
        wanted = HEAD.size + len(payload)
        try:
            written = os.pwritev(self._file, (crc.to_bytes(4, "big") + rest, payload), self.size)
            while written < wanted:
                left = (crc.to_bytes(4, "big") + rest + payload)[written:]
                written += os.pwrite(self._file, left, self.size + written)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self._offsets.append(self.size)
        self.size += wanted
        self.last_ingest = ingest_time

    def read(self, start: int) -> Iterator[Message]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC) if self._file is None else os.dup(self._file)
        try:
            for index in range(max(start - self.first, 0), len(self._offsets)):
                message = _record(descriptor, self._offsets[index], self.size)
                if message is None:
                    raise OSError(0, f"a damaged record in {self.path.name}")
                yield message
        finally:
            os.close(descriptor)

    def seal(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        self.seal()
        self.path.unlink(missing_ok=True)

    def descriptor(self) -> int | None:
        return None if self._file is None else os.dup(self._file)

    def _scan(self, descriptor: int, end: int) -> bool:
        message = _record(descriptor, self.size, end)
        if message is None or message.sequence_number != self.newest + 1:
            return False
        self._offsets.append(self.size)
        self.size += HEAD.size + len(message.payload)
        self.last_ingest = message.ingest_time
        return True


class MemorySegment:
    def __init__(self, first: int) -> None:
        self.first = first
        self.size = 0
        self.last_ingest = 0
        self._messages: list[Message] = []

    @property
    def newest(self) -> int:
        return self.first + len(self._messages) - 1

    def append(self, payload: bytes, ingest_time: int) -> None:
        self._messages.append(Message(self.newest + 1, ingest_time, payload))
        self.size += HEAD.size + len(payload)
        self.last_ingest = ingest_time

    def read(self, start: int) -> Iterator[Message]:
        yield from self._messages[max(start - self.first, 0) :]

    def seal(self) -> None:
        """Nothing to close."""

    def remove(self) -> None:
        self._messages.clear()

    def descriptor(self) -> int | None:
        return None


def _record(descriptor: int, offset: int, end: int) -> Message | None:
    """The record at an offset; None where no whole and right one is."""
    head = os.pread(descriptor, HEAD.size, offset)
    if len(head) < HEAD.size:
        return None
    crc, length, sequence, ingest_time = HEAD.unpack(head)
    if offset + HEAD.size + length > end:
        return None
    payload = os.pread(descriptor, length, offset + HEAD.size)
    if len(payload) < length or checksums.crc32c(payload, checksums.crc32c(head[4:])) != crc:
        return None
    return Message(sequence, ingest_time, payload)
