"""Lists of tags, name by name: what Kepware, EdgeX, ThingsBoard and other gateways send."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sensor_ingest.payload import places
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Form
from sensor_ingest.payload.numerals import Numerals
from sensor_ingest.payload.places import ABSENT, Keys

TIME: Final = " time"
"""Key of a reading that no tag is named by."""
NAMES = (
    "resourceName", "tagName", "TagName", "tag", "Tag", "name", "Name", "metric", "variable", "signal", "key", "n",
    "id", "Id", "i", "nodeId", "NodeId", "DisplayName", "displayName", "pointName", "point", "sensor", "propertyAlias",
)  # fmt: skip
VALUES = ("value", "v", "val", "Value", "V", "Val")
GOODS = (
    "quality", "q", "good", "statusCode", "status", "Quality", "StatusCode", "qc", "qualityCode", "quality_code", "Q",
)  # fmt: skip
COUNTERS = frozenset({
    "seq", "seqno", "sequence", "sequencenumber", "msgid", "messageid", "version", "v", "count", "cnt", "bdseq", "n",
    "total", "len", "size", "id", "qos",
})  # fmt: skip
"""Numbers beside a list of tags that are of the message and not of the plant."""
FLAGS = frozenset({"is_null", "isNull", "is_historical", "isHistorical", "is_transient", "isTransient", "alias"})
STAMPS = ("origin", "timestamp", "ts", "time", "t", "sourceTimestamp", "SourceTimestamp", "timeStamp", "Timestamp")
GOOD = range(192, 256)
"""Quality of OPC DA."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORDS = frozenset({"good", "ok", "true", "valid", "1"})
_BAD = frozenset({"bad", "uncertain", "invalid", "stale", "false", "not connected", "comm failure", "questionable"})
_QUALITIES = frozenset(
    {"quality", "q", "good", "statuscode", "status_code", "status", "qualitycode", "quality_code", "opcquality", "qc"}
)
THIRDS = frozenset({"qc"})
"""Qualities whose codes are the two first bits of OPC DA's: 3 is good."""
SEVERITY = 0xC0000000
"""Of a status code of OPC UA: none of these bits is set where it is good."""


class Tags:
    """Where in an item of a list name, value, quality and time are. codes: qualities that are good."""

    def __init__(self, name: Keys, value: Keys, good: Keys | None, codes: frozenset[str], time: Keys | None) -> None:
        self.name, self.value, self.good, self.codes, self.time = name, value, good, codes, time

    @classmethod
    def configured(cls, form: Form) -> Tags | None:
        if not form.name:
            return None
        place, *codes = form.good.split() if form.good else [""]
        time = places.parse(form.time) if form.time and form.time != "arrival" else None
        return cls(
            places.parse(form.name), places.parse(form.value or "value"), places.parse(place) if place else None,
            frozenset(code.casefold().strip(",") for code in codes), time,
        )  # fmt: skip

    def readings(self, items: Iterable[Any], document: Any, numerals: Numerals) -> list[dict[str, Any]]:
        """A reading for each time; a value whose quality is not good is missing. Raises BadPayload."""
        result: list[dict[str, Any]] = []
        newest: dict[Any, dict[str, Any]] = {}
        for item in items:
            name = places.find(item, self.name)
            if isinstance(name, (int, float)) and not isinstance(name, bool):
                name = str(name)
            if not isinstance(name, str) or not name:
                raise BadPayload(f"an item of its list has no name {'.'.join(map(str, self.name))}")
            value = places.find(item, self.value)
            time = ABSENT
            if self.time is not None:
                time = places.find(item, self.time)
                if time is ABSENT:
                    time = places.find(document, self.time)
            if value is ABSENT or (isinstance(item, dict) and (item.get("is_null") or item.get("isNull")) is True):
                value = None
            if self.good is not None and not is_good(self.good, places.find(item, self.good), self.codes, numerals):
                value = None
            key = None if time is ABSENT else repr(time)
            reading = newest.get(key)
            if reading is None or name in reading:
                reading = newest[key] = {} if time is ABSENT else {TIME: time}
                result.append(reading)
            reading[name] = value
        return result


def is_good(place: Keys, quality: Any, codes: frozenset[str], numerals: Numerals) -> bool:
    """Whether a quality at a place says that the value beside it can be used. codes: those that are good."""
    if quality is ABSENT:
        return True
    unified = str(place[-1]).casefold() in ("statuscode", "status_code") if place else False
    if isinstance(quality, dict):
        unified = True
        quality = next((quality[k] for k in ("code", "Code", "value", "Value") if k in quality), 0)
    if codes:
        said = str(quality).casefold()
        return said in codes or (isinstance(quality, float) and f"{quality:g}" in codes)
    if isinstance(quality, bool):
        return quality
    if isinstance(quality, (int, float)):
        if unified:
            return not int(quality) & SEVERITY and quality >= 0
        if quality == 0:
            numerals.odd += 1
            numerals.why = "quality 0 is good in OPC UA, bad in OPC DA: say `good: <place> 0`, or `192`"
        if place and str(place[-1]).casefold() in THIRDS and quality in range(4):
            return quality == 3
        return quality == 1 or quality in GOOD
    word = str(quality).strip().casefold()
    return word in _WORDS or word.startswith("good")


