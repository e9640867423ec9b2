"""How much memory a component's own loop comes to hold: run by a process of its own that says so three times."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOST = 4_096
"""kB that may come between a quarter and the end of a run: what leaks a kilobyte a round is found in the short form."""


@dataclass(frozen=True, slots=True)
class Growth:
    """kB of resident memory after a quarter of the rounds and at the end; count: what came out of them."""

    quarter: int
    end: int
    count: int
    said: str

    def a_round(self, rounds: int) -> float:
        """Bytes that each of the later rounds left."""
        return (self.end - self.quarter) * 1024 / (0.75 * rounds)


def anonymous() -> int:
    """kB of this process that no file stands behind, of proc_pid_status(5), once what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def grown(script: Path, folder: Path, rounds: int, environment: Mapping[str, str] | None = None) -> Growth:
    """Runs `script folder rounds` to its end; it prints `growth <number>` three times, as Growth has them. Raises
    AssertionError where it does not."""
    here = Path(__file__).parents[3]
    folders = [here / "components", here / "components" / "runtime", here / "scripts"]
    whole = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), **(environment or {})}
    words = [sys.executable, str(script), str(folder), str(rounds)]
    run = subprocess.run(words, env=whole, text=True, capture_output=True, check=False)
    numbers = [int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("growth")]
    said = (run.stdout + run.stderr)[-3000:]
    if len(numbers) != 3:
        raise AssertionError(said)
    quarter, end, count = numbers
    return Growth(quarter, end, count, said)
