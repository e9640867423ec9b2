"""How well the kernel says this device's clock is kept: adjtimex(2), RFC 5905 appendix. Standard library only."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

TIME_ERROR = 5
STA_UNSYNC, STA_NANO = 0x0040, 0x2000
UNKNOWN = 16_000_000
"""µs: the maximum error the kernel starts with, and stays at while nobody disciplines the clock."""


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


@dataclass(frozen=True, slots=True)
class Discipline:
    """What keeps the clock: its last offset and its largest error, in ns."""

    offset: int
    uncertainty: int


def discipline() -> Discipline | None:
    """None while nothing keeps the clock, or where the kernel does not say."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return None
    state = _Timex()
    kept = adjtimex(ctypes.byref(state))
    if kept in (-1, TIME_ERROR) or state.status & STA_UNSYNC or state.maxerror >= UNKNOWN:
        return None
    return Discipline(state.offset if state.status & STA_NANO else state.offset * 1000, state.maxerror * 1000)
