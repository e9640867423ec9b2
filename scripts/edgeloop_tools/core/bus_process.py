"""The bus process: started, watched, started again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.control import ControlError, Peer, methods
from edgeloop_tools.core.lifecycle import Groups

log = logging.getLogger("edgeloop.core")

_STEADY = 10.0
"""Seconds after which a bus process counts as one that works."""


class BusProcess:
    """`peer` is its control connection while it has one."""

    def __init__(
        self, root: Path, nucleus: str, groups: Groups, on_loss: Callable[[], None], *, debug: bool = False
    ) -> None:
        self.socket = root / "ipc.socket"
        self.peer: Peer | None = None
        self.restarts = 0
        self.faults: dict[str, dict[str, Any]] = {}
        self._root, self._nucleus, self._groups, self._on_loss, self._debug = root, nucleus, groups, on_loss, debug
        self._process: asyncio.subprocess.Process | None = None
        self._attached = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def ready(self, timeout: float) -> None:
        """Returns once clients can connect. Raises EdgeloopError with the end of the bus's log."""
        try:
            async with asyncio.timeout(timeout):
                await self._attached.wait()
                while not await self._listens():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise EdgeloopError("the bus does not start", where=str(self._log), why=f"waited {timeout:g} s") from None

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._process:
            await self._groups.stop(self._process, 5.0)
        self.socket.unlink(missing_ok=True)

    def attach(self, peer: Peer) -> list[dict[str, Any]]:
        """The bus process says hello: the faults that are in force."""
        self.peer, peer.name = peer, "bus"
        self._attached.set()
        return list(self.faults.values())

    def push(self, event: str, params: dict[str, Any]) -> None:
        if self.peer:
            self.peer.push(event, params)

    async def fault(self, kind: str, arguments: dict[str, Any]) -> Any:
        if self.peer is None:
            raise ControlError("the bus is not there", mend="try again in a second", code="closed")
        answer = await self.peer.call(methods.FAULT, {"kind": kind, "arguments": arguments})
        if kind in _LASTING:
            self.faults[f"{kind} {arguments.get('component', '')}"] = {"kind": kind, "arguments": arguments}
        elif kind == "clear":
            self.faults.clear()
        return answer

    @property
    def _log(self) -> Path:
        return self._root / "logs" / "bus.log"

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        return True

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        quick = 0
        while True:
            began = loop.time()
            self.socket.unlink(missing_ok=True)
            command = [
                sys.executable,
                "-m",
                "edgeloop_tools.core.ipc",
                "--socket",
                str(self.socket),
                "--control",
                str(self._root / "control.sock"),
                "--nucleus",
                self._nucleus,
                *(["--debug"] if self._debug else []),
            ]
            self._process = await self._groups.start(command, self._root, os.environ, self._log, {})
            code = await self._process.wait()
            self._groups.ended(self._process)
            self.peer = None
            self._attached.clear()
            self.restarts += 1
            quick = 0 if loop.time() - began > _STEADY else quick + 1
            log.warning("the bus ended (%s); starting it again", code)
            self._on_loss()
            if quick > 2:
                await asyncio.sleep(min(2.0 ** (quick - 3), 10.0))


_LASTING = ("iot_offline", "delay")
"""Faults of which the last one stays in force when the bus process is started again."""
