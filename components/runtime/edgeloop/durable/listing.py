"""The names in a folder, listed again only where it has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

SETTLED: Final = 2_000_000_000
"""ns after which a change of a folder is surely seen in its time of change."""


class Listing:
    """files: only what is a file, no folder, no link. listed: how often it was."""

    def __init__(self, folder: Path, *, files: bool = False) -> None:
        self._folder, self._files = folder, files
        self._stamp: tuple[int, int] | None = None
        self._names: tuple[str, ...] = ()
        self.listed = 0

    def names(self) -> tuple[str, ...]:
        """Sorted; none where there is no folder. Raises OSError where it cannot be read."""
        try:
            status = os.stat(self._folder)
        except FileNotFoundError:
            self._stamp = None
            return ()
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            settled = abs(time.time_ns() - stamp[0]) > SETTLED
            self._names = names(self._folder, files=self._files)
            self._stamp = stamp if settled else None
            self.listed += 1
        return self._names


def names(folder: Path, *, files: bool = False) -> tuple[str, ...]:
    """As `Listing.names`, once."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(e.name for e in entries if not files or e.is_file(follow_symlinks=False)))
    except FileNotFoundError:
        return ()
