"""SenML, JSON and CBOR (RFC 8428): a pack to readings, one for each time in it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from edgeloop.clock import NS
from edgeloop.decode import cbor
from edgeloop.errors import DecodeError
from sensor_ingest.payload import documents
from sensor_ingest.payload.errors import BadPayload

TIME: Final = " time"
UNITS: Final = " units"
"""Keys of a reading that no SenML name can be: ns UTC, and units by name."""
VERSION = 10
RELATIVE = 2**28
"""A time below it counts from now (section 4.5.3)."""
_LABELS: dict[Any, str] = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip


def readings(payload: bytes, arrival: int) -> list[dict[str, Any]]:
    """Values by name, without texts and data. arrival: ns UTC. Raises BadPayload.

    >>> pack = b'[{"bn":"press1:","bt":1.6e9,"n":"temp","u":"Cel","v":21.5},{"n":"on","vb":true}]'
    >>> readings(pack, 0)
    [{' time': 1600000000000000000, ' units': {'press1:temp': 'Cel'}, 'press1:temp': 21.5, 'press1:on': True}]
    """
    base_name, base_time, base_unit, base_value = "", Fraction(0), "", 0.0
    timed = False
    rows: dict[int, dict[str, Any]] = {}
    for record in _pack(payload):
        if record.get("bver", VERSION) > VERSION:
            raise BadPayload(f"it is SenML of version {record['bver']}, {VERSION} is known")
        base_name = _typed(record, "bn", str, base_name)
        base_unit = _typed(record, "bu", str, base_unit)
        base_value = float(_typed(record, "bv", (int, float), base_value))
        if "bt" in record:
            base_time = _seconds(record, "bt")
        timed = timed or "bt" in record or "t" in record
        name = base_name + _typed(record, "n", str, "")
        if "v" in record:
            value: Any = _typed(record, "v", (int, float), 0) + base_value
        elif "vb" in record:
            value = _typed(record, "vb", bool, False)
        else:
            continue
        if not name:
            raise BadPayload("a SenML record has no name")
        at = base_time + (_seconds(record, "t") if "t" in record else 0)
        time = arrival + int(at * NS) if at < RELATIVE else int(at * NS)
        reading = rows.setdefault(time, {UNITS: {}})
        reading[name] = value
        if unit := _typed(record, "u", str, base_unit):
            reading[UNITS][name] = unit
    if not rows:
        raise BadPayload("it has no values")
    return [{TIME: time, **rows[time]} if timed else rows[time] for time in sorted(rows)]


def _pack(payload: bytes) -> list[dict[str, Any]]:
    if payload.lstrip()[:1] == b"[":
        pack = documents.loads(payload)
    else:
        try:
            pack = cbor(payload)
        except DecodeError as error:
            raise BadPayload(f"it is no SenML: {error.why}") from None
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise BadPayload("SenML is a list of records")
    records: list[dict[str, Any]] = [{_LABELS.get(key, str(key)): value for key, value in r.items()} for r in pack]
    for record in records:
        _typed(record, "bver", int, VERSION)
        if any(key.endswith("_") for key in record):
            raise BadPayload("it has a field that must be understood and is not")
    return records


def _typed(record: dict[str, Any], key: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = record.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadPayload(f"its {key} is {str(value)[:40]!r}")
    return value


def _seconds(record: dict[str, Any], key: str) -> Fraction:
    value = _typed(record, key, (int, float), 0)
    if not -(2.0**34) < value < 2.0**34:
        raise BadPayload(f"its {key} is {value}")
    return Fraction(repr(value))
