"""Which alarms belong together, and which are too many."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.recent import HOUR

STEPS = (1, 2, 5)
"""A count is told at these times powers of ten."""


@dataclass(slots=True)
class Group:
    id: str
    began: int
    newest: int


class Groups:
    """The newest group of each asset: alarms within `window` ns of the one before, and an hour of the first.

    >>> groups = Groups()
    >>> groups.join("press1", "a", 0, 10), groups.join("press1", "b", 9, 10), groups.join("press1", "c", 30, 10)
    (('a', True), ('a', False), ('c', True))
    """

    def __init__(self) -> None:
        self._of: dict[str, Group] = {}

    def join(self, asset: str, alarm: str, now: int, window: int) -> tuple[str, bool]:
        """The group of a new alarm, and whether it is the first out."""
        group = self._of.get(asset)
        if group is not None and 0 <= now - group.newest <= window and now - group.began <= HOUR and window:
            group.newest = now
            return group.id, False
        self._of[asset] = Group(alarm, now, now)
        return alarm, True

    def restore(self, asset: str, group: str, raised_at: int) -> None:
        """Alarms as they were raised, the oldest first."""
        known = self._of.get(asset)
        if known is not None and known.id == group:
            known.newest = max(known.newest, raised_at)
        elif known is None or raised_at >= known.newest:
            self._of[asset] = Group(group, raised_at, raised_at)


def told(count: int) -> bool:
    """Whether a count that has grown to this is told: 1, 2, 5, 10, 20, 50, …

    >>> [n for n in range(1, 300) if told(n)]
    [1, 2, 5, 10, 20, 50, 100, 200]
    """
    while count >= 10 and count % 10 == 0:
        count //= 10
    return count in STEPS
