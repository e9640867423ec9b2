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
_EVERY: Final = 0.05


class Alone:
    """Holds the lock of a work folder until `release` or the end of the process, however it ends."""

    def __init__(self, work: Path) -> None:
        self._path = work / FILE
        self._descriptor = -1

    def take(self, stop: threading.Event, say: Callable[[int], None]) -> bool:
        """Waits while another process holds it; False where `stop` was set first. `say` is told once of the other's
        process id, 0 where it is not known. Raises OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    say(_holder(descriptor))
                    said = True
                if stop.wait(_EVERY):
                    os.close(descriptor)
                    return False
                continue
            break
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
