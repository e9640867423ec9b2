"""The readers' side of the samples topic: one call, whether batches came on the bus or wait in the journal."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from pathlib import Path
from time import monotonic

from edgeloop.errors import WireError
from edgeloop.journal.reader import JournalReader, tail
from edgeloop.journal.segment import Position
from edgeloop.samples import notice
from edgeloop.samples.notice import Notice
from edgeloop.wire.batch import Item
from edgeloop.wire.codec import decode

_PENDING = 64
_LOOK = 1.0
_READ = 16 << 20


class SamplesSubscriber:
    """Each item of the journal once and in order, whatever became of the notices; without any, within a second.

    streams: those wanted, None for all. position: where to go on, None for what is appended from now on.
    Behind the oldest segment it goes on at the tail, and `gaps` counts.
    """

    def __init__(
        self, directory: Path, streams: Collection[str] | None = None, position: Position | None = None
    ) -> None:
        self._streams = None if streams is None else frozenset(streams)
        self._reader = JournalReader(directory, tail(directory) if position is None else position, resume="tail")
        self._arrived: deque[bytes] = deque(maxlen=_PENDING)
        self._event = threading.Event()
        self._more = True
        self.bad_notices = 0

    @property
    def position(self) -> Position:
        """After the newest item that `read` returned; save it to go on there."""
        return self._reader.position

    @property
    def gaps(self) -> int:
        return self._reader.gaps

    def notice(self, payload: bytes) -> None:
        """Takes a message of the samples topic; returns at once, from any thread."""
        self._arrived.append(payload)
        self._event.set()

    def read(self, timeout: float) -> list[Item]:
        """The items since the last call, at most some 16 MiB; waits up to `timeout` seconds for the first."""
        end = monotonic() + timeout
        if self._more and (items := self._from_journal(None)):
            return items
        while True:
            items = self._from_notices()
            if items:
                return items
            left = end - monotonic()
            if left <= 0:
                return self._from_journal(None)
            if not self._event.wait(min(left, _LOOK)) and left > _LOOK and (items := self._from_journal(None)):
                return items

    def close(self) -> None:
        self._reader.close()

    def _from_notices(self) -> list[Item]:
        items: list[Item] = []
        self._event.clear()
        while self._arrived:
            try:
                told = notice.decode(self._arrived.popleft())
                if told.position <= self._reader.position:
                    continue
                if told.frames is not None and told.begin == self._reader.position:
                    items += self._inline(told, told.frames)
                else:
                    items += self._from_journal(told.position)
                    if self._more:
                        break
            except WireError:
                self.bad_notices += 1
        return items

    def _inline(self, told: Notice, frames: bytes) -> list[Item]:
        items: list[Item] = []
        offset = 0
        while offset < len(frames):
            item, offset = decode(frames, offset)
            items.append(item)
        self._reader.seek(told.position)
        return self._wanted(items)

    def _from_journal(self, until: Position | None) -> list[Item]:
        before = self._reader.position
        items = [item for item, _ in self._reader.read(until, _READ)]
        self._more = self._reader.position != before
        return self._wanted(items)

    def _wanted(self, items: list[Item]) -> list[Item]:
        return items if self._streams is None else [item for item in items if item.stream in self._streams]
