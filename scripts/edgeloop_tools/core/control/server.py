"""The listening end of the control socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeloop_tools.core.control.errors import ControlError
from edgeloop_tools.core.control.lines import LINE_LIMIT
from edgeloop_tools.core.control.peer import EventHandler, Handler, Peer

SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path (unix(7): 108 with its NUL)."""


class ControlServer:
    """Listens on `path` (mode 0600). A socket that a dead server left is replaced; a live one is an error."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        on_event: EventHandler | None = None,
        on_open: Callable[[Peer], None] | None = None,
        on_close: Callable[[Peer], None] | None = None,
    ) -> None:
        self.path = path
        self.peers: set[Peer] = set()
        self._handlers, self._on_event = handlers, on_event
        self._on_open, self._on_close = on_open, on_close
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        check_length(self.path)
        if self.path.exists():
            await self._replace()
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(self.path), limit=LINE_LIMIT)
        except OSError as error:
            raise ControlError("cannot listen", where=str(self.path), why=error.strerror or str(error)) from None
        finally:
            os.umask(old)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        await asyncio.gather(*(peer.close() for peer in list(self.peers)))
        self.path.unlink(missing_ok=True)

    def broadcast(self, event: str, params: Mapping[str, Any] | None = None) -> None:
        for peer in self.peers:
            peer.push(event, params)

    async def _replace(self) -> None:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.path))
        except OSError:
            self.path.unlink(missing_ok=True)
            return
        writer.close()
        raise ControlError(
            "another process listens already",
            where=str(self.path),
            mend="stop it (`edgeloop core stop`) or choose another --root",
            code="in_use",
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, self._handlers, self._on_event)
        self.peers.add(peer)
        if self._on_open:
            self._on_open(peer)
        await peer.closed.wait()
        self.peers.discard(peer)
        if self._on_close:
            self._on_close(peer)


def check_length(path: Path) -> None:
    """Raises ControlError where the kernel could not take the path of a socket."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise ControlError(
            "the path of a socket is too long",
            where=str(path),
            why=f"{length} bytes, and the kernel takes {SOCKET_PATH_LIMIT}",
            mend="choose a shorter --root",
        )
