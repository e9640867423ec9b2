"""What is wrong with a line.yaml, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgeloop.errors import EdgeloopError


class Place(NamedTuple):
    """line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or (note) that may not be what was meant.

    >>> print(Problem(Place(Path("line.yaml"), 7, 3), "rules.stop", "unknown monitor", "'b'", "did you mean 'a'?"))
    line.yaml:7:3: unknown monitor (rules.stop): 'b'; did you mean 'a'?
    """

    place: Place
    where: str
    what: str
    why: str = ""
    mend: str = ""
    note: bool = False

    def __str__(self) -> str:
        what = f"note: {self.what}" if self.note else self.what
        return f"{self.place}: {EdgeloopError(what, where=self.where, why=self.why, mend=self.mend)}"

    def row(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            "file": str(self.place.file), "line": self.place.line, "column": self.place.column, "where": self.where,
            "what": self.what, "why": self.why, "mend": self.mend, "note": self.note,
        }  # fmt: skip


class LineErrors(EdgeloopError):
    """All that is wrong; the text is that of the first, `problems` has all, by file, line and column."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problem for problem in problems if not problem.note)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more: `edgeloop config check`)" if len(self.problems) > 1 else ""
        super().__init__(f"{first.place}: {first.what}", where=first.where, why=first.why, mend=first.mend + more)


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda p: (p.note, str(p.place.file), p.place.line, p.place.column, str(p)))
