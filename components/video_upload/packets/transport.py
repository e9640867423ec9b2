"""MPEG-TS of one video stream, as a ring's segments are: access units with their time stamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgeloop.errors import EdgeloopError

PACKET: Final = 188
TICKS: Final = 90_000
WRAP: Final = 1 << 33
_SYNC: Final = 0x47
_VIDEO: Final = {0x1B: "h264", 0x24: "hevc"}


class NoVideo(EdgeloopError):
    """A segment that cannot be used."""


@dataclass(slots=True)
class Unit:
    """One access unit. pts, dts: 90 kHz; data: Annex B."""

    pts: int
    dts: int
    data: bytes


def units(data: bytes) -> tuple[str, list[Unit]]:
    """Codec and access units, in the order of decoding. Raises NoVideo."""
    if not data or len(data) % PACKET or data[0] != _SYNC:
        raise NoVideo("no MPEG-TS", why=f"{len(data)} bytes")
    table, video, codec = -1, -1, ""
    counter = -1
    parts: list[bytes] = []
    found: list[Unit] = []
    view = memoryview(data)
    for at in range(0, len(data), PACKET):
        if data[at] != _SYNC:
            raise NoVideo("no MPEG-TS", why=f"no packet at byte {at}")
        pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        starts, control = data[at + 1] & 0x40, data[at + 3]
        if not control & 0x10:
            continue
        begin = at + 4
        if control & 0x20:
            begin += 1 + data[at + 4]
        end = at + PACKET
        if begin >= end:
            continue
        if pid == video:
            if counter >= 0 and (control & 0x0F) != (counter + 1) & 0x0F:
                raise NoVideo("packets of MPEG-TS are missing", why=f"at byte {at}")
            counter = control & 0x0F
            if starts and parts:
                found.append(_unit(b"".join(parts)))
                parts = []
            if starts or parts:
                parts.append(bytes(view[begin:end]))
        elif pid == 0 and starts and table < 0:
            table = _program(data, begin, end)
        elif pid == table and starts and video < 0:
            video, codec = _stream(data, begin, end)
    if parts:
        found.append(_unit(b"".join(parts)))
    if not codec:
        raise NoVideo("MPEG-TS without H.264 or H.265 in it")
    return codec, found


def _program(data: bytes, begin: int, end: int) -> int:
    at = begin + 1 + data[begin]
    last = min(end, at + 3 + ((data[at + 1] & 0x0F) << 8 | data[at + 2]) - 4)
    for entry in range(at + 8, last - 3, 4):
        if data[entry] << 8 | data[entry + 1]:
            return (data[entry + 2] & 0x1F) << 8 | data[entry + 3]
    return -1


def _stream(data: bytes, begin: int, end: int) -> tuple[int, str]:
    at = begin + 1 + data[begin]
    last = min(end, at + 3 + ((data[at + 1] & 0x0F) << 8 | data[at + 2]) - 4)
    entry = at + 12 + ((data[at + 10] & 0x0F) << 8 | data[at + 11])
    while entry + 5 <= last:
        kind, pid = data[entry], (data[entry + 1] & 0x1F) << 8 | data[entry + 2]
        if kind in _VIDEO:
            return pid, _VIDEO[kind]
        entry += 5 + ((data[entry + 3] & 0x0F) << 8 | data[entry + 4])
    return -1, ""


def _unit(pes: bytes) -> Unit:
    """Raises NoVideo."""
    if len(pes) < 14 or pes[:3] != b"\0\0\1" or not pes[7] & 0x80:
        raise NoVideo("a packet of MPEG-TS has no time stamp")
    pts = _stamp(pes, 9)
    dts = _stamp(pes, 14) if pes[7] & 0x40 else pts
    length = pes[4] << 8 | pes[5]
    body = pes[9 + pes[8] : 6 + length if length else len(pes)]
    return Unit(pts, dts, body)


def _stamp(pes: bytes, at: int) -> int:
    return (
        (pes[at] >> 1 & 0x07) << 30 | pes[at + 1] << 22 | (pes[at + 2] >> 1) << 15 | pes[at + 3] << 7 | pes[at + 4] >> 1
    )


def after(stamp: int, first: int) -> int:
    """Ticks from one time stamp of 33 bits to another, over the wrap.

    >>> after(5, WRAP - 5), after(WRAP - 5, 5)
    (10, -10)
    """
    span = (stamp - first) % WRAP
    return span - WRAP if span >= WRAP // 2 else span
