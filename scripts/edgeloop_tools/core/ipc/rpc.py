"""The event-stream RPC protocol: message types, flags, and the frames a server sends.

Source: `awsiot.eventstreamrpc` and nucleus lite's `ggipcd`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import msgspec

from . import eventstream

VERSION = "0.1.0"
SERVICE = "aws.greengrass#"


class Type(IntEnum):
    """The `:message-type` header."""

    APPLICATION_MESSAGE = 0
    APPLICATION_ERROR = 1
    PING = 2
    PING_RESPONSE = 3
    CONNECT = 4
    CONNECT_ACK = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


class Flag(IntFlag):
    """The `:message-flags` header."""

    NONE = 0
    CONNECTION_ACCEPTED = 1
    TERMINATE_STREAM = 2


class Refused(Exception):
    """An operation's modelled error: `code` is its name without the service."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


encoder = msgspec.json.Encoder()
_CONTENT_TYPE = eventstream.encode_header(":content-type", "application/json")
_models: dict[tuple[str, int, int], tuple[bytes, bytes]] = {}


def control(kind: Type, flags: Flag = Flag.NONE, payload: bytes = b"", **headers: str) -> bytes:
    """A message of the connection itself (stream 0)."""
    return eventstream.encode({":message-type": kind, ":message-flags": flags, ":stream-id": 0, **headers}, payload)


def application(
    stream: int, model: str, payload: bytes, *, kind: Type = Type.APPLICATION_MESSAGE, flags: Flag = Flag.NONE
) -> bytes:
    """A response, event or error on a stream; `model` without the service."""
    key = (model, kind, flags)
    parts = _models.get(key)
    if parts is None:
        before = (
            eventstream.encode_header(":message-type", kind)
            + eventstream.encode_header(":message-flags", flags)
            + eventstream.encode_header(":stream-id", 0)[:-4]
        )
        after = _CONTENT_TYPE + eventstream.encode_header("service-model-type", SERVICE + model)
        parts = _models[key] = (before, after)
    before, after = parts
    return eventstream.frame(before + stream.to_bytes(4, "big") + after, payload)


def error(stream: int, code: str, message: str) -> bytes:
    """A modelled error, which ends its stream."""
    body: dict[str, Any] = {"message": message, "_message": message, "_errorCode": code}
    return application(stream, code, encoder.encode(body), kind=Type.APPLICATION_ERROR, flags=Flag.TERMINATE_STREAM)


def terminate(stream: int) -> bytes:
    """The end of a stream, by the server."""
    return eventstream.encode(
        {":message-type": Type.APPLICATION_MESSAGE, ":message-flags": Flag.TERMINATE_STREAM, ":stream-id": stream}
    )
