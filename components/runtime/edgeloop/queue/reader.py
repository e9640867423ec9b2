"""StreamUpload's side of an upload queue: reads, and says what may be deleted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgeloop.durable import Damaged, Listing, read
from edgeloop.durable.log import whole
from edgeloop.queue import released
from edgeloop.queue.folder import DOCUMENT, Description, Entry, QueueError, folder, is_file_name, listed, parsed
from edgeloop.uploader import released_file


def components(root: Path) -> list[str]:
    """Those with an upload queue below the root of a nucleus."""
    try:
        names = sorted(os.listdir(root / "work"))
    except OSError as error:
        raise QueueError("cannot look for upload queues", where=str(root / "work"), why=error.strerror or "") from error
    return [name for name in names if os.path.isdir(folder(root, name))]


class Gone(QueueError):
    """Its owner had no more room for it."""


@dataclass(frozen=True, slots=True)
class Records:
    """Of a file of records: each that is whole, with the byte where it begins and the one after it. end: byte up to
    which the file is read; damaged: lines that are no records, and were passed over."""

    found: list[tuple[bytes, int, int]]
    end: int
    damaged: int


class QueueReader:
    """One component's queue. The folder is listed when it has changed; what is released is written down by `save`."""

    def __init__(self, root: Path, component: str) -> None:
        self.component = component
        self.folder = folder(root, component)
        self._file = released.document(released_file(root, component))
        self._released = self._file.load()
        self._entries: list[Entry] = []
        self._listing = Listing(self.folder)
        self._listed: tuple[str, ...] = ()
        self._dirty = False

    @property
    def damage(self) -> str:
        """What was wrong with what had been released: all that is in the queue goes up again."""
        return self._file.damage

    def entries(self) -> list[Entry]:
        """What is there and not released, oldest first."""
        names = listed(self.folder, self._listing)
        if names is not self._listed:
            self._listed = names
            found = parsed(names)
            self._entries = [entry for entry in found if entry.number not in self._released]
            if found:
                self._released.skip_to(found[0].number - 1)
        return list(self._entries)

    def describe(self, entry: Entry) -> tuple[Path, Description]:
        """The file of an entry and what is said about it. Raises Gone where its owner has deleted it, QueueError where
        it is damaged."""
        path = self.folder / entry.id
        try:
            description = read(path / DOCUMENT, Description)
        except (Damaged, OSError) as error:
            raise QueueError("an entry of an upload queue cannot be read", where=str(path), why=str(error)) from error
        if not path.exists():
            raise Gone("an entry of an upload queue is gone", where=str(path))
        if description is None or not is_file_name(description.name) or not (path / description.name).is_file():
            why = description.name if description else DOCUMENT
            raise QueueError("an entry of an upload queue has no file", where=str(path), why=why)
        return path / description.name, description

    def records(self, entry: Entry, offset: int, limit: int = 1 << 20, *, complete: bool = False) -> Records:
        """From a byte on, at most about `limit` bytes or one record. complete: no more comes, so that a line without
        an end was torn."""
        path = self.folder / entry.id
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
                if data and b"\n" not in data:
                    data += file.readline()
                last = complete and not file.read(1)
        except FileNotFoundError:
            return Records([], offset, 0)
        except OSError as error:
            raise QueueError("an upload queue cannot be read", where=str(path), why=error.strerror or "") from error
        found: list[tuple[bytes, int, int]] = []
        begin = damaged = 0
        while (end := data.find(b"\n", begin)) >= 0:
            if (record := whole(data[begin:end])) is not None:
                found.append((record, offset + begin, offset + end + 1))
            else:
                damaged += end > begin
            begin = end + 1
        if last and begin < len(data):
            begin, damaged = len(data), damaged + 1
        return Records(found, offset + begin, damaged)

    def size(self, entry: Entry) -> int:
        """Bytes of a file of records; 0 where it is gone."""
        try:
            return (self.folder / entry.id).stat().st_size
        except FileNotFoundError:
            return 0

    def release(self, *numbers: int) -> None:
        """The owner may delete these, once `save` has returned."""
        for number in numbers:
            self._released.add(number)
        gone = set(numbers)
        self._entries = [entry for entry in self._entries if entry.number not in gone]
        self._dirty = True

    def save(self) -> None:
        """Writes down what was released. Raises QueueError."""
        if not self._dirty:
            return
        try:
            self._file.save(self._released)
        except OSError as error:
            why = error.strerror or ""
            raise QueueError("cannot write down what was uploaded", where=str(self._file.path), why=why) from error
        self._dirty = False
