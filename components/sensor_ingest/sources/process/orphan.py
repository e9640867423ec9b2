"""A program that outlived the process that started it: found again, and ended before the next one is started."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import msgspec

from edgeloop import durable


class Program(msgspec.Struct, frozen=True):
    """A running program. started: ticks after the boot, so that a number used again is not taken for it."""

    pid: int
    started: int


def running(pid: int) -> Program | None:
    """The program with this process id, as the kernel knows it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else Program(pid, int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def remember(state: Path, pid: int) -> None:
    program = running(pid)
    if program is not None:
        durable.write(state, program, sync=False)


def forget(state: Path) -> None:
    state.unlink(missing_ok=True)


def end(state: Path) -> bool:
    """Kills the group of the program that was remembered, if it still runs; whether it did."""
    try:
        program = durable.read(state, Program)
    except (OSError, durable.Damaged):
        program = None
    if program is None:
        return False
    alive = running(program.pid) == program
    if alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
    forget(state)
    return alive
