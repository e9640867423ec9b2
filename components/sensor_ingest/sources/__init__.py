"""The kinds of sources, one folder each: a folder with a SOURCE is a type, here or among the line's plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

from edgeloop import plugins
from edgeloop.errors import ConfigurationError
from sensor_ingest.sources.base import Source


class Registry:
    """The types that could be imported; a type that could not is an error only of those who use it."""

    def __init__(self, on_failure: Callable[[str], None], package: str = __name__, outside: str = "") -> None:
        """outside: a folder of plug-ins, guarded by the caller; empty: none."""
        self._types: dict[str, type[Source[Any]]] = {}
        self._failed: dict[str, str] = {}
        folder = importlib.import_module(package)
        for module in pkgutil.iter_modules(folder.__path__):
            if module.ispkg:
                self._add(module.name, partial(_ours, package, module.name), on_failure)
        for name in plugins.names(outside, "sources") if outside else ():
            if name in self._types:
                on_failure(f"the plug-in {outside}/sources/{name} is not used: the type {name} is there already")
            else:
                self._add(name, partial(plugins.load, outside, "sources", name, "SOURCE"), on_failure)

    def _add(self, name: str, load: Callable[[], Any], on_failure: Callable[[str], None]) -> None:
        try:
            kind = load()
            if not (isinstance(kind, type) and issubclass(kind, Source)):
                raise TypeError("SOURCE is no class below sensor_ingest.sources.base.Source")
            self._types[name] = kind
        except Exception as error:
            self._failed[name] = f"{type(error).__name__}: {error}"
            on_failure(f"the source type {name} cannot be used: {self._failed[name]}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._types))

    def get(self, name: object, where: str) -> type[Source[Any]]:
        """Raises ConfigurationError."""
        if isinstance(name, str) and name in self._types:
            return self._types[name]
        if isinstance(name, str) and name in self._failed:
            raise ConfigurationError(
                f"the source type {name} cannot be used",
                where=where,
                why=self._failed[name],
                mend="install what it needs",
            )
        raise ConfigurationError(
            "missing value" if name in (None, "") else "unknown source type",
            where=where,
            why="" if name in (None, "") else repr(name),
            mend=f"one of: {', '.join(self.names)}",
        )


def _ours(package: str, name: str) -> Any:
    return importlib.import_module(f"{package}.{name}").SOURCE
