"""The states of a component, in a nucleus's words."""

from __future__ import annotations

import time
from enum import StrEnum

LIMIT = 3
"""The failure of a step that leaves a component BROKEN …"""

WINDOW = 3600.0
"""… when they happened within so many seconds."""


class State(StrEnum):
    NEW = "NEW"
    INSTALLED = "INSTALLED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    ERRORED = "ERRORED"
    BROKEN = "BROKEN"
    FINISHED = "FINISHED"


READY = frozenset({State.RUNNING, State.FINISHED})
"""What a deployment waits for, and a HARD dependant on the classic nucleus."""


class Failures:
    """Counts the failures of a step; they are forgotten after an hour.

    >>> failures = Failures()
    >>> [failures.add(now) for now in (0.0, 10.0, 3700.0, 3701.0, 3702.0)]
    [False, False, False, False, True]
    """

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float | None = None) -> bool:
        """Returns whether this one breaks the component."""
        moment = time.monotonic() if now is None else now
        self._times = [past for past in self._times if moment - past < WINDOW] + [moment]
        return len(self._times) >= LIMIT

    def full(self) -> bool:
        """Whether there were as many within the hour as there may be."""
        moment = time.monotonic()
        return len([past for past in self._times if moment - past < WINDOW]) >= LIMIT

    def clear(self) -> None:
        self._times.clear()
