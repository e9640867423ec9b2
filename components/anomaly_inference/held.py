"""What the budget has held back, as one thing to read: "20 of these since 12:00, held as one"."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import rfc3339
from edgeloop.detect.ledger import TOGETHER

TOLD = (3, 10, 30, 100, 300, 1000)
"""How many they are when it is said."""


class Held:
    """count, since: ns UTC of the first.

    >>> held = Held()
    >>> for i in range(3): held.add(100 * i, 1_700_000_000_000_000_000)
    >>> held.news, held.text("load higher"), held.news
    (True, '3 more since 22:13 UTC, held as one: load higher', False)
    """

    def __init__(self) -> None:
        self.count = self.since = self._told = 0
        self.fresh, self.place = -1, 0
        """Row of the last update in which one was added, -1: none; in which there is something to say."""
        self._last = -TOGETHER - 1

    def add(self, row: int, time: int, at: int = -1) -> None:
        """One in a row, number `at` of the update; those within TOGETHER rows are one."""
        if row - self._last > TOGETHER:
            self.count += 1
            self.fresh = self.place = at
            self.since = self.since or time
        self._last = row

    @property
    def news(self) -> bool:
        """Whether so many are held that it is to be said, again."""
        return any(self._told < n <= self.count for n in TOLD)

    @property
    def over(self) -> bool:
        """Whether there is nothing to say any more."""
        return not self.count and bool(self._told)

    def text(self, words: str) -> str:
        self._told = self.count
        return f"{self.count} more since {rfc3339(self.since)[11:16]} UTC, held as one: {words}"

    def release(self) -> None:
        """The budget has room again."""
        if self.count:
            self.count = self.since = self.place = 0

    def forget(self) -> None:
        """It was said that it is over."""
        self._told = 0

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"numbers": np.array([self.count, self.since, self._told, self._last], dtype=np.int64)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self.count, self.since, self._told, self._last = (int(n) for n in state["numbers"])
