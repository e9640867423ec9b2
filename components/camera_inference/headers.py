"""What the first bytes of a picture's file say, before anything is decoded.

Sources: ITU-T T.81 (JPEG), PNG 1.2 and its APNG extension, GIF89a, RFC 9649 (WebP), ISO/IEC 23008-12 (AVIF), TIFF 6.0.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from edgeloop.errors import EdgeloopError

_NO_MARKER = frozenset((0x00, *range(0xD0, 0xD8), 0xFF))
"""What follows 0xFF within a scan."""
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = {0xC0: False, 0xC1: False, 0xC2: True}
"""Marker of a JPEG's frame: whether it is progressive."""
_APNG, _TRANSPARENT = b"acTL", b"tRNS"


@dataclass(slots=True)
class Header:
    """width, height: pixels, before any rotation. bits: of one value. alpha: whether there may be transparency.
    pictures: in the file, as far as is known. doubt: whether rows may be missing although the file has its end (JPEG).
    scans: whether the picture comes as a coarse one first. end: bytes up to its end mark; −1: that is missing."""

    form: str
    width: int
    height: int
    bits: int = 8
    alpha: bool = False
    pictures: int = 1
    doubt: bool = False
    scans: bool = False
    end: int = 0
    rotated: bool = False
    refused: str = ""
    _scans: list[bytes] = field(default_factory=list)


def header(data: bytes, where: str) -> Header:
    """Raises EdgeloopError for what is no picture, and for one that is cut off."""
    try:
        found = _sniff(data)
    except (struct.error, IndexError, ValueError):
        raise _cut(where) from None
    if found is None:
        raise EdgeloopError("this is no image", where=where, why=f"{len(data):,} B")
    if found.end < 0:
        raise _cut(where)
    return found


def _cut(where: str) -> EdgeloopError:
    return EdgeloopError("the image is cut off", where=where, mend="write it under another name, then rename it")


def _sniff(data: bytes) -> Header | None:
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1"):
        return _avif(data)
    if data.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        size = struct.unpack_from("<I", data, 2)[0]
        alpha = struct.unpack_from("<H", data, 28)[0] == 32
        return Header("BMP", abs(width), abs(height), alpha=alpha, end=-1 if size > len(data) else 0)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(data)
    if data[:1] == b"P" and data[1:2] in b"2356" and len(data) > 2:
        return _netpbm(data)
    return None


