"""Waiting before the next attempt."""

from __future__ import annotations

import asyncio
import contextlib
import random

from edgeloop.durable.backoff import BackOff

FIRST = 1.0
LONGEST = 300.0
"""Seconds; AWS documents five minutes as its longest, and no end of attempts."""


class Pause:
    """`hurry` is shared: when it is set anew, whoever waits tries at once."""

    def __init__(self, hurry: Hurry) -> None:
        self._hurry, self._backoff = hurry, BackOff(FIRST, LONGEST)

    async def wait(self) -> None:
        delay = self._backoff.failed() * random.uniform(0.5, 1.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurry.wait()

    def succeeded(self) -> None:
        self._backoff.succeeded()


class Hurry:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def up(self) -> None:
        self._event.set()
        self._event = asyncio.Event()
