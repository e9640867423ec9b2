"""The supervisor, reached over its control socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeloop_tools.core.control import ControlError, Peer, connect, methods

log = logging.getLogger("edgeloop.core.stream_manager")

FaultHandler = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Link:
    """`open` it before use."""

    def __init__(self, path: Path, on_fault: FaultHandler) -> None:
        self._path, self._on_fault = path, on_fault
        self._peer: Peer | None = None

    async def open(self) -> None:
        """Connect, and take over the faults that are in force. Raises ControlError where no core answers."""
        self._peer = await connect(self._path, {methods.FAULT: self._fault})
        attached = await self._peer.call(methods.STREAM_MANAGER_ATTACH, timeout=30)
        for fault in attached["faults"]:
            self._on_fault(str(fault["kind"]), fault["arguments"])

    async def authenticate(self, token: str | None) -> str | None:
        """The component whose token this is."""
        assert self._peer is not None
        if not token:
            return None
        try:
            answer = await self._peer.call(methods.AUTHENTICATE, {"token": token}, timeout=30)
        except ControlError as error:
            log.warning("cannot judge a token: %s", error)
            return None
        return str(answer["component"]) if answer else None

    async def ended(self) -> None:
        """Returns when the supervisor is gone."""
        assert self._peer is not None
        await self._peer.closed.wait()

    async def close(self) -> None:
        if self._peer:
            await self._peer.close()

    async def _fault(self, peer: Peer, params: dict[str, Any]) -> Any:
        return dict(self._on_fault(str(params.get("kind", "")), params.get("arguments") or {}))
