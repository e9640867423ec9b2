"""Time stamps as people and machines write them, to ns UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from edgeloop.clock import NS

TIMES = ("time", "timestamp", "datetime", "date", "date_time", "ts", "t")
Parse = Callable[[str], int]

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d{2}:?\d{2})?")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_FORMS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y%m%d %H%M%S", "%Y%m%dT%H%M%S", "%Y-%m-%d", "%d.%m.%Y",
)  # fmt: skip
_SCALES = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, NS))
"""An epoch number of at least so much is in units of so many ns."""


def iso(text: str) -> int:
    """RFC 3339 and ISO 8601, with `T` or a blank, to the ns; without a zone it is UTC.

    >>> iso("2020-03-09 10:34:33.25") - iso("2020-03-09T11:34:33+01:00")
    250000000
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time")
    date, time, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time}{(zone or 'Z').replace('Z', '+00:00')}")
    return int(moment.timestamp()) * NS + (int(fraction.ljust(9, "0")) if fraction else 0)


def epoch(text: str) -> int:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.

    >>> epoch("1583750073.25") == epoch("1583750073250")
    True
    """
    value = float(text)
    for least, unit in _SCALES:
        if abs(value) >= least:
            whole, _, fraction = text.partition(".")
            if "e" in text.lower():
                return int(value * unit)
            return int(whole) * unit + int(float(f"0.{fraction or 0}") * unit)
    raise ValueError(f"{text!r} is no time")


def seconds(text: str) -> int:
    """Seconds since the start of a recording."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no time")
    return round(float(text) * NS)


def written(form: str) -> Parse:
    """By a strptime form, UTC where it has no zone."""

    def parse(text: str) -> int:
        moment = datetime.strptime(text, form)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * NS + moment.microsecond * 1000

    return parse


def recognise(sample: list[str], *, certain: bool = False) -> Parse | None:
    """The parser that takes the most texts, or None if it takes no more than half.

    certain: numbers that look like no date are seconds since the start.

    >>> recognise(["31.12.2024 23:59:59"])("31.12.2024 00:00:01") == iso("2024-12-31 00:00:01")
    True
    """
    candidates: list[Parse] = [iso, epoch, *map(written, _FORMS)]
    if certain:
        candidates.append(seconds)
    taken = [sum(_takes(parse, text) for text in sample) for parse in candidates]
    most = max(taken)
    return candidates[taken.index(most)] if 2 * most > len(sample) else None


def _takes(parse: Parse, text: str) -> bool:
    try:
        parse(text)
    except (ValueError, OverflowError):
        return False
    return True
