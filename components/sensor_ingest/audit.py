"""What was done to machines, and what was not: append-only, bounded."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeloop import documents
from edgeloop.files import sync_folder

LARGEST = 4 << 20
KEPT = 4


class Audit:
    """A file of JSON lines, on the disk before an action is executed.

    One that has grown beyond `largest` bytes becomes `actions.1.jsonl`, that one `actions.2.jsonl`, up to `kept`.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        self._path, self._largest, self._kept = path, largest, kept
        self._fd = -1
        self._size = 0
        self._torn = False

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises OSError; a line that was begun then stays behind, and the next one is whole."""
        if self._fd >= 0 and self._size >= self._largest:
            self._rotate()
        if self._fd < 0:
            self._open()
        line = (b"\n" if self._torn else b"") + documents.encode(record) + b"\n"
        self._torn = True
        written = os.write(self._fd, line)
        self._size += written
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False
        os.fdatasync(self._fd)

    def recent(self, most: int) -> list[dict[str, Any]]:
        """The last records, oldest first; lines that were torn are passed over."""
        found: list[dict[str, Any]] = []
        for line in self._backwards():
            try:
                record = documents.decode(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "id" in record:
                found.append(record)
                if len(found) == most:
                    break
        return found[::-1]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _rotate(self) -> None:
        self.close()
        for number in range(self._kept - 1, -1, -1):
            if self._file(number).exists():
                self._file(number).replace(self._file(number + 1))
        sync_folder(self._path.parent)

    def _file(self, number: int) -> Path:
        return self._path.with_suffix(f".{number}{self._path.suffix}") if number else self._path

    def _backwards(self) -> Iterator[bytes]:
        for number in range(self._kept + 1):
            try:
                content = self._file(number).read_bytes()
            except OSError:
                continue
            yield from reversed(content.splitlines())
