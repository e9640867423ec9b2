"""What the operations do."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from edgeloop_tools.core.stream_manager.definitions import (
    AppendRequest,
    DefinitionRequest,
    NameRequest,
    ReadOptions,
    ReadRequest,
    convert,
)
from edgeloop_tools.core.stream_manager.protocol import FRAME_LIMIT, Operation, ResponseStatus, StreamManagerError
from edgeloop_tools.core.stream_manager.store import Message, Stream, StreamFull, Streams
from edgeloop_tools.core.stream_manager.store.log import TooLarge

_READ_LIMIT = FRAME_LIMIT - (1 << 20)
"""Bytes of payload in one response."""

_DEFAULT_READ = ReadOptions()

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Operations:
    """`answer` gives the fields of a response; StreamManagerError is a refusal."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._answers: Mapping[int, Answer] = {
            Operation.CREATE_MESSAGE_STREAM: self._create,
            Operation.UPDATE_MESSAGE_STREAM: self._update,
            Operation.DELETE_MESSAGE_STREAM: self._delete,
            Operation.LIST_STREAMS: self._list,
            Operation.DESCRIBE_MESSAGE_STREAM: self._describe,
            Operation.APPEND_MESSAGE: self._append,
            Operation.READ_MESSAGES: self._read,
        }

    async def answer(self, operation: int, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._answers[operation](request)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            if operation == Operation.READ_MESSAGES:
                raise StreamManagerError(ResponseStatus.MESSAGE_STORE_READ_ERROR, why) from None
            full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            what = "no room on the disk of the store" if full else "the store failed"
            raise StreamManagerError(ResponseStatus.UNKNOWN_FAILURE, f"{what}: {why}") from None

    async def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        self._streams.create(convert(request, DefinitionRequest).definition)
        return {}

    async def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        self._streams.update(convert(request, DefinitionRequest).definition)
        return {}

    async def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._streams.delete(convert(request, NameRequest).name)
        return {}

    async def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"streams": self._streams.names}

    async def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        stream = self._streams.get(convert(request, NameRequest).name)
        stream.log.expire(_now())
        return {
            "messageStreamInfo": {
                "definition": stream.definition.wire(),
                "storageStatus": {
                    "oldestSequenceNumber": stream.log.oldest,
                    "newestSequenceNumber": stream.log.newest,
                    "totalBytes": stream.log.total_bytes,
                },
                "exportStatuses": [_present(state) for state in stream.exports.values()],
            }
        }

    async def _append(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = convert(request, AppendRequest)
        stream = self._streams.get(wanted.name)
        try:
            number = stream.append(wanted.payload, _now())
        except TooLarge as error:
            raise StreamManagerError(ResponseStatus.REQUEST_PAYLOAD_TOO_LARGE, str(error)) from None
        except StreamFull as error:
            raise StreamManagerError(ResponseStatus.OUT_OF_MEMORY_ERROR, str(error)) from None
        if stream.definition.flush_on_write:
            await stream.flush()
        return {"sequenceNumber": number}

    async def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = convert(request, ReadRequest)
        options = wanted.read_messages_options or _DEFAULT_READ
        maximum = options.max_message_count or options.min_message_count
        if options.min_message_count > maximum:
            raise StreamManagerError(ResponseStatus.INVALID_REQUEST, "minMessageCount is larger than maxMessageCount")
        stream = self._streams.get(wanted.stream_name)
        await self._wait(stream, options)
        messages = _take(stream, options.desired_start_sequence_number, options.min_message_count, maximum)
        return {
            "messages": [
                {
                    "streamName": wanted.stream_name,
                    "sequenceNumber": message.sequence_number,
                    "ingestTime": message.ingest_time,
                    "payload": message.payload,
                }
                for message in messages
            ]
        }

    async def _wait(self, stream: Stream, options: ReadOptions) -> None:
        start, wanted = options.desired_start_sequence_number, options.min_message_count
        try:
            async with asyncio.timeout(options.read_timeout_millis / 1000):
                while stream.log.available(start) < wanted:
                    await stream.change()
                    self._streams.get(stream.definition.name)
        except TimeoutError:
            there = stream.log.available(start)
            raise StreamManagerError(
                ResponseStatus.NOT_ENOUGH_MESSAGES, f"{there} messages from {start} on, and {wanted} are wanted"
            ) from None


def _take(stream: Stream, start: int, minimum: int, maximum: int) -> list[Message]:
    found: list[Message] = []
    size = 0
    for message in stream.log.read(start):
        size += len(message.payload) + 128
        if size > _READ_LIMIT and len(found) >= minimum:
            break
        if size > _READ_LIMIT:
            raise StreamManagerError(
                ResponseStatus.RESPONSE_PAYLOAD_TOO_LARGE, f"{minimum} messages are more than {_READ_LIMIT} bytes"
            )
        found.append(message)
        if len(found) == maximum:
            break
    return found


def _present(state: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(state)
    document.setdefault("lastExportedSequenceNumber", -1)
    document.setdefault("exportedBytesFromStream", 0)
    document.setdefault("exportedMessagesCount", 0)
    return document


def _now() -> int:
    return time.time_ns() // 1_000_000
