"""The listening socket."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.stream_manager.connection import Authenticate, Connection
from edgeloop_tools.core.stream_manager.operations import Operations

HOST: Final = "127.0.0.1"


class Server:
    """`port` is the one it listens on, once it was started."""

    def __init__(self, operations: Operations, authenticate: Authenticate) -> None:
        self.port = 0
        self._operations, self._authenticate = operations, authenticate
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}

    async def start(self, port: int) -> None:
        """Raises EdgeloopError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._accept, HOST, port)
        except OSError as error:
            raise EdgeloopError(
                "Stream Manager cannot listen",
                where=f"{HOST}:{port}",
                why=os.strerror(error.errno or 0),
                mend="set another STREAM_MANAGER_SERVER_PORT, or stop what listens there",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections.values():
            connection.abort()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._operations, self._authenticate)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            await connection.serve()
        finally:
            del self._connections[task]
