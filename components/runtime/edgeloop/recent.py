"""What happened lately, counted."""

from __future__ import annotations

from collections import deque
from typing import Final

HOUR: Final = 3_600_000_000_000
"""ns."""


class Times:
    """When something happened, within a period of ns that ends now."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[int] = deque()

    def add(self, time: int) -> None:
        self._times.append(time)

    def count(self, now: int, period: int) -> int:
        """What lies ahead of `now`, because the clock was set back, does not count."""
        while self._times and not 0 <= now - self._times[0] < period:
            self._times.popleft()
        return len(self._times)
