"""A whole that is written now and then: what it costs the disk in a day is bounded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeloop.durable.disk import replace

DAY: Final = 86_400.0


class Snapshot:
    """Bytes in a file that is replaced as a whole, at most every `every` seconds, and not so often that more than about
    `day` bytes are written a day, but every `longest` seconds. What has not changed is not written.

    A restart at once after another is bounded likewise: the first one is due after the pause that its size asks for.
    """

    def __init__(
        self, path: Path, *, every: float, day: int, longest: float = 240.0, clock: Callable[[], float] | None = None
    ) -> None:
        self.path, self.every, self._day, self._longest = path, every, day, longest
        self._clock = clock or (lambda: time.monotonic())
        self._digest = b""
        self._due = self._clock() + every
        self.written = 0

    @property
    def due(self) -> bool:
        return self._clock() >= self._due

    @property
    def size(self) -> int:
        """Bytes of the file; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def later(self) -> None:
        """Nothing to save, or it could not be: looked at again after `every`."""
        self._due = self._clock() + self.every

    def save(self, content: bytes, same: bytes | None = None) -> bool:
        """Whether it was written. Raises OSError, leaving the old.

        same: what tells two contents apart, where not all of it does.
        """
        self.later()
        digest = hashlib.blake2b(content if same is None else same, digest_size=16).digest()
        if digest == self._digest and self.path.exists():
            return False
        replace(self.path, content)
        self._digest = digest
        self.written += len(content)
        pause = len(content) * DAY / self._day
        self._due = self._clock() + max(self.every, min(self._longest, pause))
        return True
