"""The working processes of a nucleus's components, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path


def of(root: Path, component: str) -> list[int]:
    """The Python processes that run a component's zip application below `root`, oldest first."""
    part = f"/artifacts/{component}/"
    found = []
    for entry in os.scandir("/proc"):
        text = _arguments(entry.name) if entry.name.isdigit() else ""
        if part in text and f"\0--root\0{root}" in text and text.split("\0", 1)[0].endswith("python"):
            found.append(int(entry.name))
    return sorted(found)


def wait_other(root: Path, component: str, old: int, timeout: float) -> float:
    """Seconds until another process runs it; -1 where none came."""
    began = time.monotonic()
    while time.monotonic() - began < timeout:
        if any(pid != old for pid in of(root, component)):
            return time.monotonic() - began
        time.sleep(0.02)
    return -1.0


def pss_mb(pid: int) -> float:
    """Proportional memory in MB; 0 where it cannot be read."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _arguments(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
