"""Time as integer nanoseconds UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

NS = 1_000_000_000


def now() -> int:
    """Nanoseconds since 1970-01-01 UTC by this device's clock."""
    return time.time_ns()


def elapsed() -> int:
    """Nanoseconds that only rise, whatever is done to the device's clock: for waits and intervals."""
    return time.monotonic_ns()


def rfc3339(ns: int) -> str:
    """RFC 3339 with nanoseconds.

    >>> rfc3339(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456789Z'
    """
    seconds, fraction = divmod(ns, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
