"""SIGTERM and SIGINT without a handler that takes locks.

A Python handler runs between two instructions of the main thread; one that sets an Event can find its lock held by the
very thread that it interrupts. Here the interpreter only writes a byte, and another thread acts on it.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Calls `act(number)` on a thread of its own for each SIGTERM or SIGINT. Made and closed by the main thread."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act = act
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before: dict[int, Any] = {number: signal.signal(number, _nothing) for number in _NUMBERS}
        self._descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What was there before handles signals again."""
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.close()
        self._thread.join(1.0)
        self._reader.close()

    def _run(self) -> None:
        while data := self._reader.recv(64):
            for number in data:
                if number in _NUMBERS:
                    self._act(number)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
