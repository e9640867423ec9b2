"""Decoded CBOR maps to validated items, key by key: the general path, for any layout of a map."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from io import BytesIO
from typing import Any, cast, get_args

import cbor2
import numpy as np
from numpy.typing import NDArray

from edgeloop.decode.heads import fault
from edgeloop.errors import WireError
from edgeloop.wire import typed
from edgeloop.wire.batch import Batch, Channel, Clock, ClockSource, Column, ColumnType, Dropped, Item, RecordBatch

Fields = dict[str, Any]

UINT64 = (1 << 64) - 1
DEEPEST = 32
INT64 = 1 << 63
_FAILURES = (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError, MemoryError, ArithmeticError)
_HEAD = {"fixed", "type", "stream", "epoch", "channels", "clock", "align"}
_OPTIONAL = {"rate", "calibration", "title"}
_COLUMNS: dict[ColumnType, str] = {"bool": "u1", "enum": "<i4", "status": "<u4", "int": "<i8", "float": "<f8"}


def read(payload: bytes) -> Item | Fields:
    """The item of an embedded map, or the map itself where its type is another."""
    fields = load_map(payload)
    match fields.get("type"):
        case "batch":
            return _batch(fields)
        case "records":
            return _records(fields)
        case "dropped":
            return Dropped(
                text(fields, "stream"), integer(fields, "epoch"), integer(fields, "first"), integer(fields, "last"),
                integer(fields, "time", low=-INT64, high=INT64 - 1),
            )  # fmt: skip
        case _:
            return fields


def load_map(payload: bytes) -> Fields:
    if why := fault(payload, DEEPEST, len(payload)):
        raise WireError("these bytes are no CBOR", why=why)
    stream = BytesIO(payload)
    try:
        fields = cbor2.CBORDecoder(stream).decode()
    except _FAILURES as error:
        raise WireError("these bytes are no CBOR", why=str(error)[:120]) from error
    if not isinstance(fields, dict) or stream.read(1):
        raise WireError("one CBOR map was expected", why=f"found {type(fields).__name__} and what follows")
    return fields


def head_fields(head: bytes) -> Fields | None:
    """The keys and values of the constant part of a batch; None unless it is that, and whole."""
    stream = BytesIO(head[1:])
    decoder = cbor2.CBORDecoder(stream)
    fields: Fields = {}
    if fault(b"\xbf" + head[1:] + b"\xff", DEEPEST, len(head)):
        return None
    try:
        while stream.tell() < len(head) - 1:
            key = decoder.decode()
            if not isinstance(key, str) or key in fields:
                return None
            fields[key] = decoder.decode()
    except _FAILURES:
        return None
    if fields.keys() - _OPTIONAL != _HEAD or fields["type"] != "batch":
        return None
    return fields


def batch_head(fields: Fields) -> tuple[str, int, tuple[Channel, ...], Fraction | None, Clock, str, str]:
    return (
        text(fields, "stream"), integer(fields, "epoch"), _channels(fields), _rate(fields), _clock(fields),
        text(fields, "calibration", ""), text(fields, "title", ""),
    )  # fmt: skip


def _batch(fields: Fields) -> Batch:
    stream, epoch, channels, rate, clock, calibration, title = batch_head(fields)
    shaped = fields.get("samples")
    if not isinstance(shaped, cbor2.CBORTag) or shaped.tag != typed.MULTI_DIMENSIONAL:
        raise WireError("samples are no row-major array", where=stream)
    match shaped.value:
        case [[int(rows), int(columns)], elements]:
            samples = typed.load(elements, *(dtype.str for dtype in typed.SAMPLES))
        case _:
            raise WireError("samples are no row-major array", where=stream)
    if columns != len(channels) or rows < 0 or rows * columns != len(samples):
        raise WireError("samples have another shape than they say", where=stream)
    times = _times(fields) if "times" in fields else None
    if (times is None) == (rate is None) or (times is not None and len(times) != rows):
        raise WireError("a batch needs either a rate or a time for every sample", where=stream)
    return Batch(
        stream, epoch, integer(fields, "index"), integer(fields, "time", low=-INT64, high=INT64 - 1), channels,
        samples.reshape(rows, columns), rate, times, clock, calibration, _discontinuity(fields), _previous(fields),
        title,
    )  # fmt: skip


def _records(fields: Fields) -> RecordBatch:
    stream, times = text(fields, "stream"), _times(fields)
    columns = fields.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns):
        raise WireError("a record batch has no columns", where=stream)
    return RecordBatch(
        stream, integer(fields, "epoch"), integer(fields, "index"), times,
        {name: _column(column, len(times), f"{stream}.{name}") for name, column in columns.items()},
        _clock(fields), _discontinuity(fields), _previous(fields),
    )  # fmt: skip


def _column(value: object, length: int, where: str) -> Column:
    if not isinstance(value, dict) or value.get("type") not in get_args(ColumnType):
        raise WireError("a column has no known type", where=where)
    kind: ColumnType = value["type"]
    labels = value.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise WireError("labels are no list of texts", where=where)
    values: NDArray[np.generic] | tuple[str, ...]
    if kind == "string":
        found = value.get("values")
        if not isinstance(found, list) or not all(isinstance(element, str) for element in found):
            raise WireError("a column is no list of texts", where=where)
        values = tuple(found)
    else:
        values = typed.load(value.get("values"), _COLUMNS[kind])
    if len(values) != length:
        raise WireError("a column has another length than the times", where=where)
    return Column(kind, values, tuple(labels), text(value, "unit", "1"))


def records(batch: RecordBatch) -> Fields:
    """The map of a record batch."""
    fields: Fields = {
        "type": "records", "stream": batch.stream, "epoch": batch.epoch, "index": batch.index,
        "clock": clock_map(batch.clock),
    }  # fmt: skip
    if batch.discontinuity:
        fields["discontinuity"] = True
    if batch.previous is not None:
        fields["previous"] = list(batch.previous)
    fields["times"] = typed.dump(batch.times.astype(np.int64, copy=False))
    columns: Fields = {}
    for name, column in batch.columns.items():
        if len(column.values) != len(batch.times):
            raise WireError("a column has another length than the times", where=f"{batch.stream}.{name}")
        entry: Fields = {"type": column.type, "unit": column.unit}
        if column.labels:
            entry["labels"] = list(column.labels)
        if column.type == "string":
            entry["values"] = [str(value) for value in column.values]
        else:
            entry["values"] = typed.dump(np.asarray(column.values).astype(_COLUMNS[column.type], copy=False))
        columns[name] = entry
    fields["columns"] = columns
    return fields


def clock_map(clock: Clock) -> Fields:
    times = {"offset": clock.offset, "uncertainty": clock.uncertainty, "synced_at": clock.synced_at}
    return {"source": clock.source, **{key: value for key, value in times.items() if value}}


def channel_map(channel: Channel) -> Fields:
    fields: Fields = {"name": channel.name, "unit": channel.unit}
    if channel.scale != 1.0:
        fields["scale"] = channel.scale
    if channel.offset != 0.0:
        fields["offset"] = channel.offset
    return fields


def text(fields: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise WireError("a text is missing", where=key)
    return value


def integer(fields: Mapping[str, Any], key: str, low: int = 0, high: int = UINT64, default: int | None = None) -> int:
    value = fields.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise WireError("an integer is missing or out of range", where=key)
    return value


def _number(fields: Mapping[str, Any], key: str, default: float) -> float:
    value = fields.get(key, default)
    if type(value) not in (int, float):
        raise WireError("a number was expected", where=key)
    return float(value)


def _channels(fields: Fields) -> tuple[Channel, ...]:
    value = fields.get("channels")
    if not isinstance(value, list) or not all(isinstance(channel, dict) for channel in value):
        raise WireError("channels are missing", where="channels")
    return tuple(
        Channel(text(c, "name"), text(c, "unit", "1"), _number(c, "scale", 1.0), _number(c, "offset", 0.0))
        for c in value
    )


def _rate(fields: Fields) -> Fraction | None:
    value = fields.get("rate")
    if value is None:
        return None
    if not isinstance(value, int | Fraction) or isinstance(value, bool) or value <= 0:
        raise WireError("a rate is no positive rational", where="rate")
    return Fraction(value)


def _clock(fields: Fields) -> Clock:
    value = fields.get("clock", {})
    if not isinstance(value, dict) or value.get("source", "free") not in get_args(ClockSource):
        raise WireError("a clock has no known source", where="clock")
    return Clock(
        cast(ClockSource, value.get("source", "free")),
        *(integer(value, key, -INT64, INT64 - 1, 0) for key in ("offset", "uncertainty", "synced_at")),
    )


def _times(fields: Fields) -> NDArray[np.int64]:
    return cast("NDArray[np.int64]", typed.load(fields.get("times"), "<i8"))


def _discontinuity(fields: Fields) -> bool:
    value = fields.get("discontinuity", False)
    if not isinstance(value, bool):
        raise WireError("true or false was expected", where="discontinuity")
    return value


def _previous(fields: Fields) -> tuple[int, int] | None:
    match fields.get("previous"):
        case None:
            return None
        case [int(epoch), int(index)] if 0 <= epoch <= UINT64 and 0 <= index <= UINT64:
            return epoch, index
        case _:
            raise WireError("the previous epoch and index were expected", where="previous")
