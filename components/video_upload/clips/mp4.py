"""Fragmented MP4 (ISO/IEC 14496-12): one track, a fragment for each of the ring's."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from video_upload.packets.fragment import Fragment

SCALE: Final = 90_000
_NS: Final = 1_000_000_000
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_EPOCH: Final = 2_082_844_800
"""s from 1904, where MP4 counts from, to 1970."""


def clip(fragments: Iterable[Fragment], duration: int) -> Iterator[bytes]:
    """Of fragments of one kind, oldest first, one of them in memory at a time and the next. duration: ns, of all."""
    zero, number = 0, 0
    last: Fragment | None = None
    for fragment in fragments:
        if last is None:
            zero = min(frame.decode for frame in fragment.frames)
            yield _begin(fragment, _ticks(duration))
        else:
            number += 1
            yield _fragment(last, number, zero, fragment.frames[0].decode)
        last = fragment
    if last is not None:
        yield _fragment(last, number + 1, zero, None)


def _begin(first: Fragment, duration: int) -> bytes:
    kind = b"avc1" if first.codec == "h264" else b"hvc1"
    made = first.begin // _NS + _EPOCH
    config = _box(b"avcC" if first.codec == "h264" else b"hvcC", first.private)
    entry = (
        bytes(6) + struct.pack(">H", 1) + bytes(16)
        + struct.pack(">HHIII", first.width, first.height, 0x480000, 0x480000, 0)
        + struct.pack(">H", 1) + bytes(32) + struct.pack(">Hh", 24, -1) + config
    )  # fmt: skip
    table = (
        _full(b"stsd", 0, 0, struct.pack(">I", 1) + _box(kind, entry))
        + _full(b"stts", 0, 0, bytes(4)) + _full(b"stsc", 0, 0, bytes(4)) + _full(b"stsz", 0, 0, bytes(8))
        + _full(b"stco", 0, 0, bytes(4))
    )  # fmt: skip
    data = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1) + _full(b"url ", 0, 1, b"")))
    media = _box(
        b"mdia",
        _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", made, made, SCALE, duration, 0x55C4, 0))
        + _full(b"hdlr", 0, 0, bytes(4) + b"vide" + bytes(12) + b"edgeloop\0")
        + _box(b"minf", _full(b"vmhd", 0, 1, bytes(8)) + data + _box(b"stbl", table)),
    )  # fmt: skip
    header = struct.pack(">QQIIQ", made, made, 1, 0, duration) + bytes(8) + struct.pack(">hhhH", 0, 0, 0, 0) + _MATRIX
    track = _box(
        b"trak", _full(b"tkhd", 1, 3, header + struct.pack(">II", first.width << 16, first.height << 16)) + media
    )
    movie = struct.pack(">QQIQ", made, made, SCALE, duration) + struct.pack(">Ih", 0x10000, 0x100) + bytes(10) + _MATRIX
    whole = _full(b"mehd", 1, 0, struct.pack(">Q", duration))
    extends = _box(b"mvex", whole + _full(b"trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
    top = _box(b"moov", _full(b"mvhd", 1, 0, movie + bytes(24) + struct.pack(">I", 2)) + track + extends)
    return _box(b"ftyp", b"isom" + struct.pack(">I", 0x200) + b"isomiso6" + kind + b"mp41") + top


def _fragment(fragment: Fragment, number: int, zero: int, follower: int | None) -> bytes:
    frames = fragment.frames
    decode = [_ticks(frame.decode - zero) for frame in frames]
    usual = max(1, (decode[-1] - decode[0]) // (len(decode) - 1)) if len(decode) > 1 else SCALE // 30
    end = _ticks(follower - zero) if follower is not None else decode[-1] + usual
    if not decode[-1] < end <= decode[-1] + 10 * SCALE:
        end = decode[-1] + usual
    rows = bytearray()
    for k, frame in enumerate(frames):
        span = max(1, (decode[k + 1] if k + 1 < len(frames) else end) - decode[k])
        flags = 0x02000000 if frame.key else 0x01010000
        rows += struct.pack(">IIIi", span, len(frame.data), flags, _ticks(frame.time - zero) - decode[k])
    head = _full(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
    head += _full(b"tfdt", 1, 0, struct.pack(">Q", max(0, decode[0])))
    length = 8 + 16 + 8 + len(head) + 12 + 8 + len(rows)
    run = _full(b"trun", 1, 0x000F01, struct.pack(">Ii", len(frames), length + 8) + rows)
    moof = _box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", number)) + _box(b"traf", head + run))
    return moof + _box(b"mdat", b"".join(frame.data for frame in frames))


def _ticks(ns: int) -> int:
    return round(ns * SCALE / _NS)


def _box(name: bytes, body: bytes | bytearray) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + bytes(body)


def _full(name: bytes, version: int, flags: int, body: bytes | bytearray) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags) + bytes(body))
