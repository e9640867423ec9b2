"""Frames of the Stream Manager protocol, version 1.1.0, as `stream_manager.streammanagerclient` speaks it.

A frame is a big-endian int32 (the length of what follows), an int8 (the operation) and a CBOR map. Before its first
frame each side sends one byte, the connect version.
"""

from __future__ import annotations

import asyncio
import enum
import struct
from collections.abc import Mapping
from typing import Any

import cbor2

CONNECT_VERSION = 1
PROTOCOL_VERSIONS = ("1.1.0", "1.0.0")
SERVER_VERSION = "2.1.0"

FRAME_LIMIT = 64 << 20
"""Bytes of the longest frame (AWS's client allows itself 1 GiB)."""

CONNECT_LIMIT = 64 << 10
"""Bytes of the longest frame of a client that has not shown its token."""

_HEAD = struct.Struct(">ib")


class Operation(enum.IntEnum):
    UNKNOWN = 0
    CONNECT = 1
    CREATE_MESSAGE_STREAM = 2
    DELETE_MESSAGE_STREAM = 3
    APPEND_MESSAGE = 4
    READ_MESSAGES = 5
    CONNECT_RESPONSE = 6
    CREATE_MESSAGE_STREAM_RESPONSE = 7
    DELETE_MESSAGE_STREAM_RESPONSE = 8
    APPEND_MESSAGE_RESPONSE = 9
    READ_MESSAGES_RESPONSE = 10
    LIST_STREAMS = 11
    LIST_STREAMS_RESPONSE = 12
    DESCRIBE_MESSAGE_STREAM = 13
    DESCRIBE_MESSAGE_STREAM_RESPONSE = 14
    UPDATE_MESSAGE_STREAM = 15
    UPDATE_MESSAGE_STREAM_RESPONSE = 16
    UNKNOWN_OPERATION_ERROR = 17


RESPONSES: Mapping[int, Operation] = {
    Operation.CREATE_MESSAGE_STREAM: Operation.CREATE_MESSAGE_STREAM_RESPONSE,
    Operation.DELETE_MESSAGE_STREAM: Operation.DELETE_MESSAGE_STREAM_RESPONSE,
    Operation.APPEND_MESSAGE: Operation.APPEND_MESSAGE_RESPONSE,
    Operation.READ_MESSAGES: Operation.READ_MESSAGES_RESPONSE,
    Operation.LIST_STREAMS: Operation.LIST_STREAMS_RESPONSE,
    Operation.DESCRIBE_MESSAGE_STREAM: Operation.DESCRIBE_MESSAGE_STREAM_RESPONSE,
    Operation.UPDATE_MESSAGE_STREAM: Operation.UPDATE_MESSAGE_STREAM_RESPONSE,
}


class ResponseStatus(enum.IntEnum):
    SUCCESS = 0
    UNKNOWN_FAILURE = 1
    UNAUTHORIZED = 2
    INVALID_REQUEST = 3
    REQUEST_PAYLOAD_TOO_LARGE = 4
    RESOURCE_NOT_FOUND = 5
    SERVER_TIMEOUT = 6
    RESPONSE_PAYLOAD_TOO_LARGE = 7
    UNSUPPORTED_CONNECT_VERSION = 8
    UNEXPECTED_OPERATION = 9
    UNSUPPORTED_PROTOCOL_VERSION = 10
    INVALID_PROTOCOL_VERSION = 11
    FAILED_TO_CONNECT = 12
    NOT_ENOUGH_MESSAGES = 13
    MESSAGE_STORE_READ_ERROR = 14
    OUT_OF_MEMORY_ERROR = 15
    UPDATE_FAILED = 16
    UPDATE_NOT_ALLOWED = 17
    UNKNOWN_OPERATION = 18


class StreamManagerError(Exception):
    """A request is refused: what the client's exception says."""

    def __init__(self, status: ResponseStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(Exception):
    """The peer does not speak the protocol: the connection ends."""


async def read_frame(reader: asyncio.StreamReader, limit: int) -> tuple[int, bytes]:
    """Operation and payload. Raises ProtocolError; asyncio.IncompleteReadError where the stream ends."""
    length, operation = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if not 1 <= length <= limit:
        raise ProtocolError(f"a frame of {length} bytes (the limit is {limit})")
    return operation, await reader.readexactly(length - 1)


def frame(operation: int, payload: Mapping[str, Any]) -> bytes:
    """
    >>> frame(Operation.LIST_STREAMS, {"requestId": "a"}).hex()
    '0000000e0ba1697265717565737449646161'
    """
    body = cbor2.dumps(payload)
    return _HEAD.pack(len(body) + 1, operation) + body


def decode(payload: bytes) -> dict[str, Any]:
    """The map of a frame. Raises ProtocolError."""
    try:
        value = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise ProtocolError(f"no CBOR: {type(error).__name__}: {error}") from None
    except MemoryError:
        raise ProtocolError("no CBOR: it claims more than there is memory") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"a {type(value).__name__} where a map belongs")
    return value
