"""InfluxDB's line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`."""

from __future__ import annotations

import re
from typing import Any, Final

from sensor_ingest.payload.errors import BadPayload

TIME: Final = " time"
_KEY = r"(?:[^,= \\]|\\.)+"
_TEXT = r'"(?:[^"\\]|\\.)*"'
_HEAD = re.compile(rf"((?:[^, \\]|\\.)+)((?:,{_KEY}={_KEY})*) +")
_FIELD = re.compile(rf"({_KEY})=({_TEXT}|[^, ]+)(,?)")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?[iu]?")
_LOGICAL = {"t": True, "true": True, "f": False, "false": False}


def readings(lines: list[str]) -> list[dict[str, Any]]:
    """A reading for each time; a value is named by its measurement, the values of its tags, and its field.

    >>> readings(["weather,room=1 t=21.5,n=3i,ok=t 1700000000000000000"])
    [{'weather.1.t': 21.5, 'weather.1.n': 3, 'weather.1.ok': True, ' time': 1700000000000000000}]
    """
    found = [_line(line) for line in lines if not line.startswith("#")]
    if not found:
        raise BadPayload("it is empty")
    result: list[dict[str, Any]] = []
    newest: dict[int | None, dict[str, Any]] = {}
    for head, values, time in found:
        named = {f"{head}.{name}": value for name, value in values.items()}
        reading = newest.get(time)
        if reading is None or reading.keys() & named.keys():
            reading = newest[time] = {}
            result.append(reading)
        reading.update(named)
        if time is not None:
            reading[TIME] = time
    return result


def _line(line: str) -> tuple[str, dict[str, Any], int | None]:
    head = _HEAD.match(line)
    if head is None:
        raise BadPayload(f"{line[:40]!r} is no line protocol")
    at = head.end()
    values: dict[str, Any] = {}
    while True:
        field = _FIELD.match(line, at)
        if field is None:
            raise BadPayload(f"{line[at : at + 40]!r} is no field of a line protocol")
        values[_plain(field[1])] = _value(field[2])
        at = field.end()
        if not field[3]:
            break
    rest = line[at:].strip()
    if rest and not re.fullmatch(r"-?\d{1,20}", rest):
        raise BadPayload(f"{rest[:40]!r} is no time of a line protocol")
    tags = "".join(f".{_plain(pair.partition('=')[2])}" for pair in re.split(r"(?<!\\),", head[2])[1:])
    return _plain(head[1]) + tags, values, int(rest) if rest else None


def _value(text: str) -> Any:
    if text.startswith('"'):
        return text[1:-1]
    if text.casefold() in _LOGICAL:
        return _LOGICAL[text.casefold()]
    if not _NUMBER.fullmatch(text):
        raise BadPayload(f"{text[:40]!r} is no value of a line protocol")
    return int(text[:-1].partition(".")[0]) if text[-1] in "iu" else float(text)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
