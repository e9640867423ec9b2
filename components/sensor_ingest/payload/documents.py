"""Payloads to plain values: maps, lists, numbers, texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from edgeloop.decode import Bounds, document
from edgeloop.errors import DecodeError
from sensor_ingest.payload import senml
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Form, fields, item, pattern

SEPARATORS = (";", "\t", ",", "|")
_BOUNDS = Bounds(finite=False)
"""Some programs write NaN and Infinity: values that are missing."""
_PAIR = re.compile(
    r"([^\W\d][\w./-]*)\s*[=:]\s*"
    r"(?:([-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))(?=[^\W\d_]*[%°]?(?:[\s,;]|$))|([^\s,;]*))",
    re.IGNORECASE,
)
"""Name, number (a unit may be behind it), or other text."""
Parse = Callable[[bytes, int], list[Any]]
"""Readings of a payload that arrived at a time (ns UTC). Raises BadPayload."""


def parser(form: Form) -> Parse:
    if form.payload == "binary":
        return _binary(form)
    if form.payload == "senml":
        return senml.readings
    if form.payload == "pairs":
        return lambda payload, arrival: [_pairs(line) for line in _lines(payload)]
    if form.payload == "text":
        cut = _matched(pattern(form)) if form.pattern else _cells(form.separator)
        return lambda payload, arrival: [cut(line) for line in _lines(payload)]
    return lambda payload, arrival: [loads(payload)]


def loads(payload: bytes) -> Any:
    """JSON; also with the NaN and Infinity that some programs write. Raises BadPayload."""
    try:
        return document(payload, bounds=_BOUNDS)
    except DecodeError as error:
        raise BadPayload(f"it is no JSON: {error.why}") from None


def _lines(payload: bytes) -> list[str]:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadPayload("it is no UTF-8 text") from None
    lines = [line.strip() for line in text.replace("\0", "").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise BadPayload("it is empty")
    return lines


def _pairs(line: str) -> dict[str, str]:
    found = {match[1]: match[2] or match[3] for match in _PAIR.finditer(line)}
    if not found:
        raise BadPayload(f"{line[:40]!r} has no key=value")
    return found


def _matched(compiled: re.Pattern[str]) -> Callable[[str], Any]:
    named = bool(compiled.groupindex)

    def cut(line: str) -> Any:
        match = compiled.search(line)
        if match is None:
            raise BadPayload(f"{line[:40]!r} does not match the pattern")
        return match.groupdict() if named else list(match.groups())

    return cut


def _cells(separator: str) -> Callable[[str], list[str]]:
    def cut(line: str) -> list[str]:
        if separator:
            return [cell.strip() for cell in line.split(separator)]
        for one in SEPARATORS:
            if one in line:
                return [cell.strip() for cell in line.split(one)]
        return line.split()

    return cut


def _binary(form: Form) -> Parse:
    dtype, columns = item(form), max(1, len(fields(form)))
    frame = dtype.itemsize * columns

    def parse(payload: bytes, arrival: int) -> list[Any]:
        if not payload or len(payload) % frame:
            raise BadPayload(f"{len(payload)} B are no frames of {columns} × {dtype.str}")
        values = np.frombuffer(payload, dtype).reshape(-1, columns).astype(np.float64)
        return [values]

    return parse


def number(value: Any) -> float | None:
    """A value as a number, NaN where it is said to be missing, None where it is no number.

    >>> number("21,5"), number(True), number("1e400"), number("on")
    (21.5, 1.0, inf, None)
    """
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    if value is None:
        return math.nan
    if isinstance(value, str):
        return _text_number(value.strip())
    return None


_MISSING = frozenset({"", "na", "nan", "null", "none", "-", "n/a", "?"})


def _text_number(text: str) -> float | None:
    if text.lower() in _MISSING:
        return math.nan
    if "_" in text or len(text) > 400:
        return None
    try:
        return float(text.replace(",", ".")) if text.count(",") == 1 and "." not in text else float(text)
    except ValueError:
        return None
