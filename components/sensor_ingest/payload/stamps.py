"""Times that a message brings, and those of a device that does not know the time yet."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edgeloop.clock import NS
from edgeloop.tables import times
from sensor_ingest.payload.errors import BadPayload

LATEST = 1 << 62
_ZONED = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})\s*$", re.IGNORECASE)
UNSET = 978_307_200 * NS
"""2001: what a clock shows before that was never set (they begin in 1970, 1980 or 2000)."""


def moment(value: Any, form: str = "", zone: str = "") -> int:
    """ns UTC of a time stamp: text (RFC 3339, or `form` as strptime has it), or s, ms, µs or ns since 1970.

    A time before `UNSET`, or a number too small for one, is what a clock says that was never set. zone: IANA, of texts
    that name none; 0 for an hour that its clocks show twice, or never.

    >>> moment("2020-03-09T10:34:33Z") == moment(1583750073) == moment(1583750073000.0)
    True
    >>> moment(3) < UNSET
    True
    >>> moment("2026-07-01 12:00:00", zone="Europe/Berlin") == moment("2026-07-01T10:00:00Z")
    True
    >>> moment("2026-10-25 02:30:00", zone="Europe/Berlin")
    0
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise BadPayload(f"its time {str(value)[:40]!r} is no time")
    text = repr(value) if not isinstance(value, str) else value.strip()
    try:
        if form:
            at = times.written(form)(text)
        elif isinstance(value, str) and not text.replace(".", "", 1).isdecimal():
            at = times.iso(text)
        else:
            at = int(float(text) * NS) if abs(float(text)) < 1e8 else times.epoch(text)
    except (ValueError, OverflowError, OSError):
        mend = "" if form else "; say how it is written, `form`, such as %d.%m.%Y %H:%M:%S"
        raise BadPayload(f"its time {text[:40]!r} is no time{mend}") from None
    if not -LATEST < at < LATEST:
        raise BadPayload(f"its time {text[:40]!r} is out of range")
    if zone and isinstance(value, str) and not text.replace(".", "", 1).isdecimal() and _local(text, form):
        at = _in(zone, at)
    return max(at, 0)


def _local(text: str, form: str) -> bool:
    """Whether a text names no zone."""
    return "%z" not in form if form else _ZONED.search(text) is None


def _in(zone: str, at: int) -> int:
    """ns UTC of what the clocks of a zone show; 0 where they show it twice, or never."""
    shown = datetime(1970, 1, 1) + timedelta(seconds=at // NS)
    early, late = (shown.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
    if early is None or early != late:
        return 0
    return at - int(early.total_seconds()) * NS
