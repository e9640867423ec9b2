"""One end of a control connection, for asyncio programs."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.control import lines
from edgeloop_tools.core.control.errors import ControlError, from_wire, to_wire

Handler = Callable[["Peer", dict[str, Any]], Awaitable[Any]]
"""Answers a request: (the asking peer, params) -> what JSON can carry. An EdgeloopError becomes the answer's error."""

EventHandler = Callable[["Peer", str, dict[str, Any]], None]
"""Takes an event: (the sending peer, name, params). Must not block."""

BACKLOG = 4 * 1024 * 1024
"""Unsent bytes at which a peer that does not read is dropped."""

log = logging.getLogger("edgeloop.core.control")


class Peer:
    """Requests of the other side run concurrently; events are handed over in order."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handlers: Mapping[str, Handler] | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._handlers = handlers or {}
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = asyncio.Event()
        self.name = ""
        self._pump = asyncio.create_task(self._run())

    async def call(self, method: str, params: Mapping[str, Any] | None = None, timeout: float | None = 10.0) -> Any:
        """The other side's result. Raises ControlError (codes `closed`, `timeout`, or the other side's)."""
        if self.closed.is_set():
            raise ControlError(f"cannot ask for {method}", why="the connection is closed", code="closed")
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send({"id": number, "method": method, "params": dict(params or {})})
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise ControlError(f"no answer to {method}", why=f"waited {timeout} s", code="timeout") from None
        finally:
            self._waiting.pop(number, None)

    def push(self, event: str, params: Mapping[str, Any] | None = None) -> None:
        """An event, without an answer. Lost where the connection is closed."""
        self._send({"event": event, "params": dict(params or {})})

    async def close(self) -> None:
        self._writer.close()
        await self.closed.wait()

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(lines.encode(message))
        if self._writer.transport.get_write_buffer_size() > BACKLOG:
            log.warning("control: dropped a peer (%s) that does not read", self.name or "unnamed")
            self._writer.transport.abort()

    async def _run(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(lines.decode(line))
        except (OSError, ValueError, asyncio.IncompleteReadError):
            log.debug("control: connection ended", exc_info=True)
        except ControlError as error:
            log.warning("control: %s", error)
        finally:
            self._end()

    def _take(self, message: dict[str, Any]) -> None:
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if "method" in message:
            task = asyncio.create_task(self._answer(message.get("id"), str(message["method"]), params))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif "event" in message:
            if self._on_event:
                self._on_event(self, str(message["event"]), params)
        elif isinstance(number := message.get("id"), int):
            waiting = self._waiting.get(number)
            if waiting and not waiting.done():
                if "error" in message:
                    waiting.set_exception(from_wire(message["error"]))
                else:
                    waiting.set_result(message.get("result"))

    async def _answer(self, number: Any, method: str, params: dict[str, Any]) -> None:
        handler = self._handlers.get(method)
        answer: dict[str, Any] = {"id": number}
        try:
            if handler is None:
                raise ControlError(f"no method {method}", code="unknown_method")
            answer["result"] = await handler(self, params)
            lines.encode(answer)
        except EdgeloopError as error:
            answer = {"id": number, "error": to_wire(error)}
        except Exception as error:
            log.exception("control: %s failed", method)
            failed = ControlError(f"{method} failed", why=f"{type(error).__name__}: {error}", code="internal")
            answer = {"id": number, "error": to_wire(failed)}
        self._send(answer)

    def _end(self) -> None:
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ControlError("the connection ended before the answer", code="closed"))
        for task in self._tasks:
            task.cancel()
        self.closed.set()


async def connect(
    path: Path | str,
    handlers: Mapping[str, Handler] | None = None,
    on_event: EventHandler | None = None,
) -> Peer:
    """Raises ControlError (code `closed`) where nobody listens."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=lines.LINE_LIMIT)
    except OSError as error:
        raise not_listening(path, error) from None
    return Peer(reader, writer, handlers, on_event)


def not_listening(path: Path | str, error: OSError) -> ControlError:
    return ControlError(
        "no local core answers",
        where=str(path),
        why=error.strerror or str(error),
        mend="start it with `edgeloop core start`",
        code="closed",
    )
