"""Matroska as PutMedia takes it: one track, each fragment a cluster that begins with a key frame."""

from __future__ import annotations

from typing import Final

from video_upload.packets.fragment import Fragment

MS: Final = 1_000_000
CODECS: Final = {"h264": "V_MPEG4/ISO/AVC", "hevc": "V_MPEGH/ISO/HEVC"}
_UNKNOWN: Final = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_REACH: Final = 0x7FFF
"""ms from a cluster's time to its last frame's."""


def header(fragment: Fragment, title: str = "edgeloop") -> bytes:
    """What a stream begins with."""
    head = _element(
        0x1A45DFA3,
        _number(0x4286, 1) + _number(0x42F7, 1) + _number(0x42F2, 4) + _number(0x42F3, 8)
        + _element(0x4282, b"matroska") + _number(0x4287, 2) + _number(0x4285, 2),
    )  # fmt: skip
    info = _element(
        0x1549A966, _number(0x2AD7B1, MS) + _element(0x4D80, b"edgeloop") + _element(0x5741, b"edgeloop")
    )
    video = _element(0xE0, _number(0xB0, fragment.width) + _number(0xBA, fragment.height))
    track = _element(
        0xAE,
        _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _element(0x536E, title.encode())
        + _element(0x86, CODECS[fragment.codec].encode()) + _element(0x63A2, fragment.private) + video,
    )  # fmt: skip
    return head + _id(0x18538067) + _UNKNOWN + info + _element(0x1654AE6B, track)


def timecode(fragment: Fragment) -> int:
    """Of the fragment's cluster: ms since 1970."""
    return fragment.begin // MS


def cluster(fragment: Fragment) -> bytes:
    """Raises ValueError where it is longer than a cluster can be."""
    base = timecode(fragment)
    parts = [_number(0xE7, base)]
    for frame in fragment.frames:
        offset = frame.time // MS - base
        if not 0 <= offset <= _REACH:
            raise ValueError(f"a fragment of {offset / 1000:.0f} s")
        block = b"\x81" + offset.to_bytes(2, "big") + (b"\x80" if frame.key else b"\0")
        parts.append(_id(0xA3) + _size(len(block) + len(frame.data)) + block + frame.data)
    body = b"".join(parts)
    return _id(0x1F43B675) + _size(len(body)) + body


def _id(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _size(length: int) -> bytes:
    for width in range(1, 9):
        if length < (1 << 7 * width) - 1:
            return (length | 1 << 7 * width).to_bytes(width, "big")
    raise ValueError("too large")


def _element(number: int, body: bytes) -> bytes:
    return _id(number) + _size(len(body)) + body


def _number(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
