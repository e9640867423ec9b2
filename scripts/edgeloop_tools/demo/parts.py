"""Parts going by, each with its verdict, camera by camera."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.text import Text

from edgeloop_tools.harness.documents import ModelName
from edgeloop_tools.harness.recording import Inspected

SHOWN = 40
"""Verdicts of a camera, the newest."""
GLYPHS = {"pass": ("●", "green"), "fail": ("✗", "bold red"), "unknown": ("?", "yellow")}


@dataclass(slots=True)
class Passing:
    """verdicts: newest last; model: that of the newest verdict that a model gave."""

    verdicts: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN))
    counts: Counter[str] = field(default_factory=Counter)
    model: ModelName = field(default_factory=ModelName)

    def glyphs(self, width: int = SHOWN) -> Text:
        """The newest at the right."""
        return Text.assemble(*(GLYPHS[verdict] for verdict in list(self.verdicts)[-width:]), no_wrap=True)

    def words(self) -> Text:
        """How many of each, and the model in force."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for verdict, (_, colour) in GLYPHS.items():
            text.append(f"{self.counts[verdict]} {verdict}  ", style=colour if self.counts[verdict] else "bright_black")
        return text.append(f"{self.model.name} {self.model.version}".strip() or "no model yet", style="cyan")


class Parts:
    """`see` takes what is new of a list that only grows; a part said twice counts once."""

    def __init__(self) -> None:
        self.cameras: dict[str, Passing] = {}
        self._seen = 0
        self._known: set[tuple[str, str]] = set()

    def see(self, inspections: Sequence[Inspected]) -> None:
        end = len(inspections)
        for inspected in inspections[self._seen : end]:
            inspection = inspected.inspection
            passing = self.cameras.setdefault(inspection.camera, Passing())
            if inspection.part:
                if (inspection.camera, inspection.part) in self._known:
                    continue
                self._known.add((inspection.camera, inspection.part))
            passing.verdicts.append(inspection.verdict)
            passing.counts[inspection.verdict] += 1
            if inspection.model.version:
                passing.model = inspection.model
        self._seen = end
