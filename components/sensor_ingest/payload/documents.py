"""Payloads to plain values: maps, lists, numbers, texts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import numpy as np

from edgeloop import decode
from edgeloop.decode import document
from edgeloop.errors import DecodeError
from sensor_ingest.payload import envelope, influx, senml
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Form, fields, item, pattern
from sensor_ingest.payload.numerals import Numerals

_BOUNDS, _BINARY = decode.Bounds(finite=False), decode.Bounds(finite=False, text=1 << 20)
"""Some programs write NaN and Infinity: values that are missing. A byte string may hold the samples."""
_PAIR = re.compile(r"([^\W\d][\w./-]*)\s*[=:]\s*((?:[^\s,;]|,(?=\d))*)")
"""Name and what stands behind it; a comma before a digit may be a decimal one."""
_AMOUNT = re.compile(
    r"([-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))[°%]?[^\W\d_]*[%°]?", re.IGNORECASE
)
"""A number, a unit may be behind it."""
_TIGHT = re.compile(r"(?<=\d),(?=\d)")
_POINT = re.compile(r"\d\.\d|\.\d+|\d\.(?:[,\s]|$)")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:,\d{3})+\.\d+)(?:\s*[^\d\s,;]\S*)?")
_PARTED = re.compile(r"[-+]?[1-9]\d{0,2}(?:[ '\xa0\u202f]\d{3})+(?:[.,]\d+)?")
_PLAIN = re.compile(r"[-+]?\d*,?\d+(?:[eE][-+]?\d+)?")
Parse = Callable[[bytes, int], list[Any]]
"""Readings of a payload that arrived at a time (ns UTC). Raises BadPayload."""


class Together(list[Any]):
    """Documents that came in one payload, each of which would have been a message."""


def parser(form: Form, numerals: Numerals) -> Parse:
    if form.payload == "binary":
        return _binary(form)
    if form.payload == "senml":
        return lambda payload, arrival: senml.readings(envelope.bare(payload), arrival)
    if form.payload == "influx":
        return lambda payload, arrival: influx.readings(_lines(payload, form))
    if form.payload == "cbor":
        return lambda payload, arrival: [cbor(payload)]
    if form.payload == "msgpack":
        return lambda payload, arrival: [msgpack(payload)]
    if form.payload == "pairs":
        return lambda payload, arrival: Together(_pairs(line) for line in _lines(payload, form))
    if form.payload == "text":
        cut = _matched(pattern(form)) if form.pattern else Cells(form, numerals)
        return lambda payload, arrival: Together(cut(line) for line in _lines(payload, form))
    return lambda payload, arrival: _json(payload, form)


def _json(payload: bytes, form: Form) -> list[Any]:
    payload = envelope.bare(payload)
    if form.encoding != "utf-8":
        payload = envelope.text(payload, form.encoding).encode()
    try:
        return [loads(payload)]
    except BadPayload:
        lines = [line for line in re.split(rb"[\r\n\x1e]+", payload) if line.strip()]
        if len(lines) > 1:
            with contextlib.suppress(BadPayload):
                return Together(loads(line) for line in lines)
        raise


def loads(payload: bytes) -> Any:
    """JSON; also with the NaN and Infinity that some programs write. Raises BadPayload."""
    try:
        return document(payload, bounds=_BOUNDS)
    except DecodeError as error:
        raise BadPayload(f"it is no JSON: {error.why}") from None


def cbor(payload: bytes) -> Any:
    """One item of CBOR, typed arrays (RFC 8746) as lists. Raises BadPayload."""
    try:
        return _plain(decode.cbor(payload, bounds=_BINARY))
    except (DecodeError, OverflowError, ValueError, TypeError) as error:
        raise BadPayload(f"it is no CBOR: {getattr(error, 'why', '') or str(error)[:120]}") from None


def msgpack(payload: bytes) -> Any:
    """One item of MessagePack. Raises BadPayload."""
    try:
        value = msgspec.msgpack.decode(payload)
        decode.check(value, _BINARY)
        return _plain(value)
    except (msgspec.MsgspecError, DecodeError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as error:
        raise BadPayload(f"it is no MessagePack: {getattr(error, 'why', '') or str(error)[:120]}") from None


_TYPED = {64: "u1", 72: "i1", 69: "<u2", 65: ">u2", 77: "<i2", 73: ">i2", 70: "<u4", 66: ">u4", 78: "<i4", 74: ">i4",
          71: "<u8", 67: ">u8", 79: "<i8", 75: ">i8", 84: "<f2", 80: ">f2", 85: "<f4", 81: ">f4", 86: "<f8", 82: ">f8",
          68: "u1"}  # fmt: skip


def _plain(value: Any) -> Any:
    """Maps with text keys, lists, numbers, texts; times as RFC 3339. Its depth is bounded already."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, cbor2.CBORTag):
        if value.tag in _TYPED and isinstance(value.value, bytes):
            dtype = np.dtype(_TYPED[value.tag])
            if len(value.value) % dtype.itemsize:
                raise BadPayload("a typed array holds a part of an element")
            return np.frombuffer(value.value, dtype).tolist()
        return _plain(value.value)
    if isinstance(value, msgspec.msgpack.Ext):
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return value


