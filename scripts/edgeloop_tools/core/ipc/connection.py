"""One client's connection: handshake, streams, and what is queued for it."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from . import limits, rpc
from .authorization import Authorizer
from .backend import BackendError
from .eventstream import MAX_MESSAGE, Decoder, FramingError, Message
from .rpc import Flag, Refused, Type

if TYPE_CHECKING:
    from .server import Server

log = logging.getLogger("edgeloop.core.ipc")

HANDSHAKE_BYTES = 64 * 1024
HANDSHAKE_SECONDS = 30.0
PARTING_SECONDS = 2.0
STREAMS = 4096
"""Open streams of one connection."""
BACKLOG = 4 * 1024 * 1024
"""Unsent bytes at which a client that does not read is dropped on lite, where it first holds up everybody."""
KEPT = 256 * 1024 * 1024
"""The same on classic, which keeps everything: this is the laptop's memory."""


class _Connect(msgspec.Struct):
    authToken: str | None = None
    componentName: str | None = None


class Connection(asyncio.Protocol):
    """Reads what comes, in order; writes without waiting. `streams` maps an open stream to what ends it here."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.authorizer: Authorizer | None = None
        self.token = ""
        self.number = 0
        self.streams: dict[int, Callable[[], None]] = {}
        self.writable = asyncio.Event()
        self.writable.set()
        self._decoder = Decoder(limits.MESSAGE_BYTES if server.lite else HANDSHAKE_BYTES)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._hung = False
        self._refusals: dict[str, int] = {}
        self._delayed: asyncio.TimerHandle | None = None
        self._last_stream = 0
        self._waiting = False
        self._processing = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._most = BACKLOG if server.lite else KEPT

    @property
    def component(self) -> str:
        return self.authorizer.identity.component if self.authorizer else ""

    @property
    def name(self) -> str:
        return f"connection {self.number} ({self.component or 'not authenticated'})"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        if not self.server.admit(self):
            self._closed = True
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._no_handshake)

    def data_received(self, data: bytes) -> None:
        if not self._closed:
            self._decoder.extend(data)
            self.process()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        if not self._hung:
            self.writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self.writable.set()
        for timer in (self._timer, self._delayed):
            if timer:
                timer.cancel()
        for end in list(self.streams.values()):
            end()
        self.streams.clear()
        self._held.clear()
        self.server.forget(self)

    # what comes in

    def process(self) -> None:
        """Handle the whole messages received, unless everybody waits for a subscriber."""
        if self._processing:
            return
        self._processing = True
        try:
            while not (self._closed or self._waiting or self.server.stalled):
                message = self._decoder.next()
                if message is None:
                    break
                self._handle(message)
        except FramingError as error:
            self.fail(str(error))
        finally:
            self._processing = False
        if not self._closed:
            if self._waiting or self.server.stalled:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _handle(self, message: Message) -> None:
        headers = message.headers
        kind, flags, stream = (headers.get(name) for name in (":message-type", ":message-flags", ":stream-id"))
        if type(kind) is not int or type(flags) is not int or type(stream) is not int:
            self.fail("a message without type, flags or stream")
        elif self.authorizer is None:
            self._connect(message, kind, flags, stream)
        elif stream == 0:
            self._control(message, kind)
        elif stream < 0:
            self.fail(f"stream {stream}")
        elif flags & Flag.TERMINATE_STREAM:
            self._last_stream = max(self._last_stream, stream)
            if end := self.streams.pop(stream, None):
                end()
        elif kind != Type.APPLICATION_MESSAGE:
            self.refuse(stream, Refused("ServiceError", "Client sent unhandled message type."))
        else:
            self._operation(message, stream)

    def _connect(self, message: Message, kind: int, flags: int, stream: int) -> None:
        version = message.headers.get(":version", rpc.VERSION if self.server.lite else None)
        if kind != Type.CONNECT or stream or flags:
            return self.fail("the first message is no CONNECT")
        if version != rpc.VERSION:
            return self.fail(f"protocol version {version!r}, {rpc.VERSION} is spoken")
        try:
            said = msgspec.json.decode(message.payload, type=_Connect)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.fail("the payload of CONNECT is no JSON object with an authToken")
        if not said.authToken and not (said.componentName and self.server.lite):
            return self.fail("CONNECT without an authToken")
        self._waiting = True
        self.server.spawn(self._authenticate(said.authToken or "", said.componentName or ""))

    async def _authenticate(self, token: str, component: str) -> None:
        """By its token; on lite also by its process, which is told its token then."""
        headers: dict[str, str] = {}
        try:
            if not token:
                token = await self.server.backend.token_of(component, self._peer())
                headers = {"svcuid": token}
            identity = await self.server.backend.authenticate(token)
        except BackendError as error:
            return self.fail(f"cannot authenticate: {error.message}")
        if self._closed:
            return
        if identity is None:
            log.warning("%s refused: unknown authToken", self.name)
            self._part(rpc.control(Type.CONNECT_ACK))
            return
        if self._timer:
            self._timer.cancel()
        self.token = token
        self.authorizer = Authorizer(identity, self.server.nucleus)
        if not self.server.lite:
            self._decoder.limit = MAX_MESSAGE
        self._transport.write(rpc.control(Type.CONNECT_ACK, Flag.CONNECTION_ACCEPTED, b"", **headers))
        self.server.admitted(self)
        self._waiting = False
        self.process()

    def _peer(self) -> int:
        """The client's process."""
        connected: socket.socket = self._transport.get_extra_info("socket")
        pid: int = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid

    def _control(self, message: Message, kind: int) -> None:
        if self.server.lite:
            self.fail("a message with stream 0 after CONNECT")
        elif kind == Type.PING:
            self.send(rpc.control(Type.PING_RESPONSE, Flag.NONE, message.payload))
        elif kind != Type.PING_RESPONSE:
            self.fail(f"a message of type {kind} with stream 0")

    def _operation(self, message: Message, stream: int) -> None:
        operation = message.headers.get("operation")
        if stream in self.streams:
            if not isinstance(operation, str):
                return log.info("%s: ignored an event on stream %d", self.name, stream)
            return self.refuse(stream, Refused("InvalidArgumentsError", f"stream {stream} is in use"))
        if stream <= self._last_stream and not self.server.lite:
            return log.info("%s: ignored a message for the closed stream %d", self.name, stream)
        self._last_stream = max(self._last_stream, stream)
        if not isinstance(operation, str):
            return self.refuse(stream, Refused("ServiceError", "Client request missing operation header."))
        if len(self.streams) >= STREAMS:
            return self.refuse(stream, Refused("ServiceError", f"more than {STREAMS} open streams"))
        try:
            self.server.operations.call(self, stream, operation, message.payload)
        except Refused as error:
            self.refuse(stream, error, operation)
        except Exception as error:
            self.internal_error(stream, error, operation)

    def _no_handshake(self) -> None:
        if self.authorizer is None:
            self.fail(f"no CONNECT within {HANDSHAKE_SECONDS:g} s")

    # what goes out

    def respond(self, stream: int, model: str, payload: bytes = b"{}") -> None:
        """The answer of an operation; ends the stream if it is no subscription (lite leaves it to the client)."""
        ends = stream not in self.streams and not self.server.lite
        self.send(rpc.application(stream, model, payload, flags=Flag.TERMINATE_STREAM if ends else Flag.NONE))

    def refuse(self, stream: int, error: Refused, operation: str = "") -> None:
        """Answer with a modelled error. Said in one line; when it repeats, at the 10th, 100th, … time."""
        self.server.statistics.refused += 1
        if len(self._refusals) > 256:
            self._refusals.clear()
        line = f"{operation.removeprefix(rpc.SERVICE) or 'a message'}: {error.code}: {error.message}"
        times = self._refusals[line] = self._refusals.get(line, 0) + 1
        if times == 10 ** (len(str(times)) - 1):
            log.warning("%s refused %s%s", self.name, line, f" ({times} times)" if times > 1 else "")
        self.send(rpc.error(stream, error.code, error.message))

    def internal_error(self, stream: int, error: Exception, operation: str) -> None:
        """One operation fails, nothing else."""
        log.error(
            "internal error in %s: %s: %s",
            operation,
            type(error).__name__,
            error,
            exc_info=error if log.isEnabledFor(logging.DEBUG) else None,
        )
        self.refuse(stream, Refused("ServiceError", "internal error"), operation)

    def end_stream(self, stream: int) -> None:
        """End a subscription from here: the client hears that its stream closed."""
        if end := self.streams.pop(stream, None):
            end()
            self.send(rpc.terminate(stream))

    @property
    def observer(self) -> bool:
        """A tool that watches: lite's punishments would change what it watches, so it is spared them."""
        return self.authorizer is not None and self.authorizer.identity.unrestricted

    @property
    def congested(self) -> bool:
        """Whether bytes wait that the client has not taken."""
        return not (self._closed or self.observer) and (not self.writable.is_set() or bool(self._held))

    def send(self, data: bytes) -> None:
        if self._closed:
            return
        if self._hung:
            self._hold(data)
        elif delay := self.server.faults.delay(self.component):
            self._hold(data)
            if self._delayed is None:
                self._delayed = asyncio.get_running_loop().call_later(delay, self._release)
        elif self._held:
            self._hold(data)
        else:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > self._most:
                self._drop_slow()

    def hang(self, hung: bool) -> None:
        """Act as if the client did not read (a fault), or no longer."""
        self._hung = hung
        if hung:
            self.writable.clear()
        else:
            self._release()
            self.writable.set()

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._most:
            self._drop_slow()

    def _release(self) -> None:
        self._delayed = None
        if not self._closed and not self._hung:
            held, self._held, self._held_bytes = b"".join(self._held), [], 0
            self._transport.write(held)

    def _drop_slow(self) -> None:
        log.warning("%s dropped: it does not read, %d bytes wait", self.name, self._most)
        self.server.statistics.slow += 1
        self.abort()

    # the end

    def fail(self, why: str) -> None:
        """End the connection for a breach of the protocol."""
        if self._closed:
            return
        log.warning("%s closed: %s", self.name, why)
        self.server.statistics.refused += 1
        self._part(rpc.control(Type.PROTOCOL_ERROR, Flag.NONE, rpc.encoder.encode({"message": why})))

    def _part(self, last: bytes) -> None:
        """Say a last word, which lite does not, and leave the client time to hear it and close."""
        if self.server.lite:
            return self.close()
        self._closed = True
        self._transport.write(last)
        self._delayed = asyncio.get_running_loop().call_later(PARTING_SECONDS, self._transport.abort)

    def close(self) -> None:
        """After what is queued has been sent, or `PARTING_SECONDS`."""
        if not self._transport.is_closing():
            self._closed = True
            self._transport.close()
            self._delayed = asyncio.get_running_loop().call_later(PARTING_SECONDS, self._transport.abort)

    def abort(self) -> None:
        self._closed = True
        self._transport.abort()
