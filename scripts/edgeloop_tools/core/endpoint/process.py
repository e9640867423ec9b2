"""The endpoint's process: started when it is first needed, started again when it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from edgeloop_tools.core.lifecycle import Groups
from edgeloop_tools.core.ports import free_port

log = logging.getLogger("edgeloop.core")

_LONGEST = 30.0


class LocalEndpoint:
    """`url` is known before it runs. Its buckets and streams are in its memory: they are as old as its process."""

    def __init__(self, root: Path, groups: Groups) -> None:
        self._root, self._groups = root, groups
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """It may run already."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._process:
            await self._groups.stop(self._process, 2.0)

    async def _watch(self) -> None:
        delay = 1.0
        command = [sys.executable, "-m", "edgeloop_tools.core.endpoint", "--port", str(self._port)]
        while True:
            self._process = await self._groups.start(
                command, self._root, os.environ, self._root / "logs" / "endpoint.log", {}
            )
            code = await self._process.wait()
            self._groups.ended(self._process)
            log.warning("the local S3 and Kinesis ended (%s), and what they held is gone; starting them again", code)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST)
