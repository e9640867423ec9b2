"""Payloads of one stream to rows of numbers with their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.tables.times import TIMES
from edgeloop.wire.batch import Channel
from sensor_ingest.payload import documents, envelope, influx, places, senml, tags
from sensor_ingest.payload.compiled import Compiled
from sensor_ingest.payload.documents import Together
from sensor_ingest.payload.envelope import LONGEST
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import ARRIVAL, MOST, NAMED, Field, Form, fields, first
from sensor_ingest.payload.numerals import Decimal, Numerals, words
from sensor_ingest.payload.places import ABSENT, Keys
from sensor_ingest.payload.stamps import UNSET, moment

ROWS = 100_000
"""Rows of a payload."""
PATIENCE = 10
"""Payloads with another number of cells after which that is what is found out."""
STAMPED = frozenset({*TIMES, "origin", "sourcetimestamp", "timestamp_ms", "time_ms"})
SURE = frozenset({"ts", "timestamp", "datetime", "timestamp_ms", "time_ms"})
"""Names that nothing but a time has, small as it may be."""
AHEAD = 366 * 86_400 * NS
"""ns that a device's clock may be before ours: further ahead is no time (a counter that ran over, a default)."""
DECIMALS: tuple[Decimal, ...] = (".", ",")
_OWN = ((tags.TIME,), (senml.UNITS,))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """values (n, channels) as sent; NaN is missing. times (n,) ns UTC, or None: the arrival counts.

    unset: among the times were such as a clock has that was never set; the arrival stands in their place.
    """

    values: NDArray[np.float64]
    times: NDArray[np.int64] | None
    unset: bool = False


