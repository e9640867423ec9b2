"""The process groups that the core started: none outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeloop_tools.core import files
from edgeloop_tools.core.lifecycle import guard
from edgeloop_tools.core.user import Switch

log = logging.getLogger("edgeloop.core")

_SHELLS = ("sh", "dash", "bash", "busybox")

GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL."""


class Groups:
    """Starts a process as the leader of its own group. A guard kills the groups when the core dies; a file of them lets
    the next start kill what even the guard left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inputs: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def clean(self) -> list[int]:
        """Kill what an earlier core left. Returns the groups."""
        killed = []
        try:
            left = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            left = {}
        for text, born in left.items():
            leader = int(text)
            if leader > 1 and (_born(leader) == born or (_born(leader) is None and _members(leader))):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
                    killed.append(leader)
        self._save()
        return killed

    async def start(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        log: Path,
        switch: Switch,
        *,
        pipe: bool = False,
    ) -> asyncio.subprocess.Process:
        """Output is appended to `log`. pipe: standard input is one whose other end the core holds while both live.
        Raises OSError."""
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        reading, writing = os.pipe2(os.O_CLOEXEC) if pipe else (subprocess.DEVNULL, -1)
        try:
            os.fchmod(output, 0o600)
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=dict(environment),
                stdin=reading,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o022,
                **switch,
            )
            if pipe:
                self._inputs[process.pid], writing = writing, -1
        finally:
            for descriptor in (output, reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
        self._groups[process.pid] = _born(process.pid) or 0
        self._tell(f"+{process.pid}\n")
        self._save()
        return process

    def ended(self, process: asyncio.subprocess.Process) -> None:
        """After the leader ended: kill what it left in its group."""
        if (held := self._inputs.pop(process.pid, -1)) >= 0:
            os.close(held)
        if self._groups.pop(process.pid, None) is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._tell(f"-{process.pid}\n")
        self._save()

    async def stop(self, process: asyncio.subprocess.Process, grace: float = GRACE) -> None:
        """SIGTERM to the group, SIGKILL after `grace` seconds; returns when the leader has ended."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(grace):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self.ended(process)

    def members(self, leader: int) -> list[int]:
        """The processes of a group: the one that works first, which is the leader's child where the leader is a shell
        that waits for it."""
        members = _members(leader)
        waiting = _name(leader) in _SHELLS
        return sorted(members, key=lambda pid: (waiting and members[pid] != leader, (pid == leader) == waiting, pid))

    def abandon(self, leaders: Sequence[int]) -> None:
        """The guard and the next start leave these groups alone; all others end now."""
        for leader in list(self._groups):
            if leader not in leaders:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
            del self._groups[leader]
            self._tell(f"-{leader}\n")
        self._save()

    def close(self) -> None:
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            self._guard.wait()

    def _tell(self, line: str) -> None:
        if self._guard is None or self._guard.poll() is not None:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
            line = "".join(f"+{group}\n" for group in self._groups)
        assert self._guard.stdin is not None
        try:
            self._guard.stdin.write(line.encode())
            self._guard.stdin.flush()
        except BrokenPipeError:
            self._guard.wait()
            self._tell(line)

    def _save(self) -> None:
        try:
            files.write(self._path, json.dumps(self._groups).encode(), 0o600, durable=False)
        except OSError as error:
            log.warning("cannot note the process groups (%s): %s", self._path, error.strerror or error)


def _born(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: tells a process from a later one of the same number."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _members(leader: int) -> dict[int, int]:
    """Process → its parent."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found[int(entry.name)] = int(fields[1])
    return found
