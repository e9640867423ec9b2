"""The bounded queue between a source's thread and the tick."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edgeloop.sequence import Chunk, Records


def size(chunk: Chunk) -> int:
    """Bytes of samples."""
    if isinstance(chunk, Records):
        return chunk.times.nbytes * (1 + len(chunk.columns))
    return chunk.samples.nbytes + (0 if chunk.times is None else chunk.times.nbytes)


def rows(chunk: Chunk) -> int:
    return len(chunk.times) if isinstance(chunk, Records) else len(chunk.samples)


class Intake:
    """Chunks of one source, at most `limit` bytes (but always one chunk).

    Full: a live source's chunk is dropped and counted, another source waits.
    """

    def __init__(self, limit: int, *, live: bool) -> None:
        self._limit, self._live = limit, live
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._written: list[Callable[[], None]] = []
        self._closed = False
        self._dropped = 0
        self._condition = threading.Condition()

    def put(self, chunk: Chunk) -> bool:
        """False once closed."""
        new = size(chunk)
        with self._condition:
            if self._chunks and self._bytes + new > self._limit:
                if self._live:
                    self._dropped += rows(chunk)
                    return not self._closed
                self._condition.wait_for(lambda: self._closed or not self._chunks or self._bytes + new <= self._limit)
            if self._closed:
                return False
            self._chunks.append(chunk)
            self._bytes += new
            return True

    def confirm(self, written: Callable[[], None]) -> None:
        """To be called once all that came in before is written."""
        with self._condition:
            self._written.append(written)

    def confirmations(self) -> list[Callable[[], None]]:
        """Those of what was taken; asked for before `take`, or with nothing coming in between."""
        with self._condition:
            written, self._written = self._written, []
            return written

    def take(self) -> tuple[deque[Chunk], int]:
        """Everything there is, and the samples dropped since the last call."""
        with self._condition:
            chunks, self._chunks, self._bytes = self._chunks, deque(), 0
            dropped, self._dropped = self._dropped, 0
            self._condition.notify_all()
        return chunks, dropped

    def close(self) -> None:
        """Nothing more comes in; what is there can still be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
