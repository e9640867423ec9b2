"""What a monitor learns first: rows that wait until they say enough, then teach all at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.learning import MOST_ROWS, learning_rows
from edgeloop.detect.protocol import Float, Rows, State
from edgeloop.detect.regimes import Regimes
from edgeloop.detect.regimes.information import effective

DAY = 86_400.0
ENOUGH, VISITS = 200.0, 2
"""Independent rows; visits of each state."""
FEWEST, SHORTEST = 60, 60.0
"""Rows, and s, at least."""
SLOW = 10.0
"""s between rows from which on a day is learned at least, and LONGEST_SLOW at most."""
LONGEST_SLOW, SHARE, LEAST, MOST = 3 * DAY, 48, 600.0, 20_000
"""Of faster rows: a share of the budget's time at most, but LEAST s; rows that are kept."""
FIRST, GROWTH = 64, 1.2
"""Rows until it is first asked whether they say enough, and until the next time."""


@dataclass(slots=True)
class _Segment:
    context: str
    times: list[NDArray[np.int64]]
    values: list[Float]


class LearningWindow:
    """learn: s, 0: as many as it takes; alone: whether states are found by themselves."""

    def __init__(self, learn: float, step: float, budget: float, columns: tuple[str, ...], *, alone: bool) -> None:
        self._step, self._fixed, self._alone, self._columns = step, bool(learn), alone, columns
        if learn:
            self._least = self._most = learning_rows(learn, step)
        elif step > SLOW:
            self._least, self._most = max(FEWEST, math.ceil(DAY / step)), max(FEWEST, math.ceil(LONGEST_SLOW / step))
        else:
            longest = min(DAY, max(LEAST, budget / SHARE))
            self._least = max(FEWEST, math.ceil(SHORTEST / step))
            self._most = max(self._least, min(MOST, math.ceil(longest / step)))
        self._most = min(self._most, MOST_ROWS)
        self._least = min(self._least, self._most)
        self._segments: list[_Segment] = []
        self.rows = 0
        self._next = self._least if self._fixed else max(FIRST, self._least)
        self._share = 1.0
        self.missing = ""
        self.whole = False

    @property
    def learned(self) -> float:
        """Share of what is needed, 0 to 1."""
        by_rows = self.rows / self._least
        return min(1.0, by_rows if self._fixed else min(by_rows, max(self._share, self.rows / self._most)))

    def add(self, rows: Rows, context: str) -> int:
        """Rows that are taken of these; `whole` once that is enough."""
        used = 0
        while used < len(rows) and not self.whole:
            n = min(len(rows) - used, self._next - self.rows)
            self._keep(rows.times[used : used + n], rows.values[used : used + n], context)
            used += n
            if self.rows == self._next:
                self._ask()
        return used

    def _keep(self, times: NDArray[np.int64], values: Float, context: str) -> None:
        if not self._segments or self._segments[-1].context != context:
            self._segments.append(_Segment(context, [], []))
        self._segments[-1].times.append(times.copy())
        self._segments[-1].values.append(values.copy())
        self.rows += len(values)

    def _ask(self) -> None:
        """Whether the rows say enough."""
        if self._fixed or self.rows >= self._most:
            self.whole = True
            return
        values = self.values
        states: list[tuple[str, int]] = []
        if self._alone:
            regimes = Regimes(self._columns)
            values = regimes.learn(values, least=1).rows
            states = regimes.visits
        enough = effective(values)
        self._share = min([enough / ENOUGH, *(visits / VISITS for _, visits in states)])
        self.whole = self._share >= 1.0
        lacking = [f"{enough:.0f} of {ENOUGH:.0f} independent rows"] if enough < ENOUGH else []
        lacking += [f"another visit of {name}" for name, visits in states if visits < VISITS]
        self.missing = "" if self.whole else ", ".join(lacking)
        self._next = min(self._most, math.ceil(self.rows * GROWTH))

    @property
    def values(self) -> Float:
        """(rows, columns)."""
        parts = [part for segment in self._segments for part in segment.values]
        return np.concatenate(parts) if parts else np.zeros((0, len(self._columns)))

    def segments(self) -> Iterator[tuple[str, NDArray[np.int64], Float]]:
        """(context, times, values) in order."""
        for segment in self._segments:
            yield segment.context, np.concatenate(segment.times), np.concatenate(segment.values)

    def state(self) -> State:
        segments = list(self.segments())
        return {
            "window": np.array([self._next, self.rows]),
            "share": np.array([self._share]),
            "missing": np.array([self.missing]),
            "contexts": np.array([context for context, _, _ in segments], dtype=np.str_),
            "lengths": np.array([len(times) for _, times, _ in segments], dtype=np.int64),
            "times": np.concatenate([t for _, t, _ in segments]) if segments else np.zeros(0, dtype=np.int64),
            "values": self.values,
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Raises KeyError or ValueError where it is of another form."""
        at = 0
        for context, length in zip(state["contexts"], (int(n) for n in state["lengths"]), strict=True):
            part = slice(at, at + length)
            self._keep(state["times"][part].astype(np.int64), state["values"][part].astype(np.float64), str(context))
            at += length
        self._next, self.rows = (int(n) for n in state["window"])
        self._share, self.missing = float(state["share"][0]), str(state["missing"][0])
