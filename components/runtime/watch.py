"""Runtime's `run`: stays, looks at the configuration, and has what is newly asked for built beside what serves.

It holds as little as it can: the installer is a process of its own, started only where there is something to do.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import ipc
from edgeloop.errors import BusError

EVERY = 10.0
"""Seconds between two looks at the configuration."""
SOONEST, LATEST = 60.0, 3600.0
"""Seconds before an install that failed is tried again, doubling."""
PATIENCE = 5.0


class Watch:
    """look: one round. It starts the installer where the configuration is not the one that was last installed."""

    def __init__(
        self, install: Callable[[], int], read: Callable[[], dict[str, Any]], say: Callable[[str], None]
    ) -> None:
        self._install, self._read, self._say = install, read, say
        self._done: Any = None
        self._told = ""
        self._pause, self._next = SOONEST, 0.0

    def look(self, now: float) -> None:
        """now: seconds, monotonic."""
        try:
            wanted = asked(self._read())
            problem = ""
        except BusError as error:
            wanted, problem = self._done, str(error)
        if problem != self._told:
            self._told = problem
            self._say(problem or "the configuration can be read again")
        if wanted == self._done:
            return
        if now < self._next:
            return
        if self._install() == 0:
            self._done, self._pause, self._next = wanted, SOONEST, 0.0
        else:
            self._say(f"trying again in {self._pause:.0f} s")
            self._next = now + self._pause
            self._pause = min(2 * self._pause, LATEST)


def asked(configuration: dict[str, Any]) -> tuple[str, ...]:
    """What of a configuration decides what is installed.

    >>> asked({"profiles": "core, vision", "wheelhouse": ""})
    ('core', 'vision', '/')
    """
    profiles = str(configuration.get("profiles", "")).replace(",", " ").split()
    return (*sorted(set(profiles)), "/" + str(configuration.get("wheelhouse", "")))


def main(root: str, say: Callable[[str], None]) -> int:
    """Until SIGTERM; nothing that happens here ends it."""
    child = 0
    ending = False
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def end(*_: object) -> None:
        nonlocal ending
        ending = True
        if child:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.set_wakeup_fd(writer)

    def install() -> int:
        nonlocal child
        command = [sys.executable, "-B", sys.argv[0], "install", "--root", root]
        child = os.posix_spawn(sys.executable, command, os.environ)
        while True:
            try:
                _, status = os.waitpid(child, 0)
                break
            except InterruptedError:
                continue
        child = 0
        return os.waitstatus_to_exitcode(status)

    watch = Watch(install, lambda: ipc.configuration(PATIENCE), say)
    while not ending:
        if ipc.there():
            try:
                watch.look(time.monotonic())
            except OSError as error:
                say(f"{type(error).__name__}: {error}")
        if not ending:
            select.select([reader], [], [], EVERY)
    return 0
