"""Conditions against a column of labels, beside two trivial rules.

F1, FAR and MAR as SKAB counts them: over all rows that were not learned; FAR is the share of normal rows with an
alarm, MAR the share of labelled rows without one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop_tools.backtest.recording import Recording
from edgeloop_tools.backtest.replay import Columns

SIGMA = 4.0
Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Counts:
    """Rows by truth and alarm; labelled spans, those with an alarm, and the rows until it."""

    hits: int = 0
    false: int = 0
    missed: int = 0
    quiet: int = 0
    spans: int = 0
    found: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, truth: Flags, alarm: Flags) -> None:
        """Both (n,), of one recording.

        >>> counts = Counts()
        >>> counts.add(np.array([0, 1, 1, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool))
        >>> counts.hits, counts.false, counts.missed, counts.spans, counts.found, counts.delays
        (1, 1, 2, 2, 1, [1])
        """
        self.hits += int((truth & alarm).sum())
        self.false += int((~truth & alarm).sum())
        self.missed += int((truth & ~alarm).sum())
        self.quiet += int((~truth & ~alarm).sum())
        edges = np.flatnonzero(np.diff(np.concatenate(([0], truth.astype(np.int8), [0]))))
        for start, end in edges.reshape(-1, 2):
            self.spans += 1
            where = np.flatnonzero(alarm[start:end])
            if len(where):
                self.found += 1
                self.delays.append(int(where[0]))

    def document(self) -> dict[str, Any]:
        """Rates in percent, delay in rows; None where there is nothing to divide by."""
        labelled, normal = self.hits + self.missed, self.false + self.quiet
        either = 2 * self.hits + self.false + self.missed
        return {
            "f1": round(2 * self.hits / either, 4) if either else None,
            "far_percent": round(100 * self.false / normal, 2) if normal else None,
            "mar_percent": round(100 * self.missed / labelled, 2) if labelled else None,
            "spans": self.spans,
            "found": self.found,
            "delay_rows": float(np.median(self.delays)) if self.delays else None,
        }


RULES = ("engine", "always", "four_sigma")


@dataclass(slots=True)
class Judge:
    """learn: rows at the start that are not counted, and that the threshold of 4 σ is taken from."""

    learn: int
    counts: dict[str, Counts] = field(default_factory=lambda: {name: Counts() for name in RULES})

    def add(self, recording: Recording, columns: Columns) -> None:
        n = min(self.learn, len(recording))
        truth = recording.labels[n:]
        self.counts["engine"].add(truth, columns.condition_alert[n:])
        self.counts["always"].add(truth, np.ones_like(truth))
        first, rest = recording.values[:n], recording.values[n:]
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.abs(rest - first.mean(axis=0)) / first.std(axis=0) if n else np.zeros_like(rest)
        beyond: Flags = np.any(z > SIGMA, axis=1)
        self.counts["four_sigma"].add(truth, beyond)

    def document(self) -> dict[str, Any]:
        return {name: counts.document() for name, counts in self.counts.items()}

    def lines(self) -> list[str]:
        """A table."""
        rows = [f"{'conditions against labels':<26}{'F1':>8}{'FAR %':>8}{'MAR %':>8}{'found':>9}{'delay, rows':>13}"]
        for name, said in self.document().items():
            cells = [_cell(said[key]) for key in ("f1", "far_percent", "mar_percent")]
            found = f"{said['found']}/{said['spans']}"
            title = name.replace("_", " ")
            rows.append(
                f"{title:<26}{cells[0]:>8}{cells[1]:>8}{cells[2]:>8}{found:>9}{_cell(said['delay_rows'], 0):>13}"
            )
        return rows


def _cell(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
