"""Getting the journal onto the disk, off the appending thread."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from edgeloop.journal.retention import Cleared, Problem


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
        self._failing = False
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._announced = -1
        self._unsynced = -1
        self._due = 0.0
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def dirty(self, fd: int) -> None:
        if self._interval <= 0:
            os.fdatasync(fd)
        elif self._announced != fd:
            self._announced = fd
            self._tasks.put(_Dirty(fd))

    def began(self) -> None:
        self._tasks.put(_Began())

    def sealed(self, fd: int) -> None:
        self._tasks.put(_Sealed(fd))

    def remove(self, segment: str) -> None:
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
        os.fdatasync(fd)
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
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
            case _Began():
                folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            case _Remove(segment):
                (self._directory / segment).unlink(missing_ok=True)
            case _Settle(done):
                try:
                    if self._unsynced >= 0:
                        self._sync()
                finally:
                    done.set()
