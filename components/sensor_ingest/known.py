"""Up to when the journal has each stream: what a broker or device sends again is known by its time."""

from __future__ import annotations

import threading
from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop.journal import JournalReader, Position
from edgeloop.journal.segment import segments
from edgeloop.wire.batch import Batch, Item

SEGMENTS = 2
"""Segments that are looked through for what earlier processes wrote."""


class Newest:
    """ns UTC of the newest sample by stream. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}
        self._read = False

    def add(self, item: Item) -> None:
        if isinstance(item, Batch) and len(item):
            time = item.time_of(len(item) - 1)
            if time > self._times.get(item.stream, 0):
                self._times[item.stream] = time

    def of(self, stream: str) -> int:
        """0 where nothing is known. The first call reads what earlier processes left."""
        with self._lock:
            if not self._read:
                self._read = True
                self._look()
        return self._times.get(stream, 0)

    def _look(self) -> None:
        try:
            names = sorted(segments(self._directory))[-SEGMENTS:]
            if names:
                reader = JournalReader(self._directory, Position(names[0], 0))
                for item, _ in reader.read():
                    self.add(item)
                reader.close()
        except (OSError, EdgeloopError):
            return
