"""The JSON Schema of line.yaml for editors, put together from what the components' types say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.config.identifiers import PATTERN
from edgeloop.config.reference import json_schema
from edgeloop.topics import short
from edgeloop_tools.config.line import registered
from edgeloop_tools.config.outline import SECTIONS, Outline, declared
from edgeloop_tools.config.shape import MEDIA

PATH = Path(__file__).with_name("line.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = {"type": ["string", "array"], "items": {"type": ["string", "number"]}}


def schema_text() -> str:
    """What `build` writes to `line.schema.json`: the same for the same types."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12)."""
    from sensor_ingest.sources.base import SourceConfiguration

    top = _of(Outline)
    properties = top["properties"]
    definitions: dict[str, Any] = {}
    for full, declaration in sorted(declared().items()):
        definitions[short(full)] = {**_of(declaration.configuration), "description": declaration.description}
    for name, section in SECTIONS.items():
        path = "/".join([short(section.component), *(f"properties/{key}" for key in section.path)])
        properties[name] = _section(properties[name], {"$ref": f"#/$defs/{path}"})
    registry = registered()
    for name in registry.names:
        definitions[f"source-{name}"] = {**_of(registry.get(name, "").options), "title": name}
    definitions["sources"] = _sources(registry.names)
    definitions["SensorIngest"]["properties"]["sources"] = {"$ref": "#/$defs/sources"}
    properties["actions"] = _section(properties["actions"], _by_id(_of(SourceConfiguration)["properties"]["actions"]))
    names = {name: short(full) for full in sorted(declared()) for name in (short(full), full)}
    components = {name: {"$ref": f"#/$defs/{target}"} for name, target in names.items()}
    properties["components"] = _section(properties["components"], {"type": "object", "properties": components})
    return {"$schema": DIALECT, "title": "line.yaml of Edgeloop", **top, "$defs": definitions}


def _of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found = json_schema(kind)
    found.pop("$schema")
    relaxed = _relaxed(found)
    assert isinstance(relaxed, dict)
    return relaxed


def _section(words: dict[str, Any], what: dict[str, Any]) -> dict[str, Any]:
    return {key: words[key] for key in ("title", "description")} | what


def _sources(types: Iterable[str]) -> dict[str, Any]:
    """By id; what an entry takes follows from its type."""
    kinds = sorted(types)
    choices = []
    for name in kinds:
        condition = {"properties": {"type": {"const": name}}, "required": ["type"]}
        choices.append({"if": condition, "then": {"$ref": f"#/$defs/source-{name}"}})
    return _by_id({"type": "object", "properties": {"type": {"enum": kinds}}, "required": ["type"], "allOf": choices})


def _by_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": PATTERN}, "additionalProperties": entry}


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
