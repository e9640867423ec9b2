"""Code of the line's owner from outside the tree: a folder on the device that the line names.

`<folder>/sources/<type>/`, `<folder>/cameras/<name>/` and so on are Python packages that run inside our process with
all that it may do. So a folder is used only where the user of the process cannot change it: who can write there could
otherwise put code into every component.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, Literal, Protocol

from msgspec import Meta

from edgeloop.errors import ConfigurationError

Plugins = Annotated[
    str,
    Meta(
        title="Plug-ins",
        description="folder on the device with code of your own, see `edgeloop new`; empty: none",
        pattern=r"^(/[^\x00-\x1f]*)?$",
        max_length=512,
    ),
]
Kind = Literal["sources", "cameras", "detectors", "destinations"]
_ROOT: Final = "edgeloop_plugins"
_PROBLEM: Final = "configuration.plugins"


def names(folder: Path | str, kind: Kind) -> list[str]:
    """The packages of a kind, by name; none where there is no such folder."""
    try:
        return sorted(p.name for p in (Path(folder) / kind).iterdir() if (p / "__init__.py").is_file())
    except OSError:
        return []


def guard(folder: Path | str, where: str = "plugins") -> None:
    """Raises ConfigurationError where the folder is not there, or this process could change what is in it."""
    top = Path(folder)
    if not top.is_absolute():
        raise ConfigurationError("the plug-ins cannot be used", where=where, why=f"{folder} is no absolute path")
    if not top.is_dir():
        raise ConfigurationError(
            "the plug-ins cannot be used", where=where, why=f"there is no folder {folder}", mend="copy it to the device"
        )
    for path in _all(top):
        why = f"{path} is a link" if path.is_symlink() else ""
        if why or writable(path):
            raise ConfigurationError(
                "the plug-ins cannot be used",
                where=where,
                why=why or f"the user of this component may write {path}",
                mend=f"let them be files that belong to root: chown -R root: {top}; chmod -R go-w {top}",
            )


class Told(Protocol):
    def problem(self, key: str, line: str) -> None: ...
    def clear(self, key: str) -> None: ...


def usable(folder: str, health: Told) -> str:
    """The folder, or nothing where it may not be used: that is a problem of `configuration.plugins`, nothing more."""
    try:
        if folder:
            guard(folder)
    except (ConfigurationError, OSError) as error:
        health.problem(_PROBLEM, str(error))
        return ""
    health.clear(_PROBLEM)
    return folder


def _all(top: Path) -> Iterator[Path]:
    """What decides which code is found: the folder's parents by its real path, itself, all below."""
    real = top.resolve()
    yield from reversed(real.parents)
    yield real
    for folder, folders, files in os.walk(real):
        yield from (Path(folder) / name for name in [*folders, *files])


def writable(path: Path) -> bool:
    """Whether the user of this process may change an entry; root, who may all, counts as whoever else could.

    A folder with the sticky bit, such as /tmp, lets nobody rename what belongs to another.
    """
    found = path.stat(follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and found.st_uid == 0:
        return False
    if os.geteuid() == 0:
        return found.st_uid != 0 or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def load(folder: Path | str, kind: Kind, name: str, attribute: str) -> Any:
    """What a plug-in's package calls `attribute`. Raises whatever its import raises, AttributeError without it."""
    return getattr(_imported(Path(folder), kind, name), attribute)


def _imported(folder: Path, kind: Kind, name: str) -> ModuleType:
    """By its place: two folders may have plug-ins of one name; relative imports work."""
    place = folder / kind / name
    full = f"{_ROOT}.{kind}.{name}"
    known = sys.modules.get(full)
    if known is not None and known.__file__ == str(place / "__init__.py"):
        return known
    for stale in [key for key in sys.modules if key == full or key.startswith(f"{full}.")]:
        del sys.modules[stale]
    spec = importlib.util.spec_from_file_location(full, place / "__init__.py", submodule_search_locations=[str(place)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no Python package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module
