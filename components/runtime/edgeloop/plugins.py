"""Code of the line's owner from outside the tree: a folder on the device that the line names.

`<folder>/sources/<type>/`, `<folder>/cameras/<name>/` and so on are Python packages that run inside our process with
all that it may do. So a folder is used only where the user of the process cannot change it: who can write there could
otherwise put code into every component.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, Generic, Literal, Protocol, TypeVar

from msgspec import Meta

from edgeloop.config.identifiers import is_id
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError

Plugins = Annotated[
    str,
    Meta(
        title="Plug-ins",
        description="folder on the device with code of your own, see `edgeloop new`; empty: none",
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


T = TypeVar("T")


class Types(Generic[T]):
    """The types of one kind by name: a folder each, in a package of ours and in the line's plug-ins. One that cannot be
    imported is a line to `on_failure`, and an error only of those who use it."""

    def __init__(
        self, noun: str, package: str, kind: Kind, base: type[T], on_failure: Callable[[str], None], outside: str = ""
    ) -> None:
        """noun: in the words of errors; its capitals name the class in a folder's package. base: what that class is
        below. outside: a folder of plug-ins, guarded by the caller; empty: none."""
        self._noun, self._base, self._on_failure = noun, base, on_failure
        self._types: dict[str, type[T]] = {}
        self._failed: dict[str, str] = {}
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if module.ispkg:
                self._add(module.name, partial(_ours, f"{package}.{module.name}", noun.upper()))
        for name in names(outside, kind) if outside else ():
            if name in self._types:
                on_failure(f"the plug-in {outside}/{kind}/{name} is not used: the type {name} is there already")
            else:
                self._add(name, partial(load, outside, kind, name, noun.upper()))

    def _add(self, name: str, found: Callable[[], Any]) -> None:
        try:
            type_ = found()
            if not (isinstance(type_, type) and issubclass(type_, self._base)):
                raise TypeError(f"{self._noun.upper()} is no class below {self._base.__module__}.{self._base.__name__}")
            self._types[name] = type_
        except Exception as error:
            self._failed[name] = f"{type(error).__name__}: {error}"
            self._on_failure(f"the {self._noun} type {name} cannot be used: {self._failed[name]}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._types))

    def get(self, name: object, where: str) -> type[T]:
        """Raises ConfigurationError."""
        if isinstance(name, str) and name in self._types:
            return self._types[name]
        if isinstance(name, str) and name in self._failed:
            what = f"the {self._noun} type {name} cannot be used"
            raise ConfigurationError(what, where=where, why=self._failed[name], mend="install what it needs")
        what = "missing value" if name in (None, "") else f"unknown {self._noun} type"
        why = "" if name in (None, "") else repr(name)
        raise ConfigurationError(what, where=where, why=why, mend=f"one of: {', '.join(self.names)}")

    def entry(self, id: str, entry: Any, section: str) -> tuple[type[T], Any]:
        """An entry of a collection as its type and that type's `options`. Raises ConfigurationError."""
        where = f"{section}.{id}"
        if not is_id(id):
            raise ConfigurationError("wrong id", where=where, mend="use a-z, 0-9, _ and -, at most 32 characters")
        if not isinstance(entry, Mapping):
            raise ConfigurationError("invalid value", where=where, why=f"{entry!r} is no map of settings")
        type_: Any = self.get(entry.get("type"), f"{where}.type")
        return type_, convert(entry, type_.options, where)


def _ours(module: str, attribute: str) -> Any:
    return getattr(importlib.import_module(module), attribute)


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
