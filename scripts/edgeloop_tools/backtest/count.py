"""One count of alarms: onsets of a monitor within thirty rows are one; what a notice holds is none (DESIGN: 14)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.ledger import TOGETHER
from edgeloop_tools.backtest.replay import Columns

WEEK = 7 * 86_400.0
Flags = NDArray[np.bool_]


def onsets(flags: Flags) -> NDArray[np.intp]:
    """
    >>> onsets(np.array([1, 1, 0, 1], bool)).tolist()
    [0, 3]
    """
    return np.flatnonzero(flags & ~np.r_[False, flags[:-1]])


def merged(rows: Iterable[int]) -> list[int]:
    """The rows that are alarms of their own.

    >>> merged([5, 20, 36, 60])
    [5, 36]
    """
    kept: list[int] = []
    for row in sorted(rows):
        if not kept or row - kept[-1] > TOGETHER:
            kept.append(row)
    return kept


def alarms(columns: Columns) -> list[int]:
    """Rows of the alarms that somebody hears."""
    condition = columns.condition_alert & ~columns.notice
    points = np.flatnonzero(columns.event_alert & ~condition)
    return merged([*onsets(condition).tolist(), *points.tolist()])


def longest(flags: Flags) -> int:
    """Rows.

    >>> longest(np.array([1, 1, 0, 1], bool))
    2
    """
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0])).reshape(-1, 2)
    return int((edges[:, 1] - edges[:, 0]).max(initial=0))


@dataclass(slots=True)
class Figures:
    """Of recordings, without what was learned. longest: s that one condition lasted."""

    alarms: int = 0
    rows: int = 0
    in_condition: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, columns: Columns, step: float, first: int = 0, end: int | None = None) -> None:
        """Rows [first, end), `step` s apart."""
        end = len(columns.times) if end is None else end
        condition = (columns.condition_alert & ~columns.notice)[first:end]
        self.alarms += sum(first <= row < end for row in alarms(columns))
        self.rows += max(0, end - first)
        self.in_condition += int(condition.sum())
        self.seconds += max(0, end - first) * step
        self.longest = max(self.longest, longest(condition) * step)

    def document(self) -> dict[str, Any]:
        return {
            "alarms": self.alarms,
            "per_week": round(self.alarms * WEEK / self.seconds, 3) if self.seconds else None,
            "share_in_condition": round(self.in_condition / self.rows, 4) if self.rows else None,
            "longest": round(self.longest, 1),
        }