class Decoder:
    """channels: as configured, or as found in what came so far: later ones are added behind."""

    channels: tuple[Channel, ...]

    def __init__(self, form: Form) -> None:
        self.form = form
        self.numerals = Numerals(form.decimal, words(form.words))
        self._parse = documents.parser(form, self.numerals)
        self._records = places.parse(form.records) if form.records else ()
        self._configured = fields(form)
        self._tags = tags.Tags.configured(form)
        self._compression = form.compression or ("none" if form.payload == "binary" else "")
        self._compiled: Compiled | None = None
        self._named = ""
        self._tagged = self._tags is not None
        where, *codes = form.good.split() if form.good and not form.name else [""]
        self._good = (places.parse(where), frozenset(c.casefold().strip(",") for c in codes)) if where else None
        self._time: Keys | None = None
        self._time_name = ""
        self._cells = 0
        self._other_cells: Counter[int] = Counter()
        self._learn(self._configured)
        if form.payload == "senml":
            self._time = None if form.time == ARRIVAL else (senml.TIME,)
        elif form.payload == "influx":
            self._time = None if form.time == ARRIVAL else (influx.TIME,)
        elif self._tags is not None:
            self._time = (tags.TIME,) if self._tags.time is not None else None
        elif form.time and form.time != ARRIVAL:
            self._time = places.parse(form.time, first(form))
        if self._configured and self._tags is None and self._good is None:
            self._compiled = Compiled.of(form, self._configured, self._time)

    @property
    def odd(self) -> int:
        """Values that were no numbers, and taken for missing."""
        return self.numerals.odd

    def _learn(self, found: Sequence[Field]) -> None:
        self._fields = tuple(found)
        self._known = {f.keys for f in found}
        self.channels = tuple(f.channel for f in found)

    def decode(self, payload: bytes, arrival: int) -> Rows:
        """The rows of a payload that arrived at a time (ns UTC). Raises BadPayload."""
        if len(payload) > LONGEST:
            raise BadPayload(f"it has {len(payload)} B, at most {LONGEST} B are read")
        if self._compiled is not None and (quick := self._compiled.decode(payload)) is not None:
            return self._timed(*quick, arrival)
        documents = self._parse(envelope.unpack(payload, self._compression), arrival)
        readings = self._readings(documents)
        if not self._configured:
            self._find(readings)
        return self._rows(readings, arrival, isinstance(documents, Together))

    def _rows(self, readings: list[Any], arrival: int, together: bool) -> Rows:
        if len(readings) == 1 and isinstance(readings[0], np.ndarray):
            return Rows(self._several(len(readings[0]), readings[0]), None)
        blocks = [self._block(reading) for reading in readings]
        values = blocks[0][0] if len(blocks) == 1 else np.concatenate([b[0] for b in blocks])
        optional = self._time is not None and self._time[-1:] in ((senml.TIME,), (influx.TIME,))
        if self._time is None or (optional and all(self._time[0] not in r for r in readings)):
            if together and len(values) == len(readings):
                return Rows(values, None)
            return Rows(self._several(len(values), values), None)
        if optional:
            blocks = [(v, None if t is ABSENT else t) for v, t in blocks]
        return self._timed(values, np.concatenate([self._times(b[1], len(b[0])) for b in blocks]), arrival)

    def _timed(self, values: NDArray[np.float64], at: NDArray[np.int64] | None, arrival: int) -> Rows:
        if at is None:
            return Rows(self._several(len(values), values), None)
        if len(at) < len(values):
            assert self.form.rate is not None
            at = np.asarray(at + np.array([int(i * NS / self.form.rate) for i in range(len(values))], dtype=np.int64))
        odd = (at < UNSET) | (at > arrival + AHEAD)
        if not odd.any():
            return Rows(values, at)
        if self.form.rate is not None:
            return Rows(values, None, True)
        return Rows(values, np.where(odd, arrival, at), True)

    def _several(self, n: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if n > 1 and self.form.rate is None:
            raise BadPayload(f"it has {n} samples without times; give their `rate`, or say where their `time` is")
        return values

    def _readings(self, documents: list[Any]) -> list[Any]:
        """Each reading alone."""
        readings: list[Any] = []
        for document in documents:
            if isinstance(document, np.ndarray):
                return [document]
            inner = self._inner(document)
            if self._tags is not None:
                items = inner if isinstance(inner, list) else [inner]
                readings += self._tags.readings(items, document, self.numerals)
            elif isinstance(inner, list) and (self.form.records or (inner and isinstance(inner[0], dict))):
                readings += self._listed(inner, document)
            elif self.form.records:
                raise BadPayload(f"it has no list {self.form.records}")
            else:
                readings.append(inner)
        if self._tags is None and (self._good or not self._configured):
            readings = [self._weighed(reading) for reading in readings]
        if not 0 < len(readings) <= ROWS:
            raise BadPayload(f"it has {len(readings)} readings")
        return readings

    def _weighed(self, reading: Any) -> Any:
        """Nothing but a time where the quality is not good, or without what a quality beside it speaks against."""
        if not self._good:
            return tags.weighed(reading, self.numerals)
        place, codes = self._good
        if tags.is_good(place, places.find(reading, place), codes, self.numerals):
            return reading
        return _without(reading)

    def _inner(self, document: Any) -> Any:
        """What the readings are in: where `records` says, or where nothing else is than one list of tags."""
        if self.form.records or self._configured:
            return places.find(document, self._records)
        if (devices := tags.of_devices(document)) is not None:
            self._time = self._time or (tags.TIME,)
            self._tagged = True
            return devices
        if self.form.payload != "senml":
            if (metrics := tags.of_metrics(document)) is not None:
                self._time = self._time or (tags.TIME,)
                self._tagged = True
                return metrics
            if (listed := tags.within(document)) is not None:
                return listed
        return document

    def _listed(self, items: list[Any], document: Any) -> list[Any]:
        if self._configured or (where := tags.found(items)) is None:
            return items
        if self.form.time == ARRIVAL:
            where.time = None
        elif self.form.time:
            where.time = places.parse(self.form.time)
        elif where.time is None and isinstance(document, dict):
            stamp = next((k for k in tags.STAMPS if k in document and self._is_time((k,), document[k])), None)
            where.time = (stamp,) if stamp else None
        self._tagged = True
        self._time = (tags.TIME,) if where.time is not None else None
        return where.readings(items, document, self.numerals)

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
            number = self.numerals(value)
            if number is None:
                self.numerals.odd += 1
            else:
                row[0, i] = number
                some = True
        if not some:
            if self.numerals.why and any(places.find(reading, f.keys) is not ABSENT for f in self._fields):
                raise BadPayload(self.numerals.why)
            raise BadPayload(f"it has none of {', '.join(c.name for c in self.channels[:4])}")
        time = ABSENT if self._time is None else places.find(reading, self._time)
        return self._burst(row, columns) if columns else row, time

    def _burst(self, row: NDArray[np.float64], columns: dict[int, list[Any]]) -> NDArray[np.float64]:
        lengths = {len(column) for column in columns.values()}
        n = lengths.pop()
        if lengths or n > ROWS:
            raise BadPayload(f"its lists have {n} and {lengths or ROWS} values")
        values = np.repeat(row, n, axis=0)
        for i, column in columns.items():
            values[:, i] = [self.numerals(v) for v in column]
        return values

    def _times(self, said: Any, n: int) -> NDArray[np.int64]:
        if said is ABSENT:
            raise BadPayload(f"it has no time {self.form.time or self._time_name}")
        if not isinstance(said, list):
            said = [said]
        found = np.array([moment(value, self.form.form, self.form.zone) for value in said], dtype=np.int64)
        if len(found) == n:
            return found
        if len(found) == 1 and self.form.rate is not None:
            return np.asarray(found + np.array([int(i * NS / self.form.rate) for i in range(n)], dtype=np.int64))
        raise BadPayload(f"it has {n} samples and {len(found)} times; give their `rate`")

    # -- what nothing was said about -----------------------------------------------------------------------------------

    def _find(self, readings: list[Any]) -> None:
        """Every number is a channel, once it is seen; a time is known by its name and looks."""
        if isinstance(readings[0], np.ndarray):
            if not self._fields:
                self._learn([Field(Channel("value"), (0,))])
            return
        self._same(readings)
        if any(isinstance(reading, list) and reading and isinstance(reading[0], list) for reading in readings):
            raise BadPayload(
                "it is a list of lists: say `records: .`, and which cells are the `time` and the `channels`"
            )
        found: dict[Keys, Any] = {}
        if self._time is None and not self.form.time and isinstance(readings[0], dict):
            self._time = next((
                (key,) for key, value in readings[0].items()
                if places.is_column(value) and len(value) > 1 and self._is_time((key,), value)
            ), None)  # fmt: skip
        lists = self.form.rate is not None or self._time is not None
        for reading in readings[:MOST]:
            for keys, value in places.leaves(reading, lists=lists, most=MOST).items():
                found.setdefault(keys, value)
        if self._time is None and not self.form.time and self.form.payload not in ("senml", "influx"):
            self._time = next((keys for keys, value in found.items() if self._is_time(keys, value)), None)
        fresh = [
            keys
            for keys, value in found.items()
            if keys not in self._known and keys != self._time and keys[:1] not in _OWN and self._is_number(value)
        ]
        listed = next((keys for keys, value in found.items() if places.lists_of_maps(value)), None)
        if listed is not None and not self._known and all(_counter(keys) for keys in fresh):
            raise BadPayload(_unread(listed))
        if fresh:
            units: dict[str, str] = {}
            for reading in readings if self.form.payload == "senml" else ():
                units |= reading[senml.UNITS]
            more = [
                Field(Channel(self._name(keys), units.get(str(keys[0]), "1") if keys else "1"), keys) for keys in fresh
            ]
            self._learn([*self._fields, *more][:MOST])
        if not self._fields or self._known.isdisjoint(found):
            if listed is not None:
                raise BadPayload(_unread(listed))
            strange = next((v for v in found.values() if isinstance(v, str) and self.numerals(v) is None), None)
            text = self.form.payload in ("text", "pairs")
            raise BadPayload(f"it has no numbers{f': {self.numerals.why}' if text and strange is not None else ''}")

    def _same(self, readings: list[Any]) -> None:
        """Whether what came is of the kind that came before. Raises BadPayload."""
        name = tags.one(readings[0]) if len(readings) == 1 and self._tags is None else ""
        if name and self._named and name != self._named:
            keys = tags.found(readings)
            key = keys.name[0] if keys is not None else ""
            raise BadPayload(f"it names {name[:40]!r}, {self._named[:40]!r} before: say `name: {key}`")
        self._named = name or self._named
        if not isinstance(readings[0], list):
            return
        cells = len(readings[0])
        if self._cells and cells != self._cells:
            self._other_cells[cells] += 1
            if self._other_cells[cells] <= max(PATIENCE, self._other_cells[self._cells] // 2):
                raise BadPayload(f"it has {cells} cells, {self._cells} before")
        if cells != self._cells:
            self._learn(())
            self._cells = cells
            self._other_cells.clear()
        elif self._other_cells[cells] < 10 * PATIENCE:
            self._other_cells[cells] += 1

    def _is_number(self, value: Any) -> bool:
        if isinstance(value, str):
            if self.numerals.knows(value):
                return True
            spelled = self.form.payload in ("text", "pairs") or self._tagged
            return spelled and any(Numerals(d)(value) is not None for d in DECIMALS)
        if value is None:
            return self._tagged
        return isinstance(value, (int, float)) or places.is_column(value)

    def _is_time(self, keys: Keys, value: Any) -> bool:
        if not keys or not isinstance(keys[-1], str) or keys[-1].lower() not in STAMPED:
            return False
        try:
            at = moment(value[0] if isinstance(value, list) else value, self.form.form, self.form.zone)
        except BadPayload:
            return False
        written = isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).isdecimal()
        if at < UNSET and not written and keys[-1].lower() not in SURE:
            return False
        self._time_name = ".".join(map(str, keys))
        return True

    def _name(self, keys: Keys) -> str:
        if not keys:
            return "value"
        if first(self.form) and isinstance(keys[0], int):
            return "value" if self._cells == 1 else f"c{keys[0] + 1}"
        return ".".join(map(str, keys))


__all__ = ["LONGEST", "NAMED", "PATIENCE", "Decoder", "Rows", "moment"]


def _unread(listed: Keys) -> str:
    where = ".".join(map(str, listed)) or "."
    return f"it has a list of objects: say `records: {where}`, and where the `name` of each is"


def _counter(keys: Keys) -> bool:
    """Whether a number is of the message and not of the plant."""
    return bool(keys) and isinstance(keys[-1], str) and keys[-1].casefold() in tags.COUNTERS


def _without(reading: Any) -> Any:
    """Its numbers missing, its times as they are."""
    if isinstance(reading, dict):
        return {
            key: each if key in tags.STAMPS or (isinstance(key, str) and key.lower() in STAMPED) else _without(each)
            for key, each in reading.items()
        }
    if isinstance(reading, (list, tuple)):
        return [_without(each) for each in reading]
    return None if isinstance(reading, (int, float)) else reading
