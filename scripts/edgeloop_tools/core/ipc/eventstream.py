"""The `application/vnd.amazon.eventstream` framing: prelude, typed headers, payload, two CRC-32.

Layout (big endian): total length u32, headers length u32, CRC-32 of these 8 bytes; headers; payload; CRC-32 of all
that precedes it. A header is a u8 length and its name, a u8 type, and the value.
Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from zlib import crc32

PRELUDE = 12
OVERHEAD = PRELUDE + 4
MAX_HEADERS = 128 * 1024
MAX_MESSAGE = 16 * 1024 * 1024

_FIXED = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")
_PRELUDE = struct.Struct(">III")

HeaderValue = bool | int | str | bytes


class FramingError(Exception):
    """Bytes that are no event-stream message; the connection they came on cannot go on."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Of headers named twice the first counts.

    >>> frame = encode({":message-type": 4, "a": "ü"}, b"{}")
    >>> next(Decoder().feed(frame))
    Message(headers={':message-type': 4, 'a': 'ü'}, payload=b'{}')
    """

    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """One frame; integers become int32."""
    return frame(b"".join(encode_header(name, value) for name, value in headers.items()), payload)


def encode_header(name: str, value: HeaderValue) -> bytes:
    key = name.encode()
    start = bytes((len(key),)) + key
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return start + b"\x04" + _FIXED[4].pack(value)
    data, kind = (value.encode(), b"\x07") if isinstance(value, str) else (value, b"\x06")
    return start + kind + _U16.pack(len(data)) + data


def frame(headers: bytes, payload: bytes) -> bytes:
    """A frame from headers already encoded."""
    lengths = _LENGTHS.pack(OVERHEAD + len(headers) + len(payload), len(headers))
    prelude_crc = _U32.pack(crc32(lengths))
    crc = crc32(payload, crc32(headers, crc32(prelude_crc, crc32(lengths))))
    return b"".join((lengths, prelude_crc, headers, payload, _U32.pack(crc)))


def decode_headers(data: bytes) -> dict[str, HeaderValue]:
    """The header block of a frame; FramingError if it is malformed."""
    headers: dict[str, HeaderValue] = {}
    position, end = 0, len(data)
    try:
        while position < end:
            size = data[position]
            position += 1
            if not size or position + size >= end:
                raise FramingError("a header name is empty or runs over the end")
            name = data[position : position + size].decode()
            position += size
            kind = data[position]
            position += 1
            value: HeaderValue
            if kind == 7 or kind == 6:
                size = _U16.unpack_from(data, position)[0]
                position += 2
                if position + size > end:
                    raise FramingError(f"header {name!r} runs over the end")
                raw = data[position : position + size]
                value = raw.decode() if kind == 7 else raw
                position += size
            elif kind in _FIXED:
                value = _FIXED[kind].unpack_from(data, position)[0]
                position += _FIXED[kind].size
            elif kind <= 1:
                value = kind == 0
            elif kind == 9:
                value = data[position : position + 16]
                position += 16
                if position > end:
                    raise FramingError(f"header {name!r} runs over the end")
            else:
                raise FramingError(f"header {name!r} is of unknown type {kind}")
            headers.setdefault(name, value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise FramingError("malformed headers") from error
    return headers


class Decoder:
    """Cuts a byte stream into messages. `limit` bounds a message without its prelude, in bytes.

    Holds at most one message and what came with it; after a FramingError the stream is lost.
    """

    __slots__ = ("_buffer", "limit")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self.limit = limit

    @property
    def pending(self) -> int:
        """Bytes received and not yet given out."""
        return len(self._buffer)

    def extend(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Message | None:
        """The next whole message, or None if bytes are missing; FramingError."""
        buffer = self._buffer
        if len(buffer) < PRELUDE:
            return None
        total, headers_size, prelude_crc = _PRELUDE.unpack_from(buffer)
        if crc32(buffer[:8]) != prelude_crc:
            raise FramingError("the prelude's checksum does not match")
        if total < OVERHEAD or headers_size > min(total - OVERHEAD, MAX_HEADERS):
            raise FramingError("impossible lengths")
        if total - PRELUDE > self.limit:
            raise FramingError(f"a message of {total} bytes, {self.limit + PRELUDE} are allowed")
        if len(buffer) < total:
            return None
        data = bytes(buffer[:total])
        del buffer[:total]
        if crc32(memoryview(data)[:-4]) != _U32.unpack_from(data, total - 4)[0]:
            raise FramingError("the message's checksum does not match")
        end = PRELUDE + headers_size
        return Message(decode_headers(data[PRELUDE:end]), data[end:-4])

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes, give the messages that are whole."""
        self.extend(data)
        while (message := self.next()) is not None:
            yield message
