"""What is around a payload: compression, byte order marks, trailing NULs, encodings of text."""

from __future__ import annotations

import codecs
import importlib
import zlib
from typing import Any, Literal

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from sensor_ingest.payload.errors import BadPayload

LONGEST = 1 << 20
"""Bytes of a payload, also unpacked."""
Compression = Literal["", "none", "gzip", "zlib", "zstd"]
ENCODINGS = (
    "utf-8", "ascii", "latin-1", "cp1252", "cp1250", "cp1251", "cp437", "cp850", "utf-16", "shift_jis", "gb18030",
)  # fmt: skip
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_WIDE = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def unpack(payload: bytes, compression: Compression = "") -> bytes:
    """What is inside; without a word for it, gzip, zlib and zstd are known by their first bytes. Raises BadPayload.

    >>> unpack(zlib.compress(b"21.5")), unpack(b"x^2=4")
    (b'21.5', b'x^2=4')
    """
    if compression == "none":
        return payload
    if compression == "zstd" or (not compression and payload.startswith(_ZSTD)):
        return _bounded(_zstd(payload))
    if compression or payload.startswith(_GZIP):
        return _inflated(payload)
    if payload.startswith(_ZLIB):
        try:
            return _inflated(payload)
        except BadPayload:
            return payload
    return payload


def _inflated(payload: bytes) -> bytes:
    """gzip, in one or several members, or zlib."""
    found = b""
    rest = payload
    try:
        while rest:
            inflater = zlib.decompressobj(wbits=47)
            found += inflater.decompress(rest, LONGEST + 1 - len(found))
            _bounded(found)
            if not inflater.eof:
                raise BadPayload("it is compressed and cut off")
            rest = inflater.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise BadPayload(f"it cannot be decompressed: {error}") from None
    return found


def _zstd(payload: bytes) -> bytes:
    """Python's own from 3.14 on, else its backport."""
    try:
        library: Any = importlib.import_module("compression.zstd")
    except ImportError:
        try:
            library = optional.load("backports.zstd", "a payload packed by zstd")
        except EdgeloopError as error:
            raise BadPayload(str(error)) from None
    try:
        unpacker = library.ZstdDecompressor(options={library.DecompressionParameter.window_log_max: 23})
        found: bytes = unpacker.decompress(payload, LONGEST + 1)
    except (ValueError, EOFError, library.ZstdError) as error:
        raise BadPayload(f"it cannot be decompressed: {error}") from None
    if not unpacker.eof and len(found) <= LONGEST:
        raise BadPayload("it is compressed and cut off")
    return found


def _bounded(found: bytes) -> bytes:
    if len(found) > LONGEST:
        raise BadPayload(f"it unpacks to more than {LONGEST} B")
    return found


def bare(payload: bytes) -> bytes:
    """JSON as UTF-8, without a mark before and NULs behind.

    >>> bare(b"\\xef\\xbb\\xbf21.5\\0"), bare("21.5".encode("utf-16"))
    (b'21.5', b'21.5')
    """
    if payload[:3] == codecs.BOM_UTF8:
        payload = payload[3:]
    elif payload[:2] in (b"\xff\xfe", b"\xfe\xff") or payload[:4] == codecs.BOM_UTF32_BE:
        payload = text(payload).encode()
    return payload.rstrip(b"\0") if payload[-1:] == b"\0" else payload


def text(payload: bytes, encoding: str = "utf-8") -> str:
    """Raises BadPayload."""
    for mark, wide in _WIDE:
        if payload.startswith(mark):
            encoding = wide
            break
    try:
        return payload.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        shown = encoding.upper()
        raise BadPayload(f"it is no {shown} text; say its `encoding`, one of {', '.join(ENCODINGS[2:6])} …") from None
