"""What every nucleus can be asked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from edgeloop.errors import EdgeloopError

Kind = Literal["classic", "lite", "core"]
Say = Callable[[str], None]
OURS = "io.edgeloop."
PREFIX: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """state: in the nucleus's words, RUNNING, FINISHED, ERRORED, BROKEN, INSTALLED …; pids: its unit's, where known."""

    name: str
    version: str
    state: str
    reason: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        return self.state in ("RUNNING", "FINISHED")


@dataclass(frozen=True, slots=True)
class Deployment:
    """roots: to add, with their versions. merge: component → its configuration, in place of what it has. The folders
    are read until the outcome is there. failure: of the classic nucleus alone; its own default is DO_NOTHING."""

    roots: Mapping[str, str]
    merge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remove: Sequence[str] = ()
    recipes: Path = Path("recipes")
    artifacts: Path = Path("artifacts")
    failure: Literal["ROLLBACK", "DO_NOTHING"] = "ROLLBACK"


@dataclass(frozen=True, slots=True)
class Outcome:
    """state: SUCCEEDED, FAILED or the last one seen when the time was over. why: the nucleus's words."""

    id: str
    state: str
    why: str = ""

    @property
    def succeeded(self) -> bool:
        return self.state == "SUCCEEDED"


class Nucleus(Protocol):
    kind: Kind
    root: Path

    @property
    def version(self) -> str: ...

    def components(self) -> list[Component]:
        """All but the nucleus's own. Raises EdgeloopError where it cannot be asked."""
        ...

    def roots(self) -> list[str]:
        """Those of ours that a local deployment put there by name."""
        ...

    def deploy(self, work: Deployment, timeout: float, say: Say) -> Outcome: ...

    def log(self, component: str, lines: int) -> list[str]:
        """Its last lines."""
        ...


def run(words: Sequence[str], timeout: float, *, mend: str = "") -> str:
    """Standard output and error of a nucleus's program. Raises EdgeloopError with its last line."""
    try:
        done = subprocess.run(list(words), capture_output=True, text=True, check=False, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgeloopError("the nucleus's program does not run", where=words[0], why=str(error), mend=mend) from error
    said = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    if done.returncode:
        lines = said.splitlines()
        raise EdgeloopError("the nucleus refused", where=words[0], why=lines[-1] if lines else "no reason", mend=mend)
    return said


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file. Raises EdgeloopError."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 400 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError as error:
        mend = "run this with sudo" if isinstance(error, PermissionError) else ""
        raise EdgeloopError("cannot read the log", where=str(path), why=error.strerror or "", mend=mend) from None
