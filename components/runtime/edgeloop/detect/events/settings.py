from __future__ import annotations

import math
from dataclasses import dataclass

USUAL = 2000
"""Rows between false alarms where no budget is given: a week of rows of five minutes."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """step: seconds between rows; budget: log10 s between false alarms, None: that of USUAL rows.

    similar: what has been seen more often than this is no event, however long the stream is.
    quiet: rows after an alert that belong to it.
    raised: decades by which an alert raises what the next has to reach; fades over a budget, USUAL rows at least.
    averaged: rows before a row whose mean is its context; a power of two, as is watched.
    watched: rows whose mean step says how lively a channel is.
    bins: of a channel's range; a power of two.
    block: rows that are learned together.
    warm: rows of a channel before its first alert.

    >>> EventSettings(step=0.1).rows
    2000.0
    >>> round(EventSettings(step=0.1, budget=5.0).rows)
    1000000
    """

    step: float
    budget: float | None = None
    similar: float = 10.0
    quiet: int = 30
    raised: float = 0.2
    averaged: int = 8
    watched: int = 32
    bins: int = 32
    block: int = 64
    warm: int = 128

    @property
    def rows(self) -> float:
        """The budget as a number of rows."""
        return float(USUAL) if self.budget is None else max(1.0, 10.0 ** (self.budget - math.log10(self.step)))
