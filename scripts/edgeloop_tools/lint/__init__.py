"""Every rule that a recipe must keep to run on the classic nucleus and on lite, and this project's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong.

    >>> print(Finding(Path("a-1.0.0.yaml"), 7, "braces", "'{x' starts a variable", "write {artifacts:path}"))
    a-1.0.0.yaml:7: braces: '{x' starts a variable; write {artifacts:path}
    """

    path: Path
    line: int
    rule: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}" + (f"; {self.mend}" if self.mend else "")


def check(paths: Sequence[Path]) -> list[Finding]:
    """What is wrong with these recipes, each by itself and together. Raises EdgeloopError for a file it cannot read."""
    from edgeloop_tools.lint.document import Document
    from edgeloop_tools.lint.project import TOGETHER
    from edgeloop_tools.lint.recipe import ALONE

    documents, findings = [], []
    for path in sorted(paths):
        document = Document.read(path)
        if isinstance(document, Finding):
            findings.append(document)
            continue
        documents.append(document)
        findings += [finding for rule in ALONE for finding in rule(document)]
    findings += [finding for rule in TOGETHER for finding in rule(documents)]
    return sorted(set(findings))
