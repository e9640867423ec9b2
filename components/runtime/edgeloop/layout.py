"""The layout of uploaded data: Parquet files in Hive partitions below a prefix.

    raw/schema=2/site=<site>/stream=<stream>/date=<yyyy-mm-dd>/clock=<synced|unsynced>/
        <device>_<epoch>_<first>-<last>.parquet
    gaps/schema=2/site=<site>/date=<yyyy-mm-dd>/<device>_<digest>.parquet

`date` is that of the first sample where the device's clock was synchronised, else that of arrival. Object names are a
function of the content: the same samples always have the same name.

Columns of `raw`: time (timestamp[us, UTC]), time_ns (int64, exact), one per channel or record column, device, epoch
(16 hexadecimal digits), index, quality. Names are of `[a-z0-9_]`, that of the channel is the field's metadata `name`.
Integer channels hold raw values, exact; physical value = raw * scale + offset of the field's metadata (`unit` is UCUM).
Columns of `gaps`: device, stream, epoch, first, last, reason, time. What arrived and what is declared there make up
all that was journalled.

Schema 1, of release 0.1, lies beside it without `schema=`: time in ns, epoch uint64, names as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntFlag
from typing import Final, Literal

from edgeloop.clock import NS

RAW: Final = "raw"
GAPS: Final = "gaps"
SCHEMA: Final = 2
RESERVED: Final = ("time", "time_ns", "device", "epoch", "index", "quality", "site", "stream", "date", "clock")
METADATA: Final = b"edgeloop"
"""Key of the schema's metadata: JSON with schema, site, device, stream, rate, clock."""

ClockState = Literal["synced", "unsynced"]
Reason = Literal["dropped", "not_captured"]

_WORDS = re.compile(r"[^a-z0-9]+")
_BAND = re.compile(r"(?P<name>.*band)_(?P<low>[0-9.]+)_(?P<high>[0-9.]+)_(?P<k>k?)Hz")
_UNSAFE = re.compile(r"[^A-Za-z0-9_:.-]")


class Quality(IntFlag):
    """Bits of the column `quality`; 0 is good."""

    GOOD = 0
    UNSYNCED = 1
    """The clock was not synchronised: order and distance are good, the absolute time may be off."""
    DISCONTINUITY = 2
    """Time and index part at this sample."""


def column(channel: str) -> str:
    """The column of a channel; names with a meaning of their own get a `_`.

    >>> column("x"), column("time")
    ('x', 'time_')
    """
    return f"{channel}_" if channel.rstrip("_") in RESERVED else channel


def plain(name: str) -> str:
    """A name that every engine takes without quotes; of a band, its frequencies in Hz.

    >>> plain("oilTemp"), plain("x_band_3.2_6.4_kHz"), plain("Öl-Druck [bar]"), plain("4711")
    ('oiltemp', 'x_band_3200_6400_hz', 'l_druck_bar', 'c_4711')
    """
    band = _BAND.fullmatch(name)
    if band:
        factor = 1000 if band["k"] else 1
        name = f"{band['name']}_{float(band['low']) * factor:.0f}_{float(band['high']) * factor:.0f}_hz"
    words = _WORDS.sub("_", name.lower()).strip("_") or "c"
    return words if words[0].isalpha() else f"c_{words}"


def columns(names: Iterable[str]) -> dict[str, str]:
    """Column by channel; of equal ones the later have a number.

    >>> columns(["X", "x", "time"])
    {'X': 'x', 'x': 'x_2', 'time': 'time_'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base, number = column(plain(name)), 1
        while (base if number == 1 else f"{base}_{number}") in taken:
            number += 1
        found[name] = base if number == 1 else f"{base}_{number}"
        taken.add(found[name])
    return found


def date(time: int) -> str:
    """
    >>> date(1_700_000_000 * NS)
    '2023-11-14'
    """
    return f"{datetime.fromtimestamp(time // NS, UTC):%Y-%m-%d}"


def raw_key(site: str, stream: str, day: str, clock: ClockState, device: str, epoch: int, first: int, last: int) -> str:
    """
    >>> raw_key("plant", "press1_vib", "2026-03-01", "synced", "core7", 0xAB, 0, 99)
    'raw/schema=2/site=plant/stream=press1_vib/date=2026-03-01/clock=synced/core7_00000000000000ab_0-99.parquet'
    """
    folder = f"{RAW}/schema={SCHEMA}/site={safe(site)}/stream={safe(stream)}/date={day}/clock={clock}"
    return f"{folder}/{safe(device)}_{epoch:016x}_{first}-{last}.parquet"


def gaps_key(site: str, day: str, device: str, digest: str) -> str:
    return f"{GAPS}/schema={SCHEMA}/site={safe(site)}/date={day}/{safe(device)}_{digest}.parquet"


def safe(text: str) -> str:
    """A part of a key: no separators, no blanks.

    >>> safe("Halle 3/Nord"), safe("press1_vib")
    ('Halle-3-Nord', 'press1_vib')
    """
    return _UNSAFE.sub("-", text)
