"""Registers to values and back (Modbus Application Protocol V1.1b3, section 4.2: a register is big-endian)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from edgeloop.errors import EdgeloopError
from sensor_ingest.sources.modbus.tags import Tag

FORMATS = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
    "float16": ">e", "float32": ">f", "float64": ">d",
}  # fmt: skip
RANGES = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits in (8, 16, 32, 48, 64) for sign in ("", "u")
}  # fmt: skip
LARGEST = {"float16": 65504.0, "float32": 3.4028234663852886e38}


def pack(registers: Sequence[int]) -> bytes:
    """Registers as they were on the wire."""
    return struct.pack(f">{len(registers)}H", *registers)


def ordered(octets: bytes, little: bool, swapped: bool) -> bytes:
    """To big-endian, or from it: both word order and byte order are undone by doing them again.

    >>> [ordered(b"ABCD", *order) for order in ((False, False), (True, False), (False, True), (True, True))]
    [b'ABCD', b'CDAB', b'BADC', b'DCBA']
    """
    if little:
        octets = octets[::-1]
    if little != swapped:
        turned = bytearray(octets)
        turned[0::2], turned[1::2] = octets[1::2], octets[0::2]
        octets = bytes(turned)
    return octets


def raw(tag: Tag, octets: bytes, little: bool) -> int:
    """The bits of a numeric tag. octets: its registers as on the wire."""
    whole = int.from_bytes(ordered(octets, little, tag.swapped), "big")
    if tag.half:
        return whole >> 8 if tag.half == "hi" else whole & 0xFF
    return whole if tag.bit is None else whole >> tag.bit & ((1 << tag.width) - 1)


def number(tag: Tag, octets: bytes, little: bool) -> float:
    """The physical value of a numeric tag; NaN where its bits are one of `none`, or no number (BCD).

    >>> from sensor_ingest.sources.modbus.tags import parse
    >>> rows = ("hr 0 bcd16", "hr 0.lo", "hr 0.8-11", "hr 0 none=0x1234")
    >>> [number(parse("a", row), b"\\x12\\x34", False) for row in rows]
    [1234.0, 52.0, 2.0, nan]
    """
    bits = raw(tag, octets, little)
    if bits in tag.none:
        return math.nan
    if tag.kind.startswith("bcd"):
        digits = f"{bits:x}"
        value: float = int(digits) if digits.isdecimal() else math.nan
    elif tag.kind.startswith("float"):
        value = struct.unpack(FORMATS[tag.kind], bits.to_bytes(len(octets), "big"))[0]
    else:
        low, high = RANGES[tag.kind]
        value = bits - (1 << high.bit_length() + 1) if low < 0 and bits > high else bits
    return float(value * tag.scale + tag.offset)


def code(tag: Tag, octets: bytes) -> int:
    """The code of an enumeration, or the bit of a register."""
    word = int.from_bytes(ordered(octets, False, tag.swapped), "big")
    return word if tag.bit is None else word >> tag.bit & ((1 << tag.width) - 1)


def text(tag: Tag, octets: bytes) -> str:
    """A string: up to the first NUL, without blanks around it."""
    octets = ordered(octets, False, tag.swapped)[: tag.length]
    return octets.partition(b"\0")[0].decode("utf-8", "replace").strip()


def encode(tag: Tag, value: float, little: bool) -> list[int]:
    """The registers that hold a value. Raises EdgeloopError where the type cannot."""
    if not math.isfinite(value):
        raise EdgeloopError(f"{value} cannot be written to {tag.name}")
    if tag.half or tag.width > 1:
        raise EdgeloopError(f"{tag.name} cannot be written", why=f"{tag.where} is a part of a register")
    raw = (value - tag.offset) / tag.scale
    if tag.kind == "enum":
        if value not in {code for code, _ in tag.labels}:
            raise EdgeloopError(f"{value:g} is no code of {tag.name}", mend=f"one of: {_codes(tag)}")
        raw, kind = value, "uint16"
    else:
        kind = tag.kind
    if kind in RANGES:
        low, high = RANGES[kind]
        whole = round(raw) if math.isfinite(raw) else high + 1
        if not low <= whole <= high:
            raise EdgeloopError(f"{value:g} does not fit into {tag.name}", why=f"{tag.where} is {kind}")
        octets = (whole % (1 << 16 * tag.words)).to_bytes(2 * tag.words, "big")
    elif kind.startswith("bcd"):
        whole = round(raw) if math.isfinite(raw) else -1
        if not 0 <= whole < 10 ** (4 * tag.words):
            raise EdgeloopError(f"{value:g} does not fit into {tag.name}", why=f"{tag.where} is {kind}")
        octets = int(str(whole), 16).to_bytes(2 * tag.words, "big")
    else:
        if not abs(raw) <= LARGEST.get(kind, math.inf):
            raise EdgeloopError(f"{value:g} does not fit into {tag.name}", why=f"{tag.where} is {kind}")
        octets = struct.pack(FORMATS[kind], raw)
    octets = ordered(octets, little, tag.swapped)
    return list(struct.unpack(f">{len(octets) // 2}H", octets))


def _codes(tag: Tag) -> str:
    return ", ".join(f"{code} ({label})" for code, label in tag.labels)


def boolean(tag: Tag, value: float) -> bool:
    """Raises EdgeloopError for anything but 0 and 1."""
    if value not in (0, 1):
        raise EdgeloopError(f"{value:g} cannot be written to {tag.name}", why=f"{tag.where} is 0 or 1")
    return bool(value)
