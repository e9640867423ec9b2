"""Where records go beside S3 and Kinesis, one folder a type: one with a DESTINATION, here or among the plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

from edgeloop import plugins
from edgeloop.errors import ConfigurationError
from stream_upload.destinations.base import Destination


class Registry:
    """The types that could be imported; one that could not is an error only of those who use it."""

    def __init__(self, on_failure: Callable[[str], None], outside: str = "") -> None:
        """outside: a folder of plug-ins, guarded by the caller; empty: none."""
        self._types: dict[str, type[Destination[Any]]] = {}
        for module in pkgutil.iter_modules(importlib.import_module(__name__).__path__):
            if module.ispkg:
                self._add(module.name, partial(_ours, module.name), on_failure)
        for name in plugins.names(outside, "destinations") if outside else ():
            if name in self._types:
                on_failure(f"the plug-in {outside}/destinations/{name} is not used: the type {name} is there already")
            else:
                self._add(name, partial(plugins.load, outside, "destinations", name, "DESTINATION"), on_failure)

    def _add(self, name: str, load: Callable[[], Any], on_failure: Callable[[str], None]) -> None:
        try:
            kind = load()
            if not (isinstance(kind, type) and issubclass(kind, Destination)):
                raise TypeError("DESTINATION is no class below stream_upload.destinations.base.Destination")
            self._types[name] = kind
        except Exception as error:
            on_failure(f"the destination type {name} cannot be used: {type(error).__name__}: {error}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._types))

    def get(self, name: object, where: str) -> type[Destination[Any]]:
        """Raises ConfigurationError."""
        if isinstance(name, str) and name in self._types:
            return self._types[name]
        what = "missing value" if name in (None, "") else "unknown destination type"
        why = "" if name in (None, "") else repr(name)
        raise ConfigurationError(what, where=where, why=why, mend=f"one of: {', '.join(self.names)}")


def _ours(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}").DESTINATION
