"""One process a work folder: two sets of components can run side by side when a nucleus has died."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = "lock"
ASKED: Final = "lock.asked"
"""Held, shared, by who waits for the other."""
_EVERY: Final = 0.05


class Alone:
    """Holds the lock of a work folder until `release` or the end of the process, however it ends."""

    def __init__(self, work: Path) -> None:
        self._path = work / FILE
        self._descriptor = -1

    def take(self, stop: threading.Event, say: Callable[[int], None]) -> bool:
        """Waits while another process holds it; False where `stop` was set first. `say` is told once of the other's
        process id, 0 where it is not known. Raises OSError."""
        descriptor, asking = _opened(self._path), -1
        try:
            while not _locked(descriptor):
                if asking < 0:
                    say(_holder(descriptor))
                    asking = _opened(self._path.with_name(ASKED))
                    fcntl.flock(asking, fcntl.LOCK_SH)
                if stop.wait(_EVERY):
                    os.close(descriptor)
                    return False
        finally:
            if asking >= 0:
                os.close(asking)
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def asked(self) -> bool:
        """Whether another process waits for it now. Raises OSError."""
        try:
            asking = os.open(self._path.with_name(ASKED), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _locked(asking)
        finally:
            os.close(asking)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
