"""The messages of one stream: segments, the oldest deleted first and whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeloop_tools.core import files
from edgeloop_tools.core.stream_manager.definitions import MessageStreamDefinition, Persistence, StrategyOnFull
from edgeloop_tools.core.stream_manager.store.segment import (
    HEAD,
    SUFFIX,
    FileSegment,
    MemorySegment,
    Message,
    Segment,
)

__all__ = ["Log", "Message", "StreamFull", "TooLarge"]

log = logging.getLogger("edgeloop.core.stream_manager")

OnDrop = Callable[[Segment], None]


class StreamFull(Exception):
    """The stream has reached its size and keeps what it has."""


class TooLarge(Exception):
    """The message is larger than a segment."""


class Log:
    """Raises OSError where the disk refuses. `definition` may be replaced. `on_drop` sees a segment before it goes."""

    def __init__(self, definition: MessageStreamDefinition, folder: Path, on_drop: OnDrop) -> None:
        self.definition = definition
        self.total_bytes = 0
        self._folder, self._on_drop = folder, on_drop
        self._segments: list[Segment] = []
        if definition.persistence is Persistence.FILE:
            self._recover()
        if not self._segments:
            self._segments.append(self._fresh(0))

    @property
    def oldest(self) -> int:
        """The first sequence number that can be read, or will be."""
        return self._segments[0].first

    @property
    def newest(self) -> int:
        """-1 before the first message."""
        return self._active.newest

    def append(self, payload: bytes, now: int) -> int:
        """The sequence number. now: ms since 1970. Raises StreamFull, TooLarge, OSError."""
        wanted = HEAD.size + len(payload)
        if wanted > self.definition.stream_segment_size:
            room = self.definition.stream_segment_size - HEAD.size
            raise TooLarge(f"{len(payload)} bytes, and a segment takes {room}")
        self.expire(now)
        self._make_room(wanted)
        if self._active.size and self._active.size + wanted > self.definition.stream_segment_size:
            self._roll()
        self._active.append(payload, now)
        self.total_bytes += wanted
        return self._active.newest

    def read(self, start: int) -> Iterator[Message]:
        """From a sequence number, or the oldest behind it, to the end."""
        for segment in list(self._segments):
            if segment.newest >= start:
                yield from segment.read(start)

    def available(self, start: int) -> int:
        """How many messages there are from a sequence number on."""
        return sum(max(0, segment.newest - max(segment.first, start) + 1) for segment in self._segments)

    def expire(self, now: int) -> None:
        """Delete the segments of which every message has outlived its time."""
        life = self.definition.time_to_live_millis
        while life is not None and self._segments[0].size and self._segments[0].last_ingest + life <= now:
            self._drop_oldest()

    def descriptor(self) -> int | None:
        return self._active.descriptor()

    def close(self) -> None:
        self._active.seal()

    @property
    def _active(self) -> Segment:
        return self._segments[-1]

    def _make_room(self, wanted: int) -> None:
        while self.total_bytes + wanted > self.definition.max_size:
            if self.definition.strategy_on_full is StrategyOnFull.REJECT_NEW_DATA:
                raise StreamFull(f"the stream is full: {self.total_bytes} of {self.definition.max_size} bytes")
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        if len(self._segments) == 1:
            self._roll()
        segment = self._segments[0]
        self._on_drop(segment)
        del self._segments[0]
        self.total_bytes -= segment.size
        segment.remove()

    def _roll(self) -> None:
        fresh = self._fresh(self._active.newest + 1)
        self._active.seal()
        self._segments.append(fresh)

    def _fresh(self, first: int) -> Segment:
        if self.definition.persistence is Persistence.MEMORY:
            return MemorySegment(first)
        segment = FileSegment.create(self._folder, first)
        if self.definition.flush_on_write:
            files.sync_folder(self._folder)
        return segment

    def _recover(self) -> None:
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        for path in paths:
            segment, cut = FileSegment.recover(path, last=path is paths[-1])
            self.total_bytes += segment.size
            self._segments.append(segment)
            if cut:
                log.warning("%s: %s bytes behind message %s are no message", self.definition.name, cut, segment.newest)
