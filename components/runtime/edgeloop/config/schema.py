"""Configuration values as plain ones: defaults, what differs from them, readable forms."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

from edgeloop.config.load import describe, plain
from edgeloop.config.quantities import QUANTITIES
from edgeloop.log import redact


def defaults(type: type[msgspec.Struct]) -> dict[str, Any]:
    """What a recipe's DefaultConfiguration says: plain JSON values, quantities as text; required fields are left out.

    >>> from edgeloop.config.quantities import Duration
    >>> fields = [("path", str), ("tick", Duration, Duration("50 ms")), ("sources", dict, {})]
    >>> defaults(msgspec.defstruct("C", fields))
    {'tick': '50 ms', 'sources': {}}
    """
    kind, _ = plain(describe(type))
    assert isinstance(kind, inspect.StructType)
    result = {}
    for field in kind.fields:
        if not field.required and (value := readable(default_of(field))) is not None:
            result[field.encode_name] = value
    return result


def readable(value: Any) -> Any:
    """A typed value as plain JSON, quantities as their text, null settings left out."""
    if isinstance(value, QUANTITIES):
        return str(value)
    if isinstance(value, msgspec.Struct):
        named = ((field.encode_name, readable(getattr(value, field.name))) for field in msgspec.structs.fields(value))
        result = {name: item for name, item in named if item is not None}
        config = value.__struct_config__
        return {config.tag_field: config.tag, **result} if config.tag_field else result
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [readable(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return value


def difference(value: msgspec.Struct) -> dict[str, Any]:
    """What differs from the defaults, readable and without secrets."""
    have = readable(value)
    return dict(redact({key: item for key, item in have.items() if defaults(type(value)).get(key) != item}))


def default_of(field: inspect.Field) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
