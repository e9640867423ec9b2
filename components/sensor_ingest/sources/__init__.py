"""The kinds of sources, one folder each: a folder with a SOURCE is a type."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from edgeloop.errors import ConfigurationError
from sensor_ingest.sources.base import Source


class Registry:
    """The types that could be imported; a type that could not is an error only of those who use it."""

    def __init__(self, on_failure: Callable[[str], None], package: str = __name__) -> None:
        self._types: dict[str, type[Source[Any]]] = {}
        self._failed: dict[str, str] = {}
        folder = importlib.import_module(package)
        for module in pkgutil.iter_modules(folder.__path__):
            if module.ispkg:
                self._add(package, module.name, on_failure)

    def _add(self, package: str, name: str, on_failure: Callable[[str], None]) -> None:
        try:
            self._types[name] = importlib.import_module(f"{package}.{name}").SOURCE
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
