"""The owner's side of an upload queue."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, Final

from edgeloop import clock
from edgeloop.documents import encode
from edgeloop.durable import AppendLog, File, make_folder, place, remove, seal, sync_folder
from edgeloop.durable.disk import NEW
from edgeloop.queue.folder import (
    DOCUMENT,
    RECORDS,
    Description,
    Entry,
    QueueError,
    entries,
    folder,
    is_file_name,
    parse,
)
from edgeloop.queue.released import Released, load
from edgeloop.uploader import released_file

MIB: Final = 1 << 20

Content = bytes | Callable[[BinaryIO], object]


class UploadQueue:
    """Keeps what must reach the cloud until StreamUpload has released it. Safe on any thread.

        queue = UploadQueue(app.root, app.name)
        queue.append("alarms", alarm.document(), sync=True)
        queue.put("hard_examples", "cam1_4711.jpg", image, {"label": "scratch", "score": 0.51})

    Over `budget` bytes the oldest of the kind with the most goes, counted in `lost`. What `append` and `put` returned
    for survives any death of the process; `put`, and `append` with `sync`, also a power cut.
    """

    def __init__(self, root: Path, component: str, *, budget: int = 256 * MIB, segment: int = MIB) -> None:
        self.folder = folder(root, component)
        self.lost = 0
        self._released, self._budget, self._segment = released_file(root, component), budget, segment
        self._lock = threading.Lock()
        self._live: dict[str, tuple[Entry, AppendLog]] = {}
        self._sizes: dict[Entry, int] = {}
        self._room = 0
        self._stamp = (0, 0)
        try:
            make_folder(self.folder)
            for name in os.listdir(self.folder):
                if name.endswith(NEW):
                    remove(self.folder / name)
        except OSError as error:
            raise self._unusable(error) from error
        for entry in entries(self.folder):
            self._count(entry, _size(self.folder / entry.id))
        past = self._load()
        self._number = max(max((e.number for e in self._sizes), default=0), past.through, *past.also, 0)

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._room

    def append(self, kind: str, record: bytes, *, sync: bool = False) -> None:
        """One JSON document, without line ends, to the records of a kind. Raises QueueError where there is no room."""
        if b"\n" in record or not record:
            raise QueueError("not a record", where=kind, why="it is empty or has line ends", mend="one JSON document")
        with self._lock:
            self.sweep()
            entry, log = self._open(kind)
            try:
                log.append(record, sync=sync)
            except OSError as error:
                raise self._unusable(error) from error
            except ValueError as error:
                raise QueueError("not a record", where=kind, why=str(error), mend="one JSON object") from error
            finally:
                self._count(entry, log.size)

    def put(
        self, kind: str, name: str, content: Content, document: Mapping[str, Any] | None = None, *, time: int = 0
    ) -> Entry:
        """A file, its bytes or a function that writes them, with what is said about it. It is there whole or not.

        name: of the file, in the cloud below device and date; the same content should have the same name.
        time: ns UTC, now unless given. Raises QueueError where there is no room.
        """
        if not is_file_name(name):
            raise QueueError("not a name of a file to upload", why=repr(name), mend="letters, digits, _ . = and -")
        description = Description(kind=kind, name=name, time=time or clock.now(), document=dict(document or {}))
        with self._lock:
            self.sweep()
            entry = self._next(kind, "")
            path = self.folder / entry.id
            new = path.with_name(entry.id + NEW)
            try:
                new.mkdir(mode=0o700)
                size = _write(new / name, content) + _write(new / DOCUMENT, seal(encode(description)))
                sync_folder(new)
                place(new, path)
            except OSError as error:
                remove(new)
                raise self._unusable(error) from error
            except BaseException:
                remove(new)
                raise
            self._count(entry, size)
            return entry

    def sweep(self) -> None:
        """Deletes what was released, and over the budget the oldest; done with every `append` and `put`."""
        if self._changed():
            released = self._load()
            live = {entry for entry, _ in self._live.values()}
            for entry in self._gone(released):
                if entry not in live:
                    self._remove(entry)
        while self.size > self._budget and len(self._sizes) > 1:
            self._remove(self._least())
            self.lost += 1

    def close(self) -> None:
        with self._lock:
            for _, log in self._live.values():
                log.close()
            self._live.clear()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, kind: str) -> tuple[Entry, AppendLog]:
        live = self._live.get(kind)
        if live is not None and live[1].size < self._segment:
            return live
        if live is not None:
            live[1].close()
            del self._live[kind]
        entry = self._next(kind, RECORDS)
        self._live[kind] = entry, AppendLog(self.folder / entry.id)
        return self._live[kind]

    def _gone(self, released: Released) -> list[Entry]:
        """Entries rise with their numbers, so that those behind are not looked at."""
        gone = list(takewhile(lambda entry: entry.number <= released.through, self._sizes))
        if released.also:
            gone += [entry for entry in self._sizes if entry.number in released.also]
        return gone

    def _next(self, kind: str, suffix: str) -> Entry:
        entry = parse(f"{self._number + 1:012d}-{kind}{suffix}")
        if entry is None:
            raise QueueError("not a kind", why=repr(kind), mend="lower-case letters, digits, _ and -, at most 32")
        self._number += 1
        return entry

    def _least(self) -> Entry:
        """The oldest of the kind that takes the most room: images do not push out alarms."""
        room: dict[str, int] = {}
        for entry, size in self._sizes.items():
            room[entry.kind] = room.get(entry.kind, 0) + size
        kind = max(room, key=lambda kind: room[kind])
        return next(entry for entry in self._sizes if entry.kind == kind)

    def _remove(self, entry: Entry) -> None:
        live = self._live.get(entry.kind)
        if live is not None and live[0] == entry:
            live[1].close()
            del self._live[entry.kind]
        self._room -= self._sizes.pop(entry, 0)
        remove(self.folder / entry.id)

    def _count(self, entry: Entry, size: int) -> None:
        self._room += size - self._sizes.get(entry, 0)
        self._sizes[entry] = size

    def _changed(self) -> bool:
        try:
            status = self._released.stat()
        except OSError:
            return False
        stamp = status.st_mtime_ns, status.st_ino
        changed = stamp != self._stamp
        self._stamp = stamp
        return changed

    def _load(self) -> Released:
        try:
            return load(self._released)
        except QueueError:
            return Released()

    def _unusable(self, error: OSError) -> QueueError:
        why = error.strerror or str(error)
        return QueueError("cannot keep what is to be uploaded", where=str(self.folder), why=why, mend="free disk space")


def _write(path: Path, content: Content) -> int:
    with File(path) as file:
        if callable(content):
            content(file.stream)
        else:
            file.write(content)
        return file.sync()


def _size(path: Path) -> int:
    try:
        return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0
