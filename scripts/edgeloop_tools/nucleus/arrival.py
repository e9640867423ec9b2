"""Whether what a line says is what the device has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeloop_tools.config.change import same
from edgeloop_tools.nucleus.model import Component

_SHOWN = 6


def lacking(wanted: Any, has: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted paths of what is wanted and is not there, or is otherwise. Numbers may have become text, or doubles.

    >>> list(lacking({"a": {"x": 1, "y": [2]}, "b": {}}, {"a": {"x": "1", "y": [2.0]}}))
    []
    >>> list(lacking({"a": {"x": 1}, "b": "c"}, {"a": {"x": 2}}))
    ['a.x', 'b']
    """
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            yield from lacking(value, has.get(key) if isinstance(has, Mapping) else None, (*path, str(key)))
    elif (has is None and wanted is not None) or not same(has, wanted):
        yield ".".join(path)


def differences(merge: Mapping[str, Mapping[str, Any]], there: Iterable[Component]) -> Iterator[tuple[str, str]]:
    """(component, why) of each that has not what was merged."""
    has = {component.name: component.configuration for component in there}
    for name, wanted in sorted(merge.items()):
        if name not in has:
            yield name, "it is not deployed"
        elif paths := list(lacking(wanted, has[name])):
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            yield name, f"{', '.join(paths[:_SHOWN])}{more} did not arrive"
