"""One line.yaml for a line: validated whole, rendered to each component's configuration.

The library's side: `load`, `Line`, `difference`, `Update`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop_tools.config.change import Change, Configurations, Update
from edgeloop_tools.config.problems import LineErrors, Place, Problem

if TYPE_CHECKING:
    from edgeloop_tools.config.line import Line


def load(path: Path | str, overlays: Iterable[Path | str] = ()) -> Line:
    """A valid line: the file, with overlays on it in order. Raises LineErrors with all that is wrong, EdgeloopError
    for a file that cannot be read."""
    from edgeloop_tools.config.checks import check
    from edgeloop_tools.config.line import load as read

    line = read(path, overlays)
    check(line)
    line.raise_problems()
    return line


def overlays(path: Path | str) -> dict[str, Path]:
    """Thing → overlay: `overlays/<thing>.yaml` beside the line's file."""
    return {file.stem: file for file in sorted((Path(path).parent / "overlays").glob("*.yaml"))}


def difference(old: Line | Configurations, new: Line | Configurations) -> dict[str, Update]:
    """Component → what turns the old configuration into the new one, of those that change."""
    from edgeloop_tools.config import change

    return change.difference(_components(old), _components(new))


def _components(line: Line | Configurations) -> Configurations:
    from edgeloop_tools.config.line import Line

    return line.configured() if isinstance(line, Line) else line


__all__ = ["Change", "Configurations", "LineErrors", "Place", "Problem", "Update", "difference", "load", "overlays"]
