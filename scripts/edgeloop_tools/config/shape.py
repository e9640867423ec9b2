"""Readable forms to what a component's type takes, and back to the shortest plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import inspect

from edgeloop.config.load import absent, describe, plain
from edgeloop_tools.config.tree import Node

MEDIA = "contentMediaType"


def fitted(node: Node, kind: inspect.Type) -> Any:
    """The node as data: a list where the type takes words becomes words, a map where it takes JSON becomes its text."""
    bare, _ = plain(kind)
    if isinstance(bare, inspect.StrType):
        return _text(node, kind)
    if isinstance(node.value, dict):
        if isinstance(bare, inspect.UnionType):
            bare = _member(bare, node)
        if isinstance(bare, inspect.StructType):
            types = {field.encode_name: field.type for field in bare.fields}
            return {k: fitted(v, types[k]) if k in types else v.data() for k, v in node.value.items()}
        if isinstance(bare, inspect.DictType):
            return {k: fitted(v, bare.value_type) for k, v in node.value.items()}
    return node.data()


def _text(node: Node, kind: inspect.Type) -> Any:
    if isinstance(node.value, list) and all(isinstance(item.value, str) for item in node.value):
        return " ".join(str(item.value) for item in node.value)
    if isinstance(node.value, dict) and _holds_json(kind):
        return json.dumps(node.data(typed=True), separators=(",", ":"), ensure_ascii=False)
    return node.data()


def _holds_json(kind: inspect.Type) -> bool:
    while isinstance(kind, inspect.Metadata):
        if (kind.extra_json_schema or {}).get(MEDIA) == "application/json":
            return True
        kind = kind.type
    return False


def _member(kind: inspect.UnionType, node: Node) -> inspect.Type:
    """The member of a union that a map is meant for."""
    structs = [s for t in kind.types if isinstance(s := plain(t)[0], inspect.StructType | inspect.DictType)]
    tagged = [s for s in structs if isinstance(s, inspect.StructType) and s.tag_field in node.map()]
    for struct in tagged:
        if struct.tag_field and node.map()[struct.tag_field].value == str(struct.tag):
            return struct
    return structs[0] if structs else kind


def given(readable: Any, data: Any) -> Any:
    """Of a typed value in readable form only what was given, lists of words as words. An empty map of settings stands
    for all its defaults."""
    if isinstance(readable, Mapping) and isinstance(data, Mapping) and data:
        kept = {}
        for key in sorted(set(readable) & {str(key) for key in data}):
            if data[key] is None or (absent(data[key]) and not absent(readable[key])):
                continue
            value = given(readable[key], data[key])
            if value != {}:
                kept[key] = value
        return kept
    if isinstance(readable, Mapping):
        return {key: given(value, {}) for key, value in sorted(readable.items())}
    if isinstance(readable, list) and all(isinstance(x, str) and not set(" ,\n\t") & set(x) for x in readable):
        return " ".join(readable)
    return str(readable) if isinstance(readable, str) else readable


__all__ = ["describe", "fitted", "given"]
