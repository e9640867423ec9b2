"""The server: its socket, its connections, and the order in which they are heard."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError

from . import limits
from .authorization import Authorizer
from .backend import AccessControlChanged, Backend, ConfigurationChanged, Event, Identity
from .connection import Connection
from .faults import Faults
from .matching import Nucleus
from .operations import Operations

log = logging.getLogger("edgeloop.core.ipc")

Answer = Callable[[], None]

PATH_BYTES = 107
"""The longest path of a Unix socket."""


@dataclass(slots=True)
class Statistics:
    """Counters since the start: messages published to local topics, frames delivered to subscribers, connections and
    operations refused, clients dropped for not reading, messages lost on lite to the send time-out."""

    published: int = 0
    delivered: int = 0
    refused: int = 0
    slow: int = 0
    lost: int = 0


class Server:
    """Serves `backend` on a Unix socket that everybody may connect to; who has no token is refused.

    On lite one thread does everything: while a subscriber does not take what is sent to it, up to `send_seconds`,
    nobody is heard. On classic it alone suffers: past a bound it is dropped.
    """

    def __init__(
        self, path: Path, backend: Backend, nucleus: Nucleus, *, send_seconds: float = limits.SEND_SECONDS
    ) -> None:
        self.path = path
        self.backend = backend
        self.nucleus: Nucleus = nucleus
        self.lite = nucleus == "lite"
        self.stalled = False
        self.statistics = Statistics()
        self.faults = Faults(self)
        self.operations = Operations(self)
        self._send_seconds = send_seconds
        self._connections: dict[Connection, None] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """EdgeloopError if the path is too long, in use, or not writable."""
        where = str(self.path)
        size = len(os.fsencode(where))
        if size > PATH_BYTES:
            raise EdgeloopError(
                "cannot make the IPC socket",
                where=where,
                mend="choose a shorter root folder",
                why=f"a socket's path has at most {PATH_BYTES} bytes, this one {size}",
            )
        if self.path.is_socket():
            if _is_alive(where):
                raise EdgeloopError(
                    "cannot make the IPC socket",
                    where=where,
                    why="another process serves it",
                    mend="stop that core or choose another root folder",
                )
            self.path.unlink()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_unix_server(lambda: Connection(self), where, backlog=128)
            self.path.chmod(0o666)
        except OSError as error:
            raise EdgeloopError("cannot make the IPC socket", where=where, why=os.strerror(error.errno or 0)) from error

    async def serve(self) -> None:
        """Until the backend's events end."""
        async for event in self.backend.events():
            self._take(event)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(FileNotFoundError):
            self.path.unlink()

    def status(self) -> dict[str, Any]:
        return {**asdict(self.statistics), "connections": len(self._connections)}

    # for connections

    def admit(self, connection: Connection) -> bool:
        connection.number = next(self._numbers)
        if self.lite and len(self._connections) >= limits.CONNECTIONS:
            log.warning("connection %d refused: %d are open", connection.number, limits.CONNECTIONS)
            self.statistics.refused += 1
            return False
        self._connections[connection] = None
        return True

    def admitted(self, connection: Connection) -> None:
        """A connection has proved who it is: faults in force for its component hold for it too."""
        if self.faults.is_hung(connection.component):
            connection.hang(True)

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def of(self, component: str) -> list[Connection]:
        return [one for one in self._connections if one.component == component]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def deliver(self, frames: Sequence[tuple[Connection, bytes]], answer: Answer) -> None:
        """Send events, then call `answer`. On lite, who does not read holds up everybody."""
        if self.lite and any(connection.congested for connection, _ in frames):
            self.stalled = True
            self.spawn(self._deliver_slowly(frames, answer))
            return
        for connection, frame in frames:
            connection.send(frame)
        self.statistics.delivered += len(frames)
        answer()

    async def _deliver_slowly(self, frames: Sequence[tuple[Connection, bytes]], answer: Answer) -> None:
        try:
            for connection, frame in frames:
                try:
                    if not connection.observer:
                        async with asyncio.timeout(self._send_seconds):
                            await connection.writable.wait()
                except TimeoutError:
                    self.statistics.lost += 1
                    log.warning(
                        "%s took nothing for %g s: a message to it is lost", connection.name, self._send_seconds
                    )
                    continue
                connection.send(frame)
                self.statistics.delivered += 1
            answer()
        finally:
            self.stalled = False
            for connection in list(self._connections):
                if self.stalled:
                    break
                connection.process()

    # events

    def _take(self, event: Event) -> None:
        match event:
            case ConfigurationChanged():
                self.operations.configuration_changed(event)
            case AccessControlChanged(component, access_control):
                for connection in self.of(component):
                    unrestricted = connection.authorizer is not None and connection.authorizer.identity.unrestricted
                    identity = Identity(component, access_control, unrestricted)
                    connection.authorizer = Authorizer(identity, self.nucleus)
            case _:
                for connection in [one for one in self._connections if one.token == event.token]:
                    log.info("%s closed: its token ended", connection.name)
                    connection.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error(
                "internal error: %s: %s",
                type(error).__name__,
                error,
                exc_info=error if log.isEnabledFor(logging.DEBUG) else None,
            )


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
