"""A plug-in's folder, from the template of its kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edgeloop.errors import EdgeloopError

FOLDERS: Final = {"source": "sources", "camera": "cameras", "detector": "detectors", "destination": "destinations"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TEMPLATES = Path(__file__).with_name("templates")
_PLACEHOLDER = "example_name"
_NAMES = {"cases.py": "test_cases.py"}
"""Not named as tests among the templates, where they are none."""


def make(kind: str, name: str, folder: Path) -> Path:
    """Writes `folder/<kind>s/<name>`. Raises EdgeloopError where the name is none or the folder is there."""
    if not _NAME.fullmatch(name):
        raise EdgeloopError("no name of a plug-in", why=repr(name), mend="use a-z, 0-9 and _, a letter first")
    made = folder / FOLDERS[kind] / name
    if made.exists():
        raise EdgeloopError("there is a plug-in of this name", where=str(made), mend="choose another name")
    template = _TEMPLATES / kind
    for path in sorted(p for p in template.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        target = made / path.relative_to(template)
        target = target.with_name(_NAMES.get(target.name, target.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text().replace(_PLACEHOLDER, name))
        except OSError as error:
            raise EdgeloopError("a plug-in cannot be written", where=str(target), why=error.strerror or "") from None
    return made
