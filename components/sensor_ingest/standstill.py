"""Source clocks that stand still while samples come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgeloop.clock import NS
from edgeloop.sequence import Chunk, Samples
from edgeloop.wire.batch import Clock

LONG = 5.0
"""s of arrival within which a source's time stamps have to move."""
MANY = 5
"""Rows that have to come meanwhile: a slow stream may say the same thing twice."""


@dataclass(slots=True)
class _Seen:
    stamp: int
    since: float
    rows: int = 0
    standing: bool = False


class Standstill:
    """Looks at the stamps of every chunk whose clock is the source's."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._streams: dict[str, _Seen] = {}

    def look(self, chunk: Chunk) -> tuple[Chunk, bool]:
        """The chunk, its clock `free` and as uncertain as it is old where it stands; whether it stands."""
        if chunk.clock is None or chunk.clock.source != "device":
            return chunk, False
        first, last, rows = _span(chunk)
        now = self._monotonic()
        seen = self._streams.get(chunk.stream)
        if seen is None or last != seen.stamp or first != last:
            self._streams[chunk.stream] = _Seen(last, now)
            return chunk, False
        seen.rows += rows
        if seen.rows < MANY or now - seen.since < LONG:
            return chunk, False
        seen.standing = True
        return replace(chunk, clock=Clock("free", uncertainty=int((now - seen.since) * NS))), True

    def stands(self, stream: str) -> bool:
        """Whether the clock of a stream stood when it was last looked at."""
        seen = self._streams.get(stream)
        return seen is not None and seen.standing


def _span(chunk: Chunk) -> tuple[int, int, int]:
    """First and last stamp, and rows."""
    if chunk.times is None:
        assert isinstance(chunk, Samples)
        return chunk.time, chunk.time, len(chunk.samples)
    return int(chunk.times[0]), int(chunk.times[-1]), len(chunk.times)
