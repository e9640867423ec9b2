"""From return times to a condition: debounced on the way up, hysteresis and recovery on the way down."""

from __future__ import annotations

from dataclasses import dataclass

HYSTERESIS = 2.0
"""Decades of return time between raising and clearing."""


@dataclass(slots=True)
class Trigger:
    """budget: log10 s; confirm, recover: rows in succession.

    >>> trigger = Trigger(budget=6, confirm=2, recover=2)
    >>> [trigger.update(t) for t in (7, 3, 7, 8, 5, 3, 3, 7)]
    [False, False, False, True, True, True, False, False]
    """

    budget: float
    confirm: int
    recover: int
    active: bool = False
    count: int = 0

    def update(self, return_time: float, budget: float | None = None) -> bool:
        """Whether the condition holds after this row. budget: what is demanded now, log10 s; None: as ever."""
        budget = self.budget if budget is None else budget
        against = return_time < budget - HYSTERESIS if self.active else return_time >= budget
        self.count = self.count + 1 if against else 0
        if self.count >= (self.recover if self.active else self.confirm):
            self.active, self.count = not self.active, 0
        return self.active

    def reset(self) -> None:
        self.active, self.count = False, 0
