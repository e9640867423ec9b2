"""What a service needs to know to run one version of a component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeloop_tools.core.recipes import Step, Version
from edgeloop_tools.core.recipes.model import StepName


@dataclass(frozen=True, slots=True)
class Plan:
    """Scripts with their variables replaced. `setenv` holds for every step. builtin: no process. core: its process is
    one of the core's own, with the core's user and Python."""

    name: str
    version: Version
    steps: Mapping[StepName, Step]
    setenv: Mapping[str, str] = field(default_factory=dict)
    hard: frozenset[str] = frozenset()
    soft: frozenset[str] = frozenset()
    work: Path = Path()
    builtin: bool = False
    core: bool = False

    def same_process(self, other: Plan) -> bool:
        """Whether a running process of `other` can go on under this plan."""
        return (self.version, self.steps, self.setenv, self.hard) == (
            other.version,
            other.steps,
            other.setenv,
            other.hard,
        )
