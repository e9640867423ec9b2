"""The owner's side of an upload queue."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from edgeloop import clock
from edgeloop.documents import encode
from edgeloop.errors import EdgeloopError
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
from edgeloop.queue.released import Released
from edgeloop.uploader import released_file

MIB: Final = 1 << 20
_NEW: Final = ".new"

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
        self._live: dict[str, tuple[Entry, int, int]] = {}
        self._sizes: dict[Entry, int] = {}
        self._stamp = (0, 0)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in os.listdir(self.folder):
                if name.endswith(_NEW):
                    _delete(self.folder / name)
        except OSError as error:
            raise self._unusable(error) from error
        for entry in entries(self.folder):
            self._sizes[entry] = _size(self.folder / entry.id)
        past = self._load()
        self._number = max(max((e.number for e in self._sizes), default=0), past.through, *past.also, 0)

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return sum(self._sizes.values())

    def append(self, kind: str, record: bytes, *, sync: bool = False) -> None:
        """One JSON document, without line ends, to the records of a kind. Raises QueueError where there is no room."""
        if b"\n" in record or not record:
            raise QueueError("not a record", where=kind, why="it is empty or has line ends", mend="one JSON document")
        line = record + b"\n"
        with self._lock:
            self.sweep()
            entry, descriptor, size = self._open(kind)
            try:
                written = os.pwrite(descriptor, line, size)
                if written != len(line):
                    os.ftruncate(descriptor, size)
                    raise QueueError("no room for a record", where=str(self.folder), mend="free disk space")
                if sync:
                    os.fdatasync(descriptor)
            except OSError as error:
                raise self._unusable(error) from error
            self._live[kind] = entry, descriptor, size + written
            self._sizes[entry] = size + written

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
            new = path.with_name(entry.id + _NEW)
            try:
                new.mkdir(mode=0o700)
                _write(new / name, content)
                _write(new / DOCUMENT, encode(description))
                _sync(new)
                new.rename(path)
                _sync(self.folder)
            except OSError as error:
                _delete(new)
                raise self._unusable(error) from error
            except BaseException:
                _delete(new)
                raise
            self._sizes[entry] = _size(path)
            return entry

    def sweep(self) -> None:
        """Deletes what was released, and over the budget the oldest; done with every `append` and `put`."""
        if self._changed():
            released = self._load()
            live = {entry for entry, _, _ in self._live.values()}
            for entry in [e for e in self._sizes if e.number in released and e not in live]:
                self._remove(entry)
        while self.size > self._budget and len(self._sizes) > 1:
            self._remove(self._least())
            self.lost += 1

    def close(self) -> None:
        with self._lock:
            for _, descriptor, _ in self._live.values():
                os.close(descriptor)
            self._live.clear()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, kind: str) -> tuple[Entry, int, int]:
        live = self._live.get(kind)
        if live is not None and live[2] < self._segment:
            return live
        if live is not None:
            os.close(live[1])
            del self._live[kind]
        entry = self._next(kind, RECORDS)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(self.folder / entry.id, flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        self._sizes[entry] = 0
        self._live[kind] = entry, descriptor, 0
        return self._live[kind]

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
            os.close(live[1])
            del self._live[entry.kind]
        self._sizes.pop(entry, None)
        _delete(self.folder / entry.id)

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
            return Released.load(self._released)
        except EdgeloopError:
            return Released()

    def _unusable(self, error: OSError) -> QueueError:
        why = error.strerror or str(error)
        return QueueError("cannot keep what is to be uploaded", where=str(self.folder), why=why, mend="free disk space")


def _write(path: Path, content: Content) -> None:
    with path.open("xb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
