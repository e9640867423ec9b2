"""Times that a message brings, and those of a device that does not know the time yet."""

from __future__ import annotations

from typing import Any

from edgeloop.clock import NS
from edgeloop.tables import times
from sensor_ingest.payload.errors import BadPayload

LATEST = 1 << 62
UNSET = 978_307_200 * NS
"""2001: what a clock shows before that was never set (they begin in 1970, 1980 or 2000)."""


def moment(value: Any, form: str = "") -> int:
    """ns UTC of a time stamp: text (RFC 3339, or `form` as strptime has it), or s, ms, µs or ns since 1970.

    A time before `UNSET`, or a number too small for one, is what a clock says that was never set.

    >>> moment("2020-03-09T10:34:33Z") == moment(1583750073) == moment(1583750073000.0)
    True
    >>> moment(3) < UNSET
    True
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
    return max(at, 0)
