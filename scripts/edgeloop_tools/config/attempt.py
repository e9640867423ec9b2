"""Conversion of a configuration that may have mistakes: all of them, and what can be used in spite of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeloop.config.load import InvalidConfiguration, convert, tolerant
from edgeloop.errors import ConfigurationError

_NAMED = re.compile(r"([a-z][\w.-]*): (.*)", re.S)
_NEXT = re.compile(r"; (?=[a-z]\w*\.[\w.-]+: )")


@dataclass(frozen=True, slots=True)
class Attempt:
    """value: None where there are errors. usable: None where nothing can be made of it."""

    value: Any
    usable: Any
    errors: tuple[ConfigurationError, ...] = ()


def attempt(data: Any, kind: Any, where: str = "") -> Attempt:
    """Unknown keys do not hide what the type has against the whole; usable is without what is wrong.

    >>> import msgspec
    >>> Pair = msgspec.defstruct("Pair", [("a", int, 1), ("b", int, 2)], frozen=True, forbid_unknown_fields=True)
    >>> tried = attempt({"a": "x", "b": "7", "c": 1}, Pair)
    >>> tried.usable, [error.where for error in tried.errors]
    (Pair(a=1, b=7), ['c', 'a'])
    """
    try:
        value = convert(data, kind, where)
    except InvalidConfiguration as error:
        errors = list(error.errors)
    else:
        return Attempt(value, value)
    unknown = [each.where for each in errors if each.what == "unknown key"]
    if len(unknown) == len(errors):
        try:
            convert(_without(data, unknown, where), kind, where)
        except InvalidConfiguration as error:
            errors += error.errors
    try:
        usable = tolerant(_without(data, [each.where for each in errors], where), kind, where)[0]
    except ConfigurationError:
        usable = None
    return Attempt(None, usable, tuple(errors))


def parts(error: ConfigurationError) -> list[tuple[str, str]]:
    """(inner path, why) of what a type says of several of its entries.

    >>> parts(ConfigurationError("invalid value", where="plc", why="tags.a: no type; one of: x; tags.b: no table"))
    [('tags.a', 'no type; one of: x'), ('tags.b', 'no table')]
    """
    said = [_NAMED.fullmatch(piece) for piece in _NEXT.split(error.why)]
    return [(match[1], match[2]) for match in said if match] if all(said) else []


def _without(data: Any, paths: Iterable[str], where: str) -> Any:
    for path in paths:
        data = _dropped(data, path.removeprefix(where).removeprefix(".") if where else path)
    return data


def _dropped(data: Any, path: str) -> Any:
    if not isinstance(data, Mapping) or not path:
        return data
    keys = [key for key in data if path == key or path.startswith((f"{key}.", f"{key}["))]
    if not keys:
        return data
    key = max(keys, key=len)
    rest = path[len(key) :].removeprefix(".")
    if not rest or rest.startswith("["):
        return {name: value for name, value in data.items() if name != key}
    return {name: _dropped(value, rest) if name == key else value for name, value in data.items()}
