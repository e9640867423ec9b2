"""Getting the journal onto the disk, off the appending thread."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from edgeloop.durable import sync_folder
from edgeloop.journal.retention import Cleared, Problem

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Dirty:
    fd: int


@dataclass(frozen=True, slots=True)
class _Sealed:
    fd: int


@dataclass(frozen=True, slots=True)
class _Began:
    pass


@dataclass(frozen=True, slots=True)
class _Remove:
    segment: str


@dataclass(frozen=True, slots=True)
class _Settle:
    done: threading.Event


_Task = _Dirty | _Sealed | _Began | _Remove | _Settle | None


class Syncer:
    """fdatasync at most every `interval` seconds while there is something new, and at sealing; closes and deletes.

    Idle, it sleeps without a timer.
    """

    def __init__(self, directory: Path, interval: float, on_problem: Problem, on_clear: Cleared) -> None:
        self._directory, self._interval = directory, interval
        self._on_problem, self._on_clear = on_problem, on_clear
        self._failing = self._doubtful = False
        self._safe = (-1, 0)
        self._victims: list[str] = []
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._announced = -1
        self._unsynced = -1
        self._due = 0.0
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def dirty(self, fd: int) -> None:
        if self._interval <= 0:
            self._flush(fd)
        elif self._announced != fd:
            self._announced = fd
            self._tasks.put(_Dirty(fd))

    def began(self) -> None:
        """A new segment has its name."""
        if self._interval <= 0:
            sync_folder(self._directory)
        else:
            self._tasks.put(_Began())

    def sealed(self, fd: int) -> None:
        self._tasks.put(_Sealed(fd))

    def remove(self, segment: str) -> None:
        """Once what says so is on the disk."""
        self._tasks.put(_Remove(segment))

    def settle(self) -> None:
        """Returns when all that was asked before is done."""
        done = threading.Event()
        self._tasks.put(_Settle(done))
        done.wait()

    def close(self) -> None:
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=None if self._unsynced < 0 else max(0.0, self._due - monotonic()))
            except queue.Empty:
                self._try(self._sync)
                continue
            if task is None:
                return
            self._try(self._do, task)

    def _try(self, do: Callable[..., None], *arguments: _Task) -> None:
        try:
            do(*arguments)
        except OSError as error:
            self._failing = True
            self._on_problem("journal.sync", f"cannot bring the journal to the disk: {error.strerror or error}")

    def _sync(self) -> None:
        fd, self._unsynced = self._unsynced, -1
        if self._announced == fd:
            self._announced = -1
        try:
            self._flush(fd)
        except OSError:
            self._unsynced, self._due = fd, monotonic() + max(self._interval, 1.0)
            raise
        self._unlink()
        if self._failing:
            self._failing = False
            self._on_clear("journal.sync")

    def _do(self, task: _Task) -> None:
        match task:
            case _Dirty(fd):
                self._unsynced, self._due = fd, monotonic() + self._interval
            case _Sealed(fd):
                if self._unsynced == fd:
                    self._unsynced = -1
                if self._announced == fd:
                    self._announced = -1
                try:
                    self._seal(fd)
                finally:
                    os.close(fd)
            case _Began():
                sync_folder(self._directory)
            case _Remove(segment):
                self._victims.append(segment)
                if self._unsynced >= 0:
                    self._sync()
                else:
                    self._unlink()
            case _Settle(done):
                try:
                    if self._unsynced >= 0:
                        self._sync()
                finally:
                    done.set()

    def _flush(self, fd: int) -> None:
        """What a failed sync perhaps did not bring to the disk is written again before the next one."""
        with self._lock:
            end = os.fstat(fd).st_size
            begin = self._safe[1] if self._safe[0] == fd else 0
            if self._doubtful:
                for at in range(begin, end, _BLOCK):
                    os.pwrite(fd, os.pread(fd, min(_BLOCK, end - at), at), at)
            try:
                os.fdatasync(fd)
            except OSError:
                self._doubtful = True
                raise
            self._doubtful, self._safe = False, (fd, end)

    def _seal(self, fd: int) -> None:
        try:
            self._flush(fd)
        except OSError:
            self._flush(fd)
        finally:
            self._doubtful, self._safe = False, (-1, 0)

    def _unlink(self) -> None:
        while self._victims:
            (self._directory / self._victims[0]).unlink(missing_ok=True)
            del self._victims[0]
