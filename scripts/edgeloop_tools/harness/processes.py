"""Memory and CPU of processes from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

CORE, BUS = "core", "bus"
"""Names of the local core's own processes in a meter."""
TICKS = os.sysconf("SC_CLK_TCK")


def tree(pids: Iterable[int]) -> list[int]:
    """The processes and all their descendants that still live."""
    found: list[int] = []
    todo = list(pids)
    while todo:
        pid = todo.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            children = [int(c) for t in tasks for c in (t / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pid not in found:
            found.append(pid)
            todo += children
    return found


def pss_bytes(pid: int) -> int:
    """Proportional set size; 0 where the process is gone or not ours to read."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def cpu_seconds(pid: int) -> float | None:
    """User and system time so far, or None where the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS


def owner(pid: int) -> int | None:
    """Effective user id, or None where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    line = next(line for line in text.splitlines() if line.startswith("Uid:"))
    return int(line.split()[2])


@dataclass(slots=True)
class Usage:
    """Of one component over the run, restarts included."""

    pss: int = 0
    pss_peak: int = 0
    cpu: float = 0.0
    cpu_percent_now: float = 0.0
    owners: set[int] = field(default_factory=set)
    last: dict[int, float] = field(default_factory=dict)
    first_at: float | None = None
    last_at: float = 0.0

    @property
    def cpu_percent(self) -> float:
        """Of one core, averaged over the time it was watched."""
        watched = self.last_at - (self.first_at if self.first_at is not None else self.last_at)
        return 100 * self.cpu / watched if watched > 0 else 0.0


class Meter:
    """Samples the usage of named groups of processes."""

    def __init__(self) -> None:
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)

    def sample(self, name: str, pids: Iterable[int], at: float, *, descendants: bool = True) -> Usage:
        """Take one look. `at` is monotonic seconds; the CPU time used before the first look does not count."""
        usage = self.usage[name]
        living = tree(pids) if descendants else list(pids)
        spent = 0.0
        times: dict[int, float] = {}
        for pid in living:
            seconds = cpu_seconds(pid)
            if seconds is None:
                continue
            times[pid] = seconds
            known = usage.last.get(pid)
            if known is not None:
                spent += seconds - known
            elif usage.first_at is not None:
                spent += seconds
            user = owner(pid)
            if user is not None:
                usage.owners.add(user)
        if usage.first_at is None:
            usage.first_at = at
        elif at > usage.last_at:
            usage.cpu_percent_now = 100 * spent / (at - usage.last_at)
        usage.cpu += spent
        usage.last, usage.last_at = times, at
        usage.pss = sum(pss_bytes(pid) for pid in living)
        usage.pss_peak = max(usage.pss_peak, usage.pss)
        return usage
