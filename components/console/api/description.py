"""The API's description (OpenAPI 3.1), made from the handlers' own types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from edgeloop import __version__

_READS = {
    "/api/v1/session": ("who is logged in", ()),
    "/api/v1/line": ("the line at a glance", ()),
    "/api/v1/assets": ("assets with their state, worst first", ()),
    "/api/v1/alarms": ("alarms, newest first", ("open", "most")),
    "/api/v1/alarms/{id}": ("one alarm with its group and comments", ()),
    "/api/v1/streams": ("streams with their newest values", ()),
    "/api/v1/streams/{id}/points": (
        "a chart's points: low, high and mean of bins", ("from", "to", "last", "points", "raw")
    ),
    "/api/v1/streams/{id}/spectrum": ("an amplitude spectrum", ("to", "samples")),
    "/api/v1/streams/{id}/waterfall": ("spectra of one channel over time", ("to", "channel", "rows")),
    "/api/v1/parts": ("verdicts, newest first", ("camera", "verdict", "label", "most")),
    "/api/v1/models": ("models: desired, active, where used", ()),
    "/api/v1/system": ("components, memory, disk, clock", ()),
    "/api/v1/settings": ("the configuration as components have it", ()),
    "/api/v1/budget": ("alarms of the last day at another budget", ("monitor", "budget")),
    "/api/v1/monitors/{id}/return_times": ("how rare each minute of the last day was, beside the budget", ()),
    "/api/v1/audit": ("who did what; role engineer", ()),
}

_KINDS: dict[str, dict[str, Any]] = {
    **{name: {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e13} for name in ("from", "to", "last")},
    **{
        name: {"type": "integer", "minimum": 1, "maximum": 99_999_999} for name in ("points", "most", "samples", "rows")
    },
    **{name: {"enum": ["0", "1"]} for name in ("open", "raw")},
    "verdict": {"enum": ["pass", "fail", "unknown"]},
}
"""Of a query's parameters; text where there is none."""


@lru_cache(maxsize=1)
def openapi() -> dict[str, Any]:
    from console.api.routes import Acknowledgement, Comment, Hold, PartLabel, Shelving

    writes = {
        "/api/v1/alarms/{id}/acknowledge": ("acknowledge with a reason, which is a label", Acknowledgement),
        "/api/v1/alarms/{id}/shelve": ("silent for a time", Shelving),
        "/api/v1/alarms/{id}/unshelve": ("heard again", None),
        "/api/v1/alarms/{id}/comment": ("a remark", Comment),
        "/api/v1/parts/{camera}/{part}/label": ("what the part really is", PartLabel),
        "/api/v1/models/{name}/hold": ("a version that is to serve; role engineer", Hold),
    }
    types = [type for _, type in writes.values() if type is not None]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for path, (summary, query) in _READS.items():
        paths[path] = {"get": _operation(summary, path, query)}
    for path, (summary, type) in writes.items():
        operation = _operation(summary, path, ())
        if type is not None:
            schema = {"$ref": f"#/components/schemas/{type.__name__}"}
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[path] = {"post": operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Edgeloop Console", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(summary: str, path: str, query: tuple[str, ...]) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [_parameter(name, "path") for name in names] + [_parameter(name, "query") for name in query]
    problem = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
    answers = {
        "200": {"description": "done", "content": {"application/json": {"schema": {}}}},
        **{
            status: {"description": text, **problem}
            for status, text in (
                ("401", "not logged in"), ("403", "not this role"), ("404", "no such thing"), ("413", "too large"),
                ("422", "not understood"),
            )
        },
    }  # fmt: skip
    return {"summary": summary, "parameters": parameters, "responses": answers}


def _parameter(name: str, place: str) -> dict[str, Any]:
    schema = _KINDS.get(name) if place == "query" else None
    return {"name": name, "in": place, "required": place == "path", "schema": schema or {"type": "string"}}
