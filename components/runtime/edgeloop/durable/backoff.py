"""How long to wait before something is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable


class BackOff:
    """s, from `shortest`, doubled at each failure, to `longest`.

    >>> now = 0.0
    >>> pause = BackOff(1.0, 60.0, clock=lambda: now)
    >>> pause.due, pause.failed(), pause.due, pause.failed(), pause.left
    (True, 1.0, False, 2.0, 2.0)
    >>> pause.succeeded(); pause.due
    True
    """

    __slots__ = ("_clock", "_longest", "_pause", "_shortest", "_until")

    def __init__(self, shortest: float, longest: float, *, clock: Callable[[], float] | None = None) -> None:
        self._shortest, self._longest, self._clock = shortest, longest, clock or _monotonic
        self._pause = 0.0
        self._until = float("-inf")

    @property
    def due(self) -> bool:
        return self._clock() >= self._until

    @property
    def left(self) -> float:
        return max(0.0, self._until - self._clock())

    def failed(self) -> float:
        """The pause that begins now."""
        self._pause = min(self._longest, max(self._shortest, 2 * self._pause))
        self._until = self._clock() + self._pause
        return self._pause

    def succeeded(self) -> None:
        self._pause, self._until = 0.0, float("-inf")


def _monotonic() -> float:
    return time.monotonic()
