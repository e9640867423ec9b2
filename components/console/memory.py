"""What glibc's allocator keeps for itself: little, because twenty pages ask for charts that are large for a moment."""

from __future__ import annotations

import ctypes
from typing import Final

TRIM: Final = -1
MMAP: Final = -3
ARENAS: Final = -8
"""Names of mallopt(3). By themselves MMAP grows with what was freed, up to 32 MiB, and ARENAS with the cores."""
SETTINGS: Final = {TRIM: 1 << 20, MMAP: 128 << 10, ARENAS: 2}


def frugal() -> bool:
    """Whether this process's allocator takes it; musl's has no such setting and needs none."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all(mallopt(name, value) == 1 for name, value in SETTINGS.items())
