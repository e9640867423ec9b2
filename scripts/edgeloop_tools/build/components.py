"""The components of this checkout, found by their declarations."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edgeloop.config.declaration import Declaration
from edgeloop.errors import EdgeloopError
from edgeloop.topics import short
from edgeloop_tools.cli import ROOT

COMPONENTS = ROOT / "components"
LIBRARY = COMPONENTS / "runtime" / "edgeloop"
LIBRARIES = (LIBRARY, COMPONENTS / "runtime" / "edgeloop_web")
MODELS = COMPONENTS / "models"
RUNTIME = "io.edgeloop.Runtime"
UMBRELLA = "io.edgeloop.Edgeloop"


def folder(declaration: Declaration[Any]) -> Path:
    return COMPONENTS / declaration.package


def declarations() -> list[Declaration[Any]]:
    """All, Runtime first. Raises EdgeloopError naming the file that does not say what it must."""
    found = []
    for path in sorted(COMPONENTS.glob("*/declaration.py")):
        where = str(path.relative_to(ROOT))
        try:
            module = importlib.import_module(f"{path.parent.name}.declaration")
        except ImportError as error:
            raise EdgeloopError("cannot import the declaration", where=where, why=str(error)) from error
        declaration = getattr(module, "DECLARATION", None)
        if not isinstance(declaration, Declaration):
            raise EdgeloopError("no DECLARATION here", where=where, mend="DECLARATION = Declaration(...)")
        if declaration.package != path.parent.name:
            why = f"package is {declaration.package!r}, the folder is {path.parent.name!r}"
            raise EdgeloopError("the declaration names another package", where=where, why=why)
        found.append(declaration)
    return sorted(found, key=lambda d: (d.name != RUNTIME, d.name))


def chosen(words: Collection[str] | None) -> list[Declaration[Any]]:
    """Those named by package, component name or its last part; all without words."""
    known = declarations()
    if not words:
        return known
    names = {alias: d for d in known for alias in (d.name, short(d.name), d.package)}
    if unknown := sorted(set(words) - set(names)):
        mend = f"one of {', '.join(d.package for d in known)}"
        raise EdgeloopError("no such component", why=", ".join(unknown), mend=mend)
    wanted = {names[word].name for word in words}
    return [d for d in known if d.name in wanted]
