"""Payloads of one stream to rows of numbers with their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.tables import times
from edgeloop.tables.table import TIMES
from edgeloop.wire.batch import Channel
from sensor_ingest.payload import documents, places, senml
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import ARRIVAL, MOST, Field, Form, fields, first
from sensor_ingest.payload.places import ABSENT, Keys

LONGEST = 1 << 20
"""Bytes of a payload."""
ROWS = 100_000
"""Rows of a payload."""
PATIENCE = 10
"""Bad payloads in a row after which channels that were found out are found out anew."""
LATEST = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """values (n, channels) as sent; NaN is missing. times (n,) ns UTC, or None: the arrival counts."""

    values: NDArray[np.float64]
    times: NDArray[np.int64] | None


class Decoder:
    """channels: as configured, or as found in the first payload that is good."""

    channels: tuple[Channel, ...]

    def __init__(self, form: Form) -> None:
        self.form = form
        self.odd = 0
        """Values that were no numbers, and taken for missing."""
        self._parse = documents.parser(form)
        self._records = places.parse(form.records) if form.records else ()
        self._configured = fields(form)
        self._bad = 0
        self._learn(self._configured)
        self._time: Keys | None = None
        if form.payload == "senml":
            self._time = None if form.time == ARRIVAL else (senml.TIME,)
        elif form.time and form.time != ARRIVAL:
            self._time = places.parse(form.time, first(form))

    def _learn(self, found: Sequence[Field]) -> None:
        self._fields = tuple(found)
        self.channels = tuple(f.channel for f in found)

    def decode(self, payload: bytes, arrival: int) -> Rows:
        """The rows of a payload that arrived at a time (ns UTC). Raises BadPayload."""
        if len(payload) > LONGEST:
            raise BadPayload(f"it has {len(payload)} B, at most {LONGEST} B are read")
        try:
            rows = self._decode(payload, arrival)
        except BadPayload:
            self._bad += 1
            if self._bad >= PATIENCE and not self._configured:
                self._learn(())
                self._bad = 0
            raise
        self._bad = 0
        return rows

    def _decode(self, payload: bytes, arrival: int) -> Rows:
        readings = self._readings(self._parse(payload, arrival))
        fresh = not self._fields
        if fresh:
            self._find(readings)
        try:
            return self._rows(readings)
        except BadPayload:
            if fresh:
                self._learn(())
            raise

    def _rows(self, readings: list[Any]) -> Rows:
        if len(readings) == 1 and isinstance(readings[0], np.ndarray):
            return Rows(self._several(len(readings[0]), readings[0]), None)
        blocks = [self._block(reading) for reading in readings]
        values = blocks[0][0] if len(blocks) == 1 else np.concatenate([b[0] for b in blocks])
        untimed = self._time == (senml.TIME,) and senml.TIME not in readings[0]
        if self._time is None or untimed:
            return Rows(self._several(len(values), values), None)
        return Rows(values, np.concatenate([self._times(b[1], len(b[0])) for b in blocks]))

    def _several(self, n: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if n > 1 and self.form.rate is None:
            raise BadPayload(f"it has {n} samples without times; give their `rate`, or say where their `time` is")
        return values

    def _readings(self, documents: list[Any]) -> list[Any]:
        """Each reading alone."""
        readings: list[Any] = []
        for document in documents:
            inner = places.find(document, self._records)
            if isinstance(inner, list) and (self.form.records or (inner and isinstance(inner[0], dict))):
                readings += inner
            elif self.form.records:
                raise BadPayload(f"it has no list {self.form.records}")
            else:
                readings.append(inner)
        if not 0 < len(readings) <= ROWS:
            raise BadPayload(f"it has {len(readings)} readings")
        return readings

    def _block(self, reading: Any) -> tuple[NDArray[np.float64], Any]:
        """(n, channels) and what stands where the time is."""
        row = np.full((1, len(self._fields)), np.nan)
        columns: dict[int, list[Any]] = {}
        some = False
        for i, field in enumerate(self._fields):
            value = places.find(reading, field.keys)
            if value is ABSENT:
                continue
            if places.is_column(value):
                columns[i] = value
                some = True
                continue
            number = documents.number(value)
            if number is None:
                self.odd += 1
            else:
                row[0, i] = number
                some = True
        if not some:
            raise BadPayload(f"it has none of {', '.join(c.name for c in self.channels[:4])}")
        if isinstance(reading, list) and not self._configured and len(reading) != self._cells:
            raise BadPayload(f"it has {len(reading)} cells, {self._cells} before")
        time = ABSENT if self._time is None else places.find(reading, self._time)
        return self._burst(row, columns) if columns else row, time

    def _burst(self, row: NDArray[np.float64], columns: dict[int, list[Any]]) -> NDArray[np.float64]:
        lengths = {len(column) for column in columns.values()}
        n = lengths.pop()
        if lengths or n > ROWS:
            raise BadPayload(f"its lists have {n} and {lengths or ROWS} values")
        values = np.repeat(row, n, axis=0)
        for i, column in columns.items():
            values[:, i] = [documents.number(v) for v in column]
        return values

    def _times(self, said: Any, n: int) -> NDArray[np.int64]:
        if said is ABSENT or said is None:
            raise BadPayload(f"it has no time {self.form.time or self._time_name}")
        if not isinstance(said, list):
            said = [said]
        found = np.array([moment(value, self.form.form) for value in said], dtype=np.int64)
        if len(found) == n:
            return found
        if len(found) == 1 and self.form.rate is not None:
            return np.asarray(found + np.array([int(i * NS / self.form.rate) for i in range(n)], dtype=np.int64))
        raise BadPayload(f"it has {n} samples and {len(found)} times; give their `rate`")

    # -- what nothing was said about -----------------------------------------------------------------------------------

    def _find(self, readings: list[Any]) -> None:
        """Every number is a channel; a time is known by its name and looks."""
        if isinstance(readings[0], np.ndarray):
            self._learn([Field(Channel("value"), (0,))])
            return
        self._cells = len(readings[0]) if isinstance(readings[0], list) else 0
        found: dict[Keys, Any] = {}
        lists = self.form.rate is not None or self._time is not None
        for reading in readings[:MOST]:
            for keys, value in places.leaves(reading, lists=lists, most=MOST).items():
                found.setdefault(keys, value)
        if self._time is None and not self.form.time and self.form.payload != "senml":
            self._time = next((keys for keys, value in found.items() if self._is_time(keys, value)), None)
        units: dict[str, str] = {}
        for reading in readings if self.form.payload == "senml" else ():
            units |= reading[senml.UNITS]
        channels = [
            Field(Channel(self._name(keys), units.get(str(keys[0]), "1") if keys else "1"), keys)
            for keys, value in found.items()
            if keys != self._time and self._is_number(value)
        ]
        if not channels:
            raise BadPayload("it has no numbers")
        self._learn(channels[:MOST])

    def _is_number(self, value: Any) -> bool:
        if isinstance(value, str):
            return self.form.payload in ("text", "pairs") and documents.number(value) is not None
        return value is not None and (documents.number(value) is not None or places.is_column(value))

    def _is_time(self, keys: Keys, value: Any) -> bool:
        if not keys or not isinstance(keys[-1], str) or keys[-1].lower() not in TIMES:
            return False
        try:
            moment(value[0] if isinstance(value, list) else value, self.form.form)
        except BadPayload:
            return False
        self._time_name = ".".join(map(str, keys))
        return True

    _time_name = ""
    _cells = 0

    def _name(self, keys: Keys) -> str:
        if not keys:
            return "value"
        if first(self.form) and isinstance(keys[0], int):
            return "value" if self._cells == 1 else f"c{keys[0] + 1}"
        return ".".join(map(str, keys))


def moment(value: Any, form: str = "") -> int:
    """ns UTC of a time stamp: text (RFC 3339, or `form` as strptime has it), or s, ms, µs or ns since 1970.

    >>> moment("2020-03-09T10:34:33Z") == moment(1583750073) == moment(1583750073000.0)
    True
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise BadPayload(f"its time {str(value)[:40]!r} is no time")
    text = repr(value) if not isinstance(value, str) else value.strip()
    try:
        if form:
            at = times.written(form)(text)
        elif isinstance(value, str) and not text.replace(".", "", 1).isdecimal():
            at = times.iso(text)
        else:
            at = times.epoch(text)
    except (ValueError, OverflowError, OSError):
        raise BadPayload(f"its time {text[:40]!r} is no time") from None
    if not 0 < at < LATEST:
        raise BadPayload(f"its time {text[:40]!r} is out of range")
    return at
