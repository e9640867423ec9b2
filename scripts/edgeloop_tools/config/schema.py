"""The JSON Schema of line.yaml for editors, put together from what the components' types say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.config.identifiers import PATTERN
from edgeloop.config.schema import json_schema
from edgeloop.topics import short
from edgeloop_tools.config.line import registered
from edgeloop_tools.config.outline import SECTIONS, Outline, declared
from edgeloop_tools.config.shape import MEDIA

PATH = Path(__file__).with_name("line.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = {"type": ["string", "array"], "items": {"type": ["string", "number"]}}


def schema_text() -> str:
    """The same for the same types."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    top = _of(Outline)
    properties = top["properties"]
    for name, section in SECTIONS.items():
        words = {key: properties[name][key] for key in ("title", "description")}
        properties[name] = {**_section(section.component, section.path), **words}
    registry = registered()
    options = [_source(registry.get(name, "").options) for name in registry.names]
    entry = properties["sources"]
    entry |= {"type": "object", "propertyNames": {"pattern": PATTERN}, "additionalProperties": {"anyOf": options}}
    targets = options[0]["properties"]["actions"] if options else {}
    words = {key: properties["actions"][key] for key in ("title", "description")}
    properties["actions"] = {"type": "object", **words, "additionalProperties": targets}
    components = {name: _component(name) for full in sorted(declared()) for name in (short(full), full)}
    properties["components"] = {**_plain(properties["components"]), "properties": components}
    for name, value in properties.items():
        if name not in ("site", "line"):
            properties[name] = _or_nothing(value)
    return {"$schema": DIALECT, "title": "line.yaml of Edgeloop", **top}


def _of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found = json_schema(kind)
    found.pop("$schema")
    relaxed = _relaxed(found)
    assert isinstance(relaxed, dict)
    return relaxed


def _section(component: str, path: tuple[str, ...]) -> dict[str, Any]:
    here = _component(component)
    for key in path:
        here = here["properties"][key]
    return here


def _component(component: str) -> dict[str, Any]:
    names = {short(full): full for full in declared()}
    kind = declared()[names.get(component, component)].configuration
    return {**_of(kind), "description": declared()[names.get(component, component)].description}


def _source(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Entries of a type; its actions may stand in the line's own section."""
    found = _of(kind)
    return {**found, "title": str(found["properties"]["type"]["const"])}


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", **{key: value[key] for key in ("title", "description") if key in value}}


def _or_nothing(value: dict[str, Any]) -> dict[str, Any]:
    """A section that may stand there empty."""
    return {**value, "type": ["object", "null"]} if value.get("type") == "object" else value


def _relaxed(value: Any) -> Any:
    """Text may also be a number, a list of words may be text, and JSON text a map: as `config check` takes it."""
    if isinstance(value, list):
        return [_relaxed(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _relaxed(item) for key, item in value.items() if key not in ("default", "properties")}
    if "properties" in value:
        found["properties"] = {key: _relaxed(item) for key, item in value["properties"].items()}
    if "default" in value:
        found["default"] = value["default"]
    if found.get(MEDIA) == "application/json":
        return {**found, "type": ["string", "object"]}
    if found.get("type") == "array":
        return {**found, "type": ["array", "string"]}
    if found.get("type") == "string" and "pattern" not in found:
        return {**found, **_WORDS, "type": ["string", "number", "boolean", "array"]}
    return found


__all__ = ["PATH", "schema", "schema_text"]
