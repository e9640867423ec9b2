"""A new token from nucleus lite, as its own runner gets one.

After ggipcd was started again it knows no token. It gives a component's to whoever connects with the component's name
out of the component's own unit. The classic nucleus knows no such thing and refuses.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path
from typing import Final
from zlib import crc32

_VERSION, _CONNECT, _ACK, _ACCEPTED = "0.1.0", 4, 5, 1
_PRELUDE: Final = struct.Struct(">III")
_LARGEST: Final = 16_384
_STRING, _INTEGER = 7, 4


def renew(path: Path, component: str, timeout: float) -> str:
    """The token; "" where the nucleus gives none, or does not answer within `timeout` seconds."""
    end = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(_message(json.dumps({"componentName": component}).encode()))
            headers = _headers(connection, end)
    except (OSError, ValueError, struct.error):
        return ""
    accepted = headers.get(":message-type") == _ACK and headers.get(":message-flags") == _ACCEPTED
    token = headers.get("svcuid")
    return token if accepted and isinstance(token, str) else ""


def _message(payload: bytes) -> bytes:
    numbers = {":message-type": _CONNECT, ":message-flags": 0, ":stream-id": 0}
    headers = b"".join(_name(name) + struct.pack(">Bi", _INTEGER, value) for name, value in numbers.items())
    headers += _name(":version") + struct.pack(">BH", _STRING, len(_VERSION)) + _VERSION.encode()
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    start = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def _name(name: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode()


def _headers(connection: socket.socket, end: float) -> dict[str, str | int]:
    """Of one message. Raises OSError or ValueError."""
    total, length, checksum = _PRELUDE.unpack(_exactly(connection, _PRELUDE.size, end))
    if not _PRELUDE.size + length + 4 <= total <= _LARGEST or checksum != crc32(struct.pack(">II", total, length)):
        raise ValueError("no event stream")
    data = _exactly(connection, total - _PRELUDE.size, end)[:length]
    found: dict[str, str | int] = {}
    at = 0
    while at < length:
        size = data[at]
        name = data[at + 1 : at + 1 + size].decode()
        at += 1 + size
        kind = data[at]
        at += 1
        if kind == _INTEGER:
            (found[name],) = struct.unpack_from(">i", data, at)
            at += 4
        elif kind == _STRING:
            (size,) = struct.unpack_from(">H", data, at)
            found[name] = data[at + 2 : at + 2 + size].decode()
            at += 2 + size
        else:
            raise ValueError(f"a header of type {kind}")
    return found


def _exactly(connection: socket.socket, size: int, end: float) -> bytes:
    data = b""
    while len(data) < size:
        connection.settimeout(max(0.01, end - time.monotonic()))
        part = connection.recv(size - len(data))
        if not part:
            raise ValueError("the nucleus ended the connection")
        data += part
    return data
