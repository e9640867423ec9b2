"""What no reader understood: kept for a person to look at, bounded."""

from __future__ import annotations

import base64
import os
import threading
import time
from pathlib import Path

from edgeloop import clock, documents
from edgeloop.clock import rfc3339

LARGEST = 1 << 20
"""Bytes of the file; it and the one before are kept."""
SHOWN = 4096
"""Bytes of a payload that are kept."""
APART = 1.0
"""s between two letters of one source; those between are only counted."""
NAME = "dead.jsonl"


class DeadLetters:
    """A file of JSON lines: time, source, stream, why, bytes, payload (base64, its beginning). Thread-safe.

    A disk that is full costs letters, and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lock = threading.Lock()
        self._newest: dict[str, float] = {}

    def add(self, source: str, stream: str, payload: bytes, why: str) -> bool:
        """Whether it was kept."""
        now = time.monotonic()
        with self._lock:
            if now - self._newest.get(source, -APART) < APART:
                return False
            self._newest[source] = now
            at = clock.now()
            line = documents.encode({
                "time": at, "time_rfc3339": rfc3339(at), "source": source, "stream": stream, "why": why[:500],
                "bytes": len(payload), "payload": base64.b64encode(payload[:SHOWN]).decode(),
            })  # fmt: skip
            try:
                if self._path.exists() and self._path.stat().st_size + len(line) > LARGEST:
                    self._path.replace(self._path.with_name("dead.1.jsonl"))
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    os.write(descriptor, line + b"\n")
                finally:
                    os.close(descriptor)
            except OSError:
                return False
        return True
