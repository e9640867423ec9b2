"""How well this device's clock is kept, as the kernel says it without privileges (adjtimex(2), RFC 5905 appendix)."""

from __future__ import annotations

import ctypes
import os
import time

from edgeloop import clock
from edgeloop.wire.batch import Clock

TIME_ERROR = 5
STA_UNSYNC, STA_NANO = 0x0040, 0x2000
UNKNOWN = 16_000_000
"""µs: the maximum error the kernel starts with, and stays at while nobody disciplines the clock."""
STAMPS = ("/run/systemd/timesync/synchronized", "/var/lib/chrony/drift", "/var/lib/ntp/ntp.drift")
REFRESH = 10.0


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_sec", ctypes.c_long),
        ("time_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_long * 24),
    )


def quality() -> Clock:
    """This device's clock: `ntp` while something keeps it (a PTP daemon too: the kernel does not tell), else `free`."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return Clock("free")
    state = _Timex()
    kept = adjtimex(ctypes.byref(state))
    if kept in (-1, TIME_ERROR) or state.status & STA_UNSYNC or state.maxerror >= UNKNOWN:
        return Clock("free")
    offset = state.offset if state.status & STA_NANO else state.offset * 1000
    return Clock("ntp", offset=offset, uncertainty=state.maxerror * 1000, synced_at=_synced_at())


def _synced_at() -> int:
    newest = 0
    for stamp in STAMPS:
        try:
            newest = max(newest, os.stat(stamp).st_mtime_ns)
        except OSError:
            continue
    return min(newest, clock.now())


class DeviceClock:
    """`quality`, asked again every 10 s."""

    def __init__(self) -> None:
        self._value, self._asked = quality(), time.monotonic()

    @property
    def value(self) -> Clock:
        if time.monotonic() - self._asked >= REFRESH:
            self._value, self._asked = quality(), time.monotonic()
        return self._value