def _jpeg(data: bytes) -> Header:
    """Walks the markers to the end of the picture; a scan ends at the first marker that is none of its own."""
    found = Header("JPEG", 0, 0)
    at, interval, blocks, progressive = 2, 0, 0, False
    while True:
        at = _marker(data, at)
        if at < 0:
            found.end = -1
            return found
        marker, at = data[at + 1], at + 2
        if marker == 0xD9:
            if not found.width or not found._scans:
                found.end = -1
                return found
            found.end = at
            break
        length = struct.unpack_from(">H", data, at)[0]
        part = data[at + 2 : at + length]
        if marker in _FRAMES or (0xC3 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            found.bits, found.height, found.width = struct.unpack_from(">BHH", part)
            progressive = _FRAMES.get(marker, False)
            if marker not in _FRAMES:
                found.refused = "lossless and arithmetic JPEG"
            factors = [part[7 + 3 * k] for k in range(part[5])]
            across = 8 * max(f >> 4 for f in factors) if len(factors) > 1 else 8
            down = 8 * max(f & 15 for f in factors) if len(factors) > 1 else 8
            blocks = -(-found.width // across) * -(-found.height // down)
        elif marker == 0xDD:
            interval = struct.unpack_from(">H", part)[0]
        elif marker == 0xE1 and part.startswith(b"Exif"):
            found.rotated = True
        elif marker == 0xDA:
            found._scans.append(part)
            if interval and not progressive:
                begin = at + length
                following = _marker(data, begin)
                stop = following if following >= 0 else len(data)
                if len(_RESTART.findall(data, begin, stop)) < -(-blocks // interval) - 1:
                    found.end = -1
                    return found
        at += length
    found.doubt, found.scans = True, progressive
    if progressive and not _refined(found._scans):
        found.end = -1
    return found


def _marker(data: bytes, at: int) -> int:
    """Where the next marker begins; -1: nowhere."""
    last = len(data) - 1
    while 0 <= (at := data.find(b"\xff", at)) < last:
        if data[at + 1] not in _NO_MARKER:
            return at
        at += 1
    return -1


def _refined(scans: list[bytes]) -> bool:
    """Whether the scans of a progressive JPEG bring all coefficients of each component to their last bit."""
    left: dict[int, list[int]] = {}
    for scan in scans:
        count = scan[0]
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        for k in range(count):
            bits = left.setdefault(scan[1 + 2 * k], [16] * 64)
            bits[first : last + 1] = [low] * (last + 1 - first)
    return all(not any(bits) for bits in left.values())


def _png(data: bytes) -> Header:
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    found = Header("PNG", width, height, bits=bits, alpha=colour in (4, 6), end=-1)
    at = 8
    while at + 8 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        kind = data[at + 4 : at + 8]
        if kind == _TRANSPARENT:
            found.alpha = True
        elif kind == _APNG:
            found.pictures = struct.unpack_from(">I", data, at + 8)[0]
        at += 12 + length
        if kind == b"IEND":
            found.end = at if at <= len(data) else -1
            break
    return found


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    found = Header("GIF", width, height, pictures=0, end=-1)
    at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    while True:
        kind = data[at]
        if kind == 0x3B:
            found.end = at + 1
            return found
        if kind == 0x2C:
            found.pictures += 1
            local = data[at + 9]
            at += 11 + (3 << (local & 7) + 1 if local & 128 else 0)
        elif kind == 0x21:
            found.alpha = found.alpha or (data[at + 1] == 0xF9 and bool(data[at + 3] & 1))
            at += 2
        else:
            return found
        while size := data[at]:
            at += 1 + size
        at += 1


def _webp(data: bytes) -> Header:
    found = Header("WebP", 0, 0, end=-1 if struct.unpack_from("<I", data, 4)[0] + 8 > len(data) else 0)
    kind = data[12:16]
    if kind == b"VP8X":
        flags = data[20]
        found.alpha, found.rotated = bool(flags & 0x10), bool(flags & 0x08)
        found.pictures = max(1, data.count(b"ANMF")) if flags & 0x02 else 1
        found.width = 1 + int.from_bytes(data[24:27], "little")
        found.height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        found.width, found.height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        found.alpha = bool(packed >> 28 & 1)
    else:
        width, height = struct.unpack_from("<HH", data, 26)
        found.width, found.height = width & 0x3FFF, height & 0x3FFF
    return found


def _avif(data: bytes) -> Header:
    place = data.index(b"ispe")
    width, height = struct.unpack_from(">II", data, place + 8)
    found = Header("AVIF", width, height, alpha=b"auxid:1" in data or b"auxiliary:alpha" in data)
    found.pictures = 2 if data[8:12] == b"avis" else 1
    if b"irot" in data or b"imir" in data:
        found.refused = "AVIF with a rotation"
    at = 0
    while at < len(data):
        size = struct.unpack_from(">I", data, at)[0]
        size = struct.unpack_from(">Q", data, at + 8)[0] if size == 1 else size or len(data) - at
        at += max(8, size)
    found.end = -1 if at > len(data) else 0
    return found


def _tiff(data: bytes) -> Header:
    order = "<" if data[:2] == b"II" else ">"
    place = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, place)[0]
    tags: dict[int, int] = {}
    for k in range(count):
        tag, kind, number, value = struct.unpack_from(order + "HHII", data, place + 2 + 12 * k)
        if kind == 3:
            at = place + 10 + 12 * k if number <= 2 else value
            value = struct.unpack_from(order + "H", data, at)[0]
        tags[tag] = value
    more = struct.unpack_from(order + "I", data, place + 2 + 12 * count)[0]
    found = Header("TIFF", tags.get(256, 0), tags.get(257, 0), bits=tags.get(258, 1), alpha=338 in tags)
    found.pictures = 2 if more else 1
    if tags.get(339, 1) == 3 or found.bits > 16:
        found.refused = "TIFF with floating-point values"
    if tags.get(262) == 5:
        found.refused = "TIFF in CMYK"
    return found


def _netpbm(data: bytes) -> Header:
    words: list[bytes] = []
    for line in data[: 1 << 12].split(b"\n"):
        words += line.partition(b"#")[0].split()
        if len(words) >= 4:
            break
    largest = int(words[3])
    return Header("Netpbm", int(words[1]), int(words[2]), bits=16 if largest > 255 else 8)
