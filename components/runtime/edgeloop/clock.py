"""Time as integer nanoseconds UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

NS = 1_000_000_000


def now() -> int:
    """Nanoseconds since 1970-01-01 UTC by this device's clock."""
    return time.time_ns()


def elapsed() -> int:
    """Nanoseconds that only rise, whatever is done to the device's clock: for waits and intervals."""
    return time.monotonic_ns()


class Steady:
    """This device's clock for who plays something by it: it runs evenly, and a clock that was set is told.

    >>> steady = Steady()
    >>> before = steady.now()
    >>> before <= steady.now(), steady.stepped()
    (True, 0)
    """

    def __init__(self) -> None:
        self._wall, self._start = now(), elapsed()

    def now(self) -> int:
        """ns UTC by the clock as it was when this was made, or when it was last found to be set."""
        return self._wall + elapsed() - self._start

    def stepped(self) -> int:
        """ns by which the clock was set since the last call, 0 below a second; `now` goes by it from here on."""
        step = now() - self.now()
        if abs(step) < NS:
            return 0
        self._wall += step
        return step


def rfc3339(ns: int) -> str:
    """RFC 3339 with nanoseconds.

    >>> rfc3339(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456789Z'
    """
    seconds, fraction = divmod(ns, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
