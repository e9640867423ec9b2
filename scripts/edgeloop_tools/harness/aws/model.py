"""Requests and answers against botocore's service models."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


class Wrong(Exception):
    """A request that the service model does not allow."""


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    operation: str
    params: dict[str, Any]


class Service:
    """One service that speaks JSON over HTTP methods and paths."""

    def __init__(self, name: str) -> None:
        import botocore.session

        self.name = name
        self.model: Any = botocore.session.get_session().get_service_model(name)
        self._operations = [self.model.operation_model(each) for each in self.model.operation_names]

    def read(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call | None:
        """None: no operation has this method and path. Raises Wrong."""
        parts = urlsplit(target)
        for operation in self._operations:
            http = operation.http
            if http["method"] != method:
                continue
            places = _match(urlsplit(http["requestUri"]).path, parts.path)
            if places is None:
                continue
            return Call(self.name, operation.name, self._params(operation, places, parts.query, headers, body))
        return None

    def answer(self, operation: str, value: dict[str, Any]) -> tuple[int, bytes]:
        """(status, body). Raises AssertionError for an answer that the service would not give."""
        model = self.model.operation_model(operation)
        if model.output_shape is None:
            return int(model.http.get("responseCode", 200)), b"{}"
        if problems := list(check(model.output_shape, value, operation)):
            raise AssertionError(f"the answer is none of {operation}: {'; '.join(problems)}")
        return int(model.http.get("responseCode", 200)), json.dumps(value, default=_plain).encode()

    def status_of(self, code: str) -> int:
        shape = self.model.shape_for(code) if code in self.model.shape_names else None
        return int(shape.metadata.get("error", {}).get("httpStatusCode", 400)) if shape else 400

    def _params(
        self, operation: Any, places: dict[str, str], query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        asked = dict(parse_qsl(query, keep_blank_values=True))
        sent: Any = {}
        if body:
            try:
                sent = json.loads(body)
            except ValueError as error:
                raise Wrong(f"{operation.name}: the body is no JSON: {error}") from None
        params: dict[str, Any] = {}
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            key = member.serialization.get("name", name)
            if location == "uri":
                params[name] = places[key]
            elif location == "querystring" and key in asked:
                params[name] = _scalar(member, asked.pop(key))
            elif location == "header" and key in headers:
                params[name] = headers[key]
            elif location is None and key in sent:
                params[name] = _bytes(member, sent.pop(key))
        if left := [*asked, *sent]:
            raise Wrong(f"{operation.name}: unknown {', '.join(left)}")
        if problems := list(check(shape, params, operation.name)):
            raise Wrong("; ".join(problems))
        return params


@lru_cache
def service(name: str) -> Service:
    return Service(name)


def check(shape: Any, value: Any, where: str) -> Iterator[str]:
    """What in the value is not of this shape: types, required and unknown members, lengths, ranges, patterns, enums."""
    kinds: dict[str, tuple[type, ...]] = {
        "structure": (dict,), "map": (dict,), "list": (list,), "string": (str,), "integer": (int,), "long": (int,),
        "double": (int, float), "float": (int, float), "boolean": (bool,), "blob": (bytes,), "timestamp": (datetime,),
    }  # fmt: skip
    kind: str = shape.type_name
    fits = isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        yield f"{where}: {type(value).__name__}, {kind} is wanted"
        return
    if kind == "structure":
        yield from (f"{where}: {name} is missing" for name in shape.required_members if name not in value)
        for name, entry in value.items():
            if name not in shape.members:
                yield f"{where}: unknown {name}"
            else:
                yield from check(shape.members[name], entry, f"{where}.{name}")
    elif kind == "map":
        for key, entry in value.items():
            yield from check(shape.key, key, f"{where}.{key}")
            yield from check(shape.value, entry, f"{where}.{key}")
    elif kind == "list":
        for number, entry in enumerate(value):
            yield from check(shape.member, entry, f"{where}[{number}]")
    yield from _bounds(shape, value, where)


def _bounds(shape: Any, value: Any, where: str) -> Iterator[str]:
    known = shape.metadata
    measure = len(value) if isinstance(value, str | bytes | list | dict) else value
    if "min" in known and measure < float(known["min"]):
        yield f"{where}: {measure} is below {known['min']}"
    if "max" in known and measure > float(known["max"]):
        yield f"{where}: {measure} is above {known['max']}"
    if isinstance(value, str):
        if known.get("enum") and value not in known["enum"]:
            yield f"{where}: {value!r} is none of {', '.join(known['enum'])}"
        if (pattern := known.get("pattern")) and not re.search(pattern, value):
            yield f"{where}: {value!r} does not match {pattern}"


def _match(template: str, path: str) -> dict[str, str] | None:
    wanted, given = template.strip("/").split("/"), path.strip("/").split("/")
    if len(wanted) != len(given):
        return None
    found = {}
    for part, text in zip(wanted, given, strict=True):
        if part.startswith("{"):
            found[part.strip("{}+")] = unquote(text)
        elif part != text:
            return None
    return found


def _scalar(member: Any, text: str) -> Any:
    if member.type_name == "boolean":
        return text == "true"
    return int(text) if member.type_name in ("integer", "long") else text


def _bytes(member: Any, value: Any) -> Any:
    return base64.b64decode(value, validate=True) if member.type_name == "blob" and isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.timestamp()
