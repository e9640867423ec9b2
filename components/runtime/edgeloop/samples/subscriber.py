"""The readers' side of the samples topic: one call, whether batches came on the bus or wait in the journal."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable
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
        while not (items := self._collect()):
            left = end - monotonic()
            if left > 0 and self._event.wait(min(left, _LOOK)):
                continue
            self._more = True
            if left <= _LOOK:
                return self._collect()
        return items

    def close(self) -> None:
        self._reader.close()

    def _collect(self) -> list[Item]:
        """What can be had without waiting."""
        items: list[Item] = []
        self._event.clear()
        while not items or self._arrived:
            if self._more:
                if items:
                    break
                self._more = self._from_journal(items)
            elif not self._arrived:
                break
            else:
                try:
                    self._take(notice.decode(self._arrived.popleft()), items)
                except WireError:
                    self.bad_notices += 1
                    self._more = True
        return items

    def _take(self, told: Notice, items: list[Item]) -> None:
        if told.position <= self._reader.position:
            return
        if told.frames is None or told.begin != self._reader.position:
            self._more = True
            return
        found: list[Item] = []
        offset = 0
        while offset < len(told.frames):
            item, offset = decode(told.frames, offset)
            found.append(item)
        self._reader.seek(told.position)
        self._add(found, items)

    def _from_journal(self, items: list[Item]) -> bool:
        """Whether there was anything, wanted or not."""
        before = self._reader.position
        self._add((item for item, _ in self._reader.read(limit_bytes=_READ)), items)
        return self._reader.position != before

    def _add(self, found: Iterable[Item], items: list[Item]) -> None:
        items.extend(item for item in found if self._streams is None or item.stream in self._streams)
