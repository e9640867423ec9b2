"""How far it has come, on a terminal."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line on a terminal, nothing elsewhere."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total, self._shown = total, 0.0
        self._active = not quiet and sys.stderr.isatty()

    def show(self, done: int, name: str) -> None:
        now = time.monotonic()
        if self._active and now - self._shown > 0.1:
            self._shown = now
            print(f"\r\x1b[K{done + 1}/{self._total} {name}", end="", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """A line that stays."""
        self.close()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._active:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
