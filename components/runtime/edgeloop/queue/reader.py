"""StreamUpload's side of an upload queue: reads, and says what may be deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgeloop import decode
from edgeloop.queue.folder import DOCUMENT, Description, Entry, QueueError, entries, folder, is_file_name
from edgeloop.queue.released import Released
from edgeloop.uploader import released_file


def components(root: Path) -> list[str]:
    """Those with an upload queue below the root of a nucleus."""
    try:
        names = sorted(os.listdir(root / "work"))
    except OSError as error:
        raise QueueError("cannot look for upload queues", where=str(root / "work"), why=error.strerror or "") from error
    return [name for name in names if os.path.isdir(folder(root, name))]


class QueueReader:
    """One component's queue."""

    def __init__(self, root: Path, component: str) -> None:
        self.component = component
        self.folder = folder(root, component)
        self._path = released_file(root, component)
        self._released = Released.load(self._path)

    def entries(self) -> list[Entry]:
        """What is there and not released, oldest first."""
        return [entry for entry in entries(self.folder) if entry.number not in self._released]

    def describe(self, entry: Entry) -> tuple[Path, Description]:
        """The file of an entry and what is said about it. Raises QueueError where it is gone or damaged."""
        path = self.folder / entry.id
        try:
            description = decode.file(path / DOCUMENT, Description)
        except (OSError, ValueError) as error:
            raise QueueError("an entry of an upload queue cannot be read", where=str(path), why=str(error)) from error
        if not is_file_name(description.name) or not (path / description.name).is_file():
            raise QueueError("an entry of an upload queue has no file", where=str(path), why=description.name)
        return path / description.name, description

    def records(self, entry: Entry, offset: int, limit: int = 1 << 20) -> Iterator[tuple[bytes, int]]:
        """Whole records from a byte on, each with the byte after it, at most about `limit` bytes or one record."""
        path = self.folder / entry.id
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
                if data and b"\n" not in data:
                    data += file.readline()
        except FileNotFoundError:
            return
        except OSError as error:
            raise QueueError("an upload queue cannot be read", where=str(path), why=error.strerror or "") from error
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            yield data[begin:end], offset + end + 1
            begin = end + 1

    def size(self, entry: Entry) -> int:
        """Bytes of a file of records; 0 where it is gone."""
        try:
            return (self.folder / entry.id).stat().st_size
        except FileNotFoundError:
            return 0

    def release(self, *numbers: int) -> None:
        """The owner may delete these. Raises QueueError where that cannot be written down."""
        for number in numbers:
            self._released.add(number)
        there = [entry.number for entry in entries(self.folder)]
        if there:
            self._released.skip_to(min(there) - 1)
        try:
            self._released.save(self._path)
        except OSError as error:
            why = error.strerror or ""
            raise QueueError("cannot write down what was uploaded", where=str(self._path), why=why) from error
