"""What the doctor says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One look at one thing. A problem keeps components from working; a warning will bite later.

    >>> print(Finding("problem", "memory", "200 MB", "512 MB are needed with cameras", "leave out the vision profile"))
    problem  memory: 200 MB; 512 MB are needed with cameras; leave out the vision profile
    """

    level: Level
    what: str
    seen: str
    why: str = ""
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.what}: " + "; ".join(filter(None, (self.seen, self.why, self.mend)))

    def document(self) -> dict[str, str]:
        return asdict(self)
