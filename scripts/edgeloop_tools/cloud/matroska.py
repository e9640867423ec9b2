"""Matroska as it streams in: tracks, tags, clusters, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

EBML, SEGMENT, INFO, TRACKS, CLUSTER, TAGS = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1254C367
_OUTER: Final = {EBML, SEGMENT, INFO, TRACKS, CLUSTER, TAGS, 0x114D9B74, 0x1C53BB6B, 0x1941A469, 0x1043A770}
TIMECODE, SIMPLE, GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
LARGEST: Final = 64 << 20


class Malformed(ValueError):
    """No Matroska, or not as PutMedia takes it."""


@dataclass(slots=True)
class Block:
    """time: ms after the cluster's."""

    track: int
    time: int
    key: bool
    data: bytes


@dataclass(slots=True)
class Track:
    number: int = 0
    codec: str = ""
    private: bytes = b""
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class Cluster:
    """timecode: in units of `scale` ns. raw: as it came."""

    timecode: int = -1
    blocks: list[Block] = field(default_factory=list)
    raw: bytes = b""


@dataclass(slots=True)
class Header:
    """raw: everything before the first cluster, and before its tags."""

    scale: int = 1_000_000
    tracks: list[Track] = field(default_factory=list)
    raw: bytes = b""


@dataclass(slots=True)
class Tags:
    values: dict[str, str]


Part = Header | Cluster | Tags


class Parser:
    """`feed` bytes, get what is whole. A cluster of unknown size ends where the next outer element begins, or with
    `end`. Raises Malformed."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._header = Header()
        self._told = False
        self._open: Cluster | None = None
        self._left: int | None = None

    def feed(self, data: bytes) -> Iterator[Part]:
        self._data += data
        if len(self._data) > LARGEST:
            raise Malformed("an element is too large")
        at = 0
        while True:
            step = self._one(at)
            if step is None:
                break
            at, parts = step
            yield from parts
        del self._data[:at]

    def end(self) -> Iterator[Part]:
        """The stream is over."""
        if self._open is not None and self._open.blocks:
            yield self._open
        self._open = None

    @property
    def inside(self) -> bool:
        """Whether a cluster has begun."""
        return self._open is not None

    def _one(self, at: int) -> tuple[int, list[Part]] | None:
        head = _head(self._data, at)
        if head is None:
            return None
        number, size, body = head
        parts: list[Part] = []
        if self._open is not None:
            if self._left == 0 or (self._left is None and number in _OUTER):
                parts.append(self._open)
                self._open, self._left = None, None
            elif size is None or number in _OUTER:
                raise Malformed(f"element {number:x} within a cluster")
            else:
                if len(self._data) < body + size:
                    return (at, parts) if parts else None
                self._child(number, bytes(self._data[body : body + size]))
                self._open.raw += bytes(self._data[at : body + size])
                if self._left is not None:
                    self._left -= body + size - at
                    if self._left < 0:
                        raise Malformed("an element is longer than its cluster")
                    if self._left == 0:
                        parts.append(self._open)
                        self._open, self._left = None, None
                return body + size, parts
        if number == CLUSTER:
            if not self._header.tracks:
                raise Malformed("a cluster before the tracks")
            if not self._told:
                self._told = True
                parts.append(self._header)
            self._open, self._left = Cluster(raw=bytes(self._data[at:body])), size
            return body, parts
        if number == SEGMENT:
            self._add(bytes(self._data[at:body]))
            return body, parts
        if size is None:
            raise Malformed(f"element {number:x} has no size")
        if len(self._data) < body + size:
            return (at, parts) if parts else None
        whole = bytes(self._data[at : body + size])
        inner = bytes(self._data[body : body + size])
        if number == EBML:
            self._header, self._told = Header(raw=whole), False
        elif number == TAGS:
            parts.append(Tags(_tags(inner)))
        elif number in (INFO, TRACKS):
            self._add(whole)
            if number == INFO:
                self._header.scale = next((_number(v) for n, v in elements(inner) if n == 0x2AD7B1), 1_000_000)
            else:
                self._header.tracks = [_track(v) for n, v in elements(inner) if n == 0xAE]
        elif not self._header.raw:
            raise Malformed("no Matroska")
        return body + size, parts

    def _add(self, data: bytes) -> None:
        if not self._header.raw:
            raise Malformed("no Matroska")
        self._header.raw += data

    def _child(self, number: int, data: bytes) -> None:
        assert self._open is not None
        if number == TIMECODE:
            self._open.timecode = _number(data)
        elif number == SIMPLE:
            self._open.blocks.append(_block(data, bool(data[3] & 0x80) if len(data) > 3 else False))
        elif number == GROUP:
            inner = dict(elements(data))
            if BLOCK in inner:
                self._open.blocks.append(_block(inner[BLOCK], 0xFB not in inner))


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Raises Malformed."""
    at = 0
    while at < len(data):
        head = _head(data, at)
        if head is None or head[1] is None or head[2] + head[1] > len(data):
            raise Malformed("an element is cut off")
        number, size, body = head
        assert size is not None
        yield number, data[body : body + size]
        at = body + size


def _head(data: bytes | bytearray, at: int) -> tuple[int, int | None, int] | None:
    """Number, size (None: unknown) and where the body begins; None where more must come."""
    if at >= len(data):
        return None
    width = 9 - data[at].bit_length()
    if width > 4:
        raise Malformed(f"no element at byte {at}")
    if at + width >= len(data):
        return None
    number = int.from_bytes(data[at : at + width], "big")
    begin = at + width
    length = 9 - data[begin].bit_length()
    if length > 8:
        raise Malformed(f"no size at byte {begin}")
    if begin + length > len(data):
        return None
    value = int.from_bytes(data[begin : begin + length], "big") & ((1 << 7 * length) - 1)
    return number, None if value == (1 << 7 * length) - 1 else value, begin + length


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _block(data: bytes, key: bool) -> Block:
    if len(data) < 5:
        raise Malformed("a block is empty")
    width = 9 - data[0].bit_length()
    track = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    time = int.from_bytes(data[width : width + 2], "big", signed=True)
    return Block(track, time, key, data[width + 3 :])


def _track(data: bytes) -> Track:
    found = Track()
    for number, value in elements(data):
        if number == 0xD7:
            found.number = _number(value)
        elif number == 0x86:
            found.codec = value.rstrip(b"\0").decode("ascii", "replace")
        elif number == 0x63A2:
            found.private = value
        elif number == 0xE0:
            inner = dict(elements(value))
            found.width, found.height = _number(inner.get(0xB0, b"")), _number(inner.get(0xBA, b""))
    return found


def _tags(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, tag in elements(data):
        for inner, simple in elements(tag) if number == 0x7373 else ():
            if inner == 0x67C8:
                pair = {key: value.decode("utf-8", "replace") for key, value in elements(simple)}
                found[pair.get(0x45A3, "")] = pair.get(0x4487, "")
    return found
