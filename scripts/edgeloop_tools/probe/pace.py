"""At most ten requests a second."""

from __future__ import annotations

import time
from typing import Final

EVERY: Final = 0.1
"""s between the beginnings of two requests."""


class Pace:
    def __init__(self, every: float = EVERY) -> None:
        self._every, self._next = every, 0.0
        self.requests = 0

    def due(self) -> float:
        """s until the next request may be made, which then counts as made."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + self._every
        self.requests += 1
        return start - now

    def wait(self) -> None:
        time.sleep(self.due())
