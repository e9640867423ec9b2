"""One alarm for what several monitors see of the same sensor, or of the clock of one machine."""

from __future__ import annotations

from collections.abc import Callable

from edgeloop.alarms import AlarmBook, Kind
from edgeloop.clock import NS

TOGETHER = 1 * NS
"""ns within which streams of an asset whose time stamps step alike have one clock."""
ALIKE = 200_000_000


class AlarmDeduplication:
    """Which conditions of sensors another monitor's alarm already tells: of its stream and asset.

    Args:
        acts: whether a rule waits for a kind of alarm of a monitor, which then needs an alarm of its own.
    """

    def __init__(self, book: AlarmBook, acts: Callable[[str, Kind], bool]) -> None:
        self._book, self._acts = book, acts
        self._steps: dict[str, tuple[int, int]] = {}
        self._clocks: set[str] = set()

    def told(self, monitor: str, kind: Kind, *, asset: str, stream: str, step: int, now: int) -> bool:
        """Whether a condition that holds needs no alarm. step: of the time stamps, ns; now: ns UTC."""
        if kind == "process" or self._acts(monitor, kind):
            return False
        if any(a.asset == asset and a.kind == kind and a.cause.stream == stream for a in self._book.open):
            told = True
        elif kind == "clock":
            at, known = self._steps.get(asset, (0, 0))
            told = monitor in self._clocks or (now - at <= TOGETHER and abs(step - known) <= ALIKE)
        else:
            told = False
        if kind == "clock":
            if told:
                self._clocks.add(monitor)
            else:
                self._steps[asset] = now, step
        return told

    def over(self, monitor: str) -> None:
        """The time stamps of a monitor's stream step no more."""
        self._clocks.discard(monitor)
