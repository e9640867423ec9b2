"""This component's configuration from the nucleus, over its IPC socket, with the standard library alone.

Event-stream RPC: CONNECT with the token, then GetConfiguration of everything. What serves it: `edgeloop.bus` is for
where packages are. Source of the framing: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
import zlib
from typing import Any

from edgeloop.errors import BusError

SOCKET = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
TOKEN = "SVCUID"
LARGEST = 1 << 20
"""Bytes of one message: a configuration is far smaller."""
APPLICATION, ERROR, CONNECT, CONNECT_ACK = 0, 1, 4, 5
ACCEPTED = 1
OPERATION = "aws.greengrass#GetConfiguration"


def there() -> bool:
    """Whether a nucleus started this process."""
    return bool(os.environ.get(TOKEN) and os.environ.get(SOCKET))


def configuration(timeout: float) -> dict[str, Any]:
    """The component's own configuration, {} where it has none. Raises BusError within about `timeout` seconds."""
    until = time.monotonic() + timeout
    last = "no answer"
    while time.monotonic() < until:
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(max(0.1, min(5.0, until - time.monotonic())))
                link.connect(os.environ.get(SOCKET, ""))
                return _asked(link)
        except OSError as error:
            last = error.strerror or str(error) or "no answer"
        time.sleep(max(0.0, min(0.5, until - time.monotonic())))
    raise BusError("the nucleus does not give the configuration", where=os.environ.get(SOCKET, ""), why=last)


def _asked(link: socket.socket) -> dict[str, Any]:
    token = {"authToken": os.environ.get(TOKEN, "")}
    link.sendall(_frame({":message-type": CONNECT, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"}, token))
    headers, _ = _read(link)
    if headers.get(":message-type") != CONNECT_ACK or not headers.get(":message-flags", 0) & ACCEPTED:
        raise BusError("the nucleus refuses this component's token")
    request: dict[str, int | str] = {
        ":message-type": APPLICATION, ":message-flags": 0, ":stream-id": 1, "operation": OPERATION,
        ":content-type": "application/json", "service-model-type": f"{OPERATION}Request",
    }  # fmt: skip
    link.sendall(_frame(request, {"keyPath": []}))
    while True:
        headers, payload = _read(link)
        if headers.get(":stream-id") == 1:
            break
    try:
        answer = json.loads(payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise BusError("the nucleus's answer is no JSON", why=str(error)) from error
    if headers.get(":message-type") != APPLICATION:
        code = str(answer.get("_errorCode", ""))
        if code.endswith("ResourceNotFoundError"):
            return {}
        raise BusError("the nucleus does not give the configuration", why=str(answer.get("_message") or code))
    value = answer.get("value")
    return value if isinstance(value, dict) else {}


def _frame(headers: dict[str, int | str], document: dict[str, Any]) -> bytes:
    block, payload = b"".join(_header(*item) for item in headers.items()), json.dumps(document).encode()
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _header(name: str, value: int | str) -> bytes:
    start = bytes((len(name),)) + name.encode()
    if isinstance(value, int):
        return start + b"\x04" + struct.pack(">i", value)
    return start + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def _read(link: socket.socket) -> tuple[dict[str, Any], bytes]:
    prelude = _exactly(link, 12)
    total, size, check = struct.unpack(">III", prelude)
    if zlib.crc32(prelude[:8]) != check or not 16 + size <= total <= LARGEST:
        raise BusError("the nucleus's answer is no event-stream message")
    rest = _exactly(link, total - 12)
    if zlib.crc32(prelude + rest[:-4]) != struct.unpack(">I", rest[-4:])[0]:
        raise BusError("the nucleus's answer was damaged")
    return _headers(rest[:size]), rest[size:-4]


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the nucleus closed the connection")
        data += part
    return data


_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


def _headers(data: bytes) -> dict[str, Any]:
    """Integers and texts; values of other types are passed over."""
    found: dict[str, Any] = {}
    at = 0
    try:
        while at < len(data):
            name = data[at + 1 : at + 1 + data[at]].decode()
            at += 1 + data[at]
            kind = data[at]
            at += 1
            if kind in (6, 7):
                size = int.from_bytes(data[at : at + 2], "big")
                at += 2
                if kind == 7:
                    found[name] = data[at : at + size].decode()
            else:
                size = _SIZES[kind]
                if kind == 4:
                    found[name] = struct.unpack_from(">i", data, at)[0]
            at += size
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise BusError("the nucleus's answer has malformed headers") from error
    return found