def _lines(payload: bytes, form: Form) -> list[str]:
    said = envelope.text(payload, form.encoding)
    lines = [line.strip() for line in said.replace("\0", "").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise BadPayload("it is empty")
    return lines


def _pairs(line: str) -> dict[str, str]:
    found = {}
    for name, value in _PAIR.findall(line):
        amount = _AMOUNT.fullmatch(value)
        found[name] = amount[1] if amount else value
    if not found:
        raise BadPayload(f"{line[:40]!r} has no key=value")
    return found


def _matched(compiled: re.Pattern[str]) -> Callable[[str], Any]:
    named = bool(compiled.groupindex)

    def cut(line: str) -> Any:
        match = compiled.search(line)
        if match is None:
            raise BadPayload(f"{line[:40]!r} does not match the pattern")
        spans = [match.span(group) for group in range(1, (compiled.groups or 0) + 1)]
        starts = {start for start, _ in spans}
        for start, end in spans:
            before, behind = line[max(0, start - 2) : start], line[end : end + 2]
            taken = line[start:end]
            torn = _half(behind) and taken[-1:].isdigit() and "." not in taken and "," not in taken
            if torn and end + 1 not in starts and end + 2 not in starts:
                raise BadPayload(f"the pattern takes {taken[:20]!r} of {line[start : end + 8]!r}: half of a number")
            if re.fullmatch(r"\d[.,]", before) and taken[:1].isdigit() and start - 1 not in {e for _, e in spans}:
                raise BadPayload(f"the pattern takes {taken[:20]!r} of {line[max(0, start - 6) : end]!r}: half of it")
        return match.groupdict() if named else list(match.groups())

    return cut


def _half(text: str) -> bool:
    return len(text) == 2 and text[0] in ".," and text[1].isdigit()


class Cells:
    """Cuts a line into cells; a comma is asked what it is.

    >>> Cells(Form(payload="text"), Numerals())("21,5; 3")
    ['21,5', '3']
    """

    def __init__(self, form: Form, numerals: Numerals) -> None:
        self._separator = form.separator
        self._numerals = numerals
        self._places = max((f.keys[0] + 1 for f in fields(form) if f.keys and isinstance(f.keys[0], int)), default=0)
        self._commas = numerals.decimal == "."
        """Commas are known to separate."""

    def __call__(self, line: str) -> list[str]:
        if self._separator:
            return [cell.strip() for cell in line.split(self._separator)]
        if self._places < 2 and _PARTED.fullmatch(line.strip()):
            raise BadPayload(f"the blank in {line[:40]!r} may part thousands, or cells: say `separator: ' '` for cells")
        for one in (";", "\t", "|"):
            if one in line:
                return [cell.strip() for cell in line.split(one)]
        if "," not in line or self._numerals.decimal == ",":
            return line.split()
        return self._separated(line)

    def _separated(self, line: str) -> list[str]:
        cells = [cell.strip() for cell in line.split(",")]
        if self._places < 2 and _GROUPED.fullmatch(line.strip()):
            raise BadPayload(f"the comma in {line[:40]!r} may part thousands, cells or decimals: "
                             'say `decimal: ","`, `decimal: "."` or `separator: ","`')  # fmt: skip
        loose = len(_TIGHT.findall(line)) < line.count(",")
        tokens = line.split()
        if loose or self._commas or _POINT.search(line):
            self._commas = True
            return cells
        if len(tokens) > 1 and all(_PLAIN.fullmatch(token) for token in tokens):
            return tokens
        if self._places == len(cells):
            return cells
        mend = 'say `decimal: ","` or `separator: ","`'
        raise BadPayload(f"the comma in {line[:40]!r} may separate cells or be a decimal one: {mend}")


def _binary(form: Form) -> Parse:
    dtype, columns = item(form), max(1, len(fields(form)))
    frame = dtype.itemsize * columns

    def parse(payload: bytes, arrival: int) -> list[Any]:
        if not payload or len(payload) % frame:
            raise BadPayload(f"{len(payload)} B are no frames of {columns} × {dtype.str}")
        values = np.frombuffer(payload, dtype).reshape(-1, columns).astype(np.float64)
        return [values]

    return parse
