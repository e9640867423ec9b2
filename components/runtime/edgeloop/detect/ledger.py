"""The budget of a monitor: one account for all of its detectors, which raises the demand as it is overdrawn.

An alarm needs a return time of `demand`; each alarm costs one, the budget pays back, an alarm that an operator confirms
costs nothing. While little has been watched the demand grows with the rows watched (alpha spending), so that few
alarms beyond the budget are to be expected until then; it is never below what the budget asks. Deterministic: alarms
≤ time / budget + the overdraft at which no score reaches the demand + 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

TOGETHER = 30
"""Rows within which alarms of a monitor are one."""
RAISED = 0.6
"""Decades by which an alarm too many raises what the next has to reach."""
KINDS = 3
"""Points, states, slow drifts: each has its share of the budget."""
EXTRA, PATIENT = 2.0, 0.5
"""Alarms beyond the budget that a young monitor may be expected to raise at most; of slow rows, where it is young for
days and not for minutes."""
EVERY = 32
"""Rows between two changes of the demand, counted from the first: how rows are handed over changes nothing."""


class Ledger:
    """points: what of the overdraft single points have spent. budget: rows between false alarms that are acceptable;
    learn: rows that are learned first; extra: EXTRA or PATIENT.

    >>> ledger = Ledger(budget=10_000.0, learn=100)
    >>> ledger.watch(100); round(ledger.demand, 2)
    2.84
    >>> ledger.spend(), ledger.spend(at=20), ledger.overdraft
    (True, False, 1.0)
    >>> ledger.watch(5_000); round(ledger.overdraft, 2), round(ledger.demand, 2)
    (0.5, 4.78)
    >>> ledger.refund(); ledger.overdraft
    0.0
    """

    def __init__(self, budget: float, learn: int, extra: float = EXTRA) -> None:
        self.budget, self._extra = max(budget, 1.0), extra
        self.learned(learn)
        self.rows = 0
        self.overdraft = self.points = 0.0
        self.alarms = 0
        self._last = -TOGETHER - 1

    def learned(self, rows: int) -> None:
        """So many were learned."""
        self._young = max(1.0, math.log(max(self.budget / max(rows, 1), 1.0)) / self._extra)

    @property
    def left(self) -> int:
        """Rows until the demand may change."""
        return EVERY - self.rows % EVERY

    @property
    def base(self) -> float:
        """What is demanded of a monitor that has spent nothing, log10 rows."""
        return math.log10(KINDS * min(self.budget, self._young * max(self.rows, 1)))

    @property
    def demand(self) -> float:
        """log10 rows."""
        return self.base + RAISED * self.overdraft

    def watch(self, rows: int) -> None:
        self.rows += rows
        self.overdraft = max(0.0, self.overdraft - rows / self.budget)
        self.points = max(0.0, self.points - rows / self.budget)

    def spend(self, at: int = 0, cost: float = 1.0, *, point: bool = False) -> bool:
        """An alarm, `at` rows after those watched. Returns whether it is one of its own. cost: 0 of one that is told
        whatever was spent, which makes the next no harder."""
        row = self.rows + at
        if row - self._last <= TOGETHER:
            return False
        self._last = row
        self.overdraft += cost
        self.points += point
        self.alarms += 1
        return True

    def refund(self, *, point: bool = False) -> None:
        """An operator has confirmed one."""
        self.overdraft = max(0.0, self.overdraft - 1.0)
        self.points = max(0.0, self.points - point)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"ledger": np.array([self.rows, self.overdraft, self.points, self.alarms, self._last], dtype=np.float64)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        rows, self.overdraft, self.points, alarms, last = (float(n) for n in state["ledger"])
        self.rows, self.alarms, self._last = int(rows), int(alarms), int(last)
