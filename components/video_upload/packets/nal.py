"""H.264 and H.265 between Annex B, as cameras and MPEG-TS have it, and lengths, as Matroska and MP4 do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_START: Final = re.compile(b"\0\0\1")
_KEYS: Final = {"h264": {5}, "hevc": set(range(16, 22))}
_SETS: Final = {"h264": (7, 8), "hevc": (32, 33, 34)}
_IDLE: Final = {"h264": {9, 12}, "hevc": {35, 38}}
"""Delimiters and filling: they say nothing here."""


def units(data: bytes) -> Iterator[bytes]:
    """NAL units of an access unit in Annex B."""
    begin = -1
    for match in _START.finditer(data):
        if begin >= 0:
            yield data[begin : match.start()].rstrip(b"\0")
        begin = match.end()
    if begin >= 0:
        yield data[begin:].rstrip(b"\0")


def kind(unit: bytes, codec: str) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


class Track:
    """Takes access units apart, and remembers the newest parameter sets."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self._sets: dict[int, list[bytes]] = {}

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """(units with lengths of four bytes, without parameter sets; whether it can be decoded alone)."""
        out: list[bytes] = []
        key = False
        fresh: dict[int, list[bytes]] = {}
        for unit in units(data):
            if not unit:
                continue
            number = kind(unit, self.codec)
            if number in _SETS[self.codec]:
                known = fresh.setdefault(number, [])
                if unit not in known:
                    known.append(unit)
            elif number not in _IDLE[self.codec]:
                key = key or number in _KEYS[self.codec]
                out += (len(unit).to_bytes(4, "big"), unit)
        self._sets |= fresh
        return b"".join(out), key

    @property
    def private(self) -> bytes:
        """The decoder's configuration (avcC, hvcC); empty while the parameter sets are not known."""
        if any(number not in self._sets for number in _SETS[self.codec]):
            return b""
        return _avc(*(self._sets[n] for n in (7, 8))) if self.codec == "h264" else _hevc(self._sets)


def _avc(sequence: list[bytes], picture: list[bytes]) -> bytes:
    first = sequence[0]
    made = bytearray((1, first[1], first[2], first[3], 0xFF, 0xE0 | len(sequence)))
    for unit in sequence:
        made += len(unit).to_bytes(2, "big") + unit
    made.append(len(picture))
    for unit in picture:
        made += len(unit).to_bytes(2, "big") + unit
    if first[1] in (100, 110, 122, 144):
        chroma, luma, colour = _depths(first)
        made += bytes((0xFC | chroma, 0xF8 | luma, 0xF8 | colour, 0))
    return bytes(made)


def _depths(sequence: bytes) -> tuple[int, int, int]:
    """Chroma format and bit depths (less 8) of a high profile's parameter set."""
    bits = _Bits(sequence[4:])
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    return chroma, bits.golomb(), bits.golomb()


def _hevc(sets: dict[int, list[bytes]]) -> bytes:
    """What a profile says stands at a fixed place of the sequence's set; the rest is left open."""
    sequence = sets[33][0]
    plain = _Bits.unescaped(sequence)
    made = bytearray((1,))
    made += plain[3:15]
    made += bytes((0xF0, 0x00, 0xFC))
    chroma, luma, colour = _hevc_depths(plain)
    made += bytes((0xFC | chroma, 0xF8 | luma, 0xF8 | colour, 0, 0, 0x0F, len(sets)))
    for number in (32, 33, 34):
        made += bytes((0x80 | number,)) + len(sets[number]).to_bytes(2, "big")
        for unit in sets[number]:
            made += len(unit).to_bytes(2, "big") + unit
    return bytes(made)


def _hevc_depths(plain: bytes) -> tuple[int, int, int]:
    layers = (plain[2] >> 1) & 7
    bits = _Bits(plain[15:], raw=True)
    flags = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in flags:
        bits.take((88 if profile else 0) + (8 if level else 0))
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb()
    bits.golomb()
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    return chroma, bits.golomb(), bits.golomb()


class _Bits:
    """Raises ValueError behind the end."""

    def __init__(self, data: bytes, *, raw: bool = False) -> None:
        self._value = int.from_bytes(data if raw else self.unescaped(data), "big")
        self._left = 8 * len(data if raw else self.unescaped(data))

    @staticmethod
    def unescaped(data: bytes) -> bytes:
        return data.replace(b"\0\0\3", b"\0\0")

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("a parameter set is cut off")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("a parameter set is damaged")
        return (1 << zeros | self.take(zeros)) - 1
