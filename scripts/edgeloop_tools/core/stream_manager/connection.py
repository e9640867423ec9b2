"""One client's connection."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from edgeloop_tools.core.stream_manager.definitions import ConnectRequest, convert
from edgeloop_tools.core.stream_manager.operations import Operations
from edgeloop_tools.core.stream_manager.protocol import (
    CONNECT_LIMIT,
    CONNECT_VERSION,
    FRAME_LIMIT,
    PROTOCOL_VERSIONS,
    RESPONSES,
    SERVER_VERSION,
    Operation,
    ProtocolError,
    ResponseStatus,
    StreamManagerError,
    decode,
    frame,
    read_frame,
)

log = logging.getLogger("edgeloop.core.stream_manager")

Authenticate = Callable[[str | None], Awaitable[str | None]]
"""The component that a token is of; None refuses."""

HANDSHAKE = 10.0
"""Seconds that a client has to show who it is."""

READS = 64
"""Reads of one connection that wait at the same time."""

_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Connection:
    """Appends are done in the order in which they come; reads wait on their own."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        operations: Operations,
        authenticate: Authenticate,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._operations, self._authenticate = operations, authenticate
        self._reads: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(READS)
        self.component = "a client"

    def abort(self) -> None:
        """`serve` returns soon."""
        self._writer.transport.abort()

    async def serve(self) -> None:
        """Returns when the connection has ended."""
        try:
            if await self._connect():
                while True:
                    await self._handle(*await read_frame(self._reader, FRAME_LIMIT))
        except ProtocolError as error:
            log.warning("%s is disconnected: %s", self.component, error)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                log.info("%s ended in the middle of a frame", self.component)
        except (OSError, TimeoutError) as error:
            log.info("%s is gone: %s", self.component, type(error).__name__)
        finally:
            for task in self._reads:
                task.cancel()
            self._writer.close()

    async def _connect(self) -> bool:
        async with asyncio.timeout(HANDSHAKE):
            version = (await self._reader.readexactly(1))[0]
            if version != CONNECT_VERSION:
                await self._respond_connect("", ResponseStatus.UNSUPPORTED_CONNECT_VERSION, f"version {version}")
                return False
            operation, payload = await read_frame(self._reader, CONNECT_LIMIT)
        fields = decode(payload)
        request_id = str(fields.get("requestId", ""))
        if operation != Operation.CONNECT:
            await self._respond_connect(request_id, ResponseStatus.UNEXPECTED_OPERATION, f"operation {operation}")
            return False
        try:
            request = convert(fields, ConnectRequest)
            protocol = _choose(request)
        except StreamManagerError as error:
            await self._respond_connect(request_id, error.status, str(error))
            return False
        component = await self._authenticate(request.auth_token)
        if component is None:
            log.warning("a client was refused: its token is of no component")
            await self._respond_connect(request_id, ResponseStatus.UNAUTHORIZED, "the token is of no component")
            return False
        self.component = component
        log.info("%s is connected (stream-manager %s)", component, request.sdk_version or "of unknown version")
        await self._respond_connect(request_id, ResponseStatus.SUCCESS, "", protocol)
        return True

    async def _respond_connect(self, request_id: str, status: ResponseStatus, message: str, protocol: str = "") -> None:
        fields: dict[str, Any] = {
            "status": int(status),
            "supportedProtocolVersions": list(PROTOCOL_VERSIONS),
            "protocolVersion": protocol or PROTOCOL_VERSIONS[0],
            "serverVersion": SERVER_VERSION,
        }
        if request_id:
            fields["requestId"] = request_id
        if message:
            fields["errorMessage"] = message
        self._writer.write(bytes([CONNECT_VERSION]) + frame(Operation.CONNECT_RESPONSE, fields))
        await self._writer.drain()

    async def _handle(self, operation: int, payload: bytes) -> None:
        request = decode(payload)
        request_id = request.get("requestId")
        if not isinstance(request_id, str) or not request_id:
            raise ProtocolError("a request without requestId")
        if operation not in RESPONSES:
            fields = {"status": int(ResponseStatus.UNKNOWN_OPERATION), "errorMessage": f"no operation {operation}"}
            await self._respond(Operation.UNKNOWN_OPERATION_ERROR, request_id, fields)
        elif operation == Operation.READ_MESSAGES:
            await self._slots.acquire()
            task = asyncio.create_task(self._answer(operation, request_id, request))
            self._reads.add(task)
            task.add_done_callback(self._read_done)
        else:
            await self._answer(operation, request_id, request)

    def _read_done(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._reads.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.info("%s is gone: %s", self.component, type(error).__name__)

    async def _answer(self, operation: int, request_id: str, request: dict[str, Any]) -> None:
        try:
            fields = {"status": int(ResponseStatus.SUCCESS), **await self._operations.answer(operation, request)}
        except StreamManagerError as error:
            fields = {"status": int(error.status), "errorMessage": str(error)}
        except Exception as error:
            log.exception("operation %s failed", operation)
            fields = {"status": int(ResponseStatus.UNKNOWN_FAILURE), "errorMessage": type(error).__name__}
        await self._respond(RESPONSES[operation], request_id, fields)

    async def _respond(self, operation: Operation, request_id: str, fields: dict[str, Any]) -> None:
        self._writer.write(frame(operation, {"requestId": request_id, **fields}))
        await self._writer.drain()


def _choose(request: ConnectRequest) -> str:
    """The protocol version to speak."""
    offered = [request.protocol_version, *request.other_supported_protocol_versions]
    if not _VERSION.fullmatch(request.protocol_version):
        raise StreamManagerError(ResponseStatus.INVALID_PROTOCOL_VERSION, f"{request.protocol_version!r} is no version")
    for version in offered:
        if version in PROTOCOL_VERSIONS:
            return version
    raise StreamManagerError(
        ResponseStatus.UNSUPPORTED_PROTOCOL_VERSION, f"spoken here: {', '.join(PROTOCOL_VERSIONS)}"
    )