def weighed(item: Any, numerals: Numerals) -> Any:
    """A reading, its numbers missing wherever a quality beside them is not good, and without those qualities.

    >>> weighed({"value": 3, "quality": "Bad"}, Numerals()), weighed({"q": 0, "flow": 3}, Numerals())
    ({'value': None}, {'q': 0, 'flow': 3})
    >>> weighed({"a": {"v": 1, "q": True}, "b": {"v": 2, "q": False}}, Numerals())
    {'a': {'v': 1}, 'b': {'v': None}}
    """
    if not isinstance(item, dict):
        return item
    found = {key: weighed(value, numerals) if isinstance(value, dict) else value for key, value in item.items()}
    key = next((key for key in found if key.casefold() in _QUALITIES and _weighs(key, found)), None)
    if key is None:
        return found
    quality = found.pop(key)
    if is_good((key,), quality, frozenset(), numerals):
        return found
    return {k: None if isinstance(v, (int, float)) and k not in STAMPS else v for k, v in found.items()}


def _weighs(key: str, item: Mapping[str, Any]) -> bool:
    """Whether what is called so is a quality: a word that says so, or a code beside a value."""
    quality = item[key]
    if isinstance(quality, str):
        word = quality.strip().casefold()
        return word in _BAD or word in _WORDS or word.startswith(("good", "bad", "uncertain"))
    if not any(name in item for name in VALUES):
        return False
    coded = isinstance(quality, int) and (quality in range(256) or quality > 1 << 30)
    return coded or isinstance(quality, (bool, dict))


def found(items: list[Any]) -> Tags | None:
    """Where they are, if a list looks like tags: each item a map with a name among the known ones and a value."""
    maps = [item for item in items if isinstance(item, dict)]
    if not maps or len(maps) < len(items):
        return None
    value = _common(VALUES, maps)
    name = next((k for k in NAMES if k != value and all(isinstance(m.get(k), str) and m[k] for m in maps)), "")
    if not value or not name or any(_others(each, value) for each in maps):
        return None
    inner = [each[value] for each in maps]
    if all(isinstance(each, dict) for each in inner) and (below := _common(VALUES, inner)):
        if any(_others(each, below) for each in inner):
            return None
        good, time = _common(GOODS, inner), _common((k for k in STAMPS if k != below), inner)
        outer = "" if time else _common((k for k in STAMPS if k not in (value, name)), maps)
        stamp: Keys | None = (value, time) if time else (outer,) if outer else None
        return Tags((name,), (value, below), (value, good) if good else None, frozenset(), stamp)
    good, time = _common(GOODS, maps), _common((k for k in STAMPS if k not in (value, name)), maps)
    return Tags((name,), (value,), (good,) if good else None, frozenset(), (time,) if time else None)


def within(document: Any, depth: int = 3) -> list[Any] | None:
    """The one list of tags that a document has, however deep (to a depth), where nothing else of it is a value."""
    if not isinstance(document, dict):
        return None
    lists: list[list[Any]] = []
    waiting: list[tuple[dict[str, Any], int]] = [(document, depth)]
    while waiting:
        holder, left = waiting.pop()
        for key, value in holder.items():
            if isinstance(value, dict):
                if left:
                    waiting.append((value, left - 1))
            elif places.lists_of_maps(value):
                lists.append(value)
            elif isinstance(value, (int, float)) and key.casefold() not in COUNTERS and key not in STAMPS:
                return None
    return lists[0] if len(lists) == 1 and found(lists[0]) is not None else None


def of_metrics(document: Any) -> list[dict[str, Any]] | None:
    """Readings of metrics with a name, tags and fields, as collectors write them; else None.

    >>> of_metrics({"name": "cpu", "tags": {"host": "h"}, "fields": {"a": 1}, "timestamp": 5})
    [{' time': 5, 'cpu.h.a': 1}]
    """
    items = document.get("metrics") if isinstance(document, dict) and "metrics" in document else document
    items = items if isinstance(items, list) else [items]
    readings: dict[Any, dict[str, Any]] = {}
    for item in items:
        if not isinstance(item, dict) or not all(isinstance(item.get(key), dict) for key in ("fields", "tags")):
            return None
        name = item.get("name") or item.get("measurement")
        time = item.get("timestamp", item.get("time"))
        if not isinstance(name, str) or time is None:
            return None
        head = ".".join([name, *map(str, item["tags"].values())])
        named = {f"{head}.{key}": value for key, value in item["fields"].items()}
        readings.setdefault(time, {TIME: time}).update(named)
    return list(readings.values()) or None


def one(document: Any) -> str:
    """The tag that a single message names, where it holds nothing but that tag's value; else nothing."""
    if not isinstance(document, dict) or (where := found([document])) is None:
        return ""
    name = str(document[str(where.name[0])])
    return "" if _UUID.fullmatch(name) else name


def _others(item: dict[str, Any], value: str) -> bool:
    """Whether there are more numbers than the value of a tag, its quality and its times."""
    return any(
        isinstance(each, (int, float)) and key != value and key not in GOODS and key not in STAMPS and key not in FLAGS
        for key, each in item.items()
    )


def _common(keys: Iterable[str], maps: list[dict[str, Any]]) -> str:
    return next((key for key in keys if all(key in each for each in maps)), "")


def of_devices(document: Any) -> list[dict[str, Any]] | None:
    """Readings of `{"Device A": [{"ts": …, "values": {…}}], …}`, as gateways write to ThingsBoard; else None."""
    if not isinstance(document, Mapping) or not document:
        return None
    readings: dict[Any, dict[str, Any]] = {}
    for device, entries in document.items():
        if not isinstance(entries, list) or not entries:
            return None
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("values"), dict) or "ts" not in entry:
                return None
            reading = readings.setdefault(entry["ts"], {TIME: entry["ts"]})
            reading.update({f"{device}.{key}": value for key, value in entry["values"].items()})
    return list(readings.values())
