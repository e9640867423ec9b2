"""What a configuration type says of itself to people and editors: rows for tables, JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from edgeloop.config.load import describe, plain
from edgeloop.config.quantities import QUANTITIES, pattern_of
from edgeloop.config.schema import default_of, readable


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. Entries of a collection have `<id>` in their path, members of a tagged union the tag in brackets.

    default: in readable form; None where the field is required, or its default is null. minimum, maximum: text or None.
    """

    path: str
    type: str
    required: bool
    default: Any
    minimum: str | None
    maximum: str | None
    title: str
    description: str
    choices: tuple[str, ...] = ()


def fields(type: type[msgspec.Struct]) -> list[Field]:
    """Every setting, collections before what their entries have."""
    kind, _ = plain(describe(type))
    assert isinstance(kind, inspect.StructType)
    return list(_rows(kind, "", ()))


def json_schema(type: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema (2020-12) of what `load.convert` takes, quantities in words."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(describe(type))}


def _rows(kind: inspect.StructType, prefix: str, above: tuple[type, ...]) -> Iterator[Field]:
    for field in kind.fields:
        path = f"{prefix}.{field.encode_name}" if prefix else field.encode_name
        bare, extra = plain(field.type)
        words = _words(field.type)
        default = None if field.required else readable(default_of(field))
        low, high = _bounds(bare, extra)
        title, description = words.get("title", ""), words.get("description", "")
        yield Field(path, _name(bare), field.required, default, low, high, title, description, _choices(bare))
        for struct, below in _structs(bare, path):
            if struct.cls not in above:
                yield from _rows(struct, below, (*above, kind.cls))


def _structs(kind: inspect.Type, path: str) -> Iterator[tuple[inspect.StructType, str]]:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.StructType):
        yield bare, path
    elif isinstance(bare, inspect.DictType):
        yield from _structs(bare.value_type, f"{path}.<id>")
    elif isinstance(bare, inspect.CollectionType):
        yield from _structs(bare.item_type, f"{path}[]")
    elif isinstance(bare, inspect.UnionType):
        for member in bare.types:
            struct, _ = plain(member)
            if isinstance(struct, inspect.StructType):
                yield struct, f"{path}[{struct.tag}]" if struct.tag_field else path


def _words(kind: inspect.Type) -> dict[str, str]:
    words: dict[str, str] = {}
    while isinstance(kind, inspect.Metadata):
        words = {**(kind.extra_json_schema or {}), **words}
        kind = kind.type
    return words


def _bounds(kind: inspect.Type, extra: Any) -> tuple[str | None, str | None]:
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            bare, inner = plain(member)
            if not isinstance(bare, inspect.NoneType):
                return _bounds(bare, {**inner, **extra})
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        low = kind.ge if kind.ge is not None else None if kind.gt is None else f"> {kind.gt}"
        high = kind.le if kind.le is not None else None if kind.lt is None else f"< {kind.lt}"
        return None if low is None else str(low), None if high is None else str(high)
    if isinstance(kind, inspect.CustomType) and kind.cls in QUANTITIES:
        return extra.get("ge"), extra.get("le")
    return None, None


def _choices(kind: inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, inspect.LiteralType):
        return tuple(str(value) for value in kind.values)
    if isinstance(kind, inspect.EnumType):
        return tuple(str(member.value) for member in kind.cls)
    return ()


_NAMES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.AnyType: "any",
    inspect.LiteralType: "choice",
    inspect.EnumType: "choice",
    inspect.StructType: "settings",
}


def _name(kind: inspect.Type) -> str:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.CustomType):
        return bare.cls.__name__.lower()
    if isinstance(bare, inspect.DictType):
        return f"map of id to {_name(bare.value_type)}"
    if isinstance(bare, inspect.CollectionType):
        return f"list of {_name(bare.item_type)}"
    if isinstance(bare, inspect.UnionType):
        names = [_name(member) for member in bare.types if not isinstance(plain(member)[0], inspect.NoneType)]
        return " or ".join(dict.fromkeys(names))
    return next((name for family, name in _NAMES.items() if isinstance(bare, family)), "value")


_JSON_TYPES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.NoneType: "null",
}
_KEYWORDS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "multiple_of": "multipleOf",
    "pattern": "pattern",
}  # fmt: skip


def _schema(kind: inspect.Type) -> dict[str, Any]:
    bare, extra = plain(kind)
    words: dict[str, Any] = dict(_words(kind))
    for family, name in _JSON_TYPES.items():
        if isinstance(bare, family):
            bounds = {keyword: getattr(bare, own, None) for own, keyword in _KEYWORDS.items()}
            lengths = {"minLength": getattr(bare, "min_length", None), "maxLength": getattr(bare, "max_length", None)}
            return {"type": name, **words, **{k: v for k, v in (bounds | lengths).items() if v is not None}}
    if isinstance(bare, inspect.StructType):
        return words | _object(bare)
    if isinstance(bare, inspect.DictType):
        keys, _ = plain(bare.key_type)
        pattern = getattr(keys, "pattern", None)
        names = {"propertyNames": {"pattern": pattern}} if pattern else {}
        return {"type": "object", **words, **names, "additionalProperties": _schema(bare.value_type)}
    if isinstance(bare, inspect.TupleType):
        return {"type": "array", **words, "prefixItems": [_schema(item) for item in bare.item_types]}
    if isinstance(bare, inspect.CollectionType):
        return {"type": "array", **words, "items": _schema(bare.item_type)}
    if isinstance(bare, inspect.UnionType):
        return {**words, "anyOf": [_schema(member) for member in bare.types]}
    if _choices(bare):
        return {**words, "enum": list(_choices(bare))}
    if isinstance(bare, inspect.CustomType) and bare.cls in QUANTITIES:
        low, high = _bounds(bare, extra)
        limits = f"; {low or '…'} to {high or '…'}" if low or high else ""
        text = f"{words.pop('description', '')} ({bare.cls.EXPECTED}{limits})".strip()  # type: ignore[attr-defined]
        return {"type": ["string", "number"], **words, "description": text, "pattern": pattern_of(bare.cls)}
    return words


def _object(kind: inspect.StructType) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = [kind.tag_field] if kind.tag_field else []
    if kind.tag_field:
        properties[kind.tag_field] = {"const": kind.tag}
    for field in kind.fields:
        properties[field.encode_name] = _schema(field.type)
        if field.required:
            required.append(field.encode_name)
        elif (default := readable(default_of(field))) is not None:
            properties[field.encode_name]["default"] = default
    closed = {"additionalProperties": False} if kind.forbid_unknown_fields else {}
    return {"type": "object", "properties": properties, "required": required, **closed}
