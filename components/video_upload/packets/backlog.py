"""What is to go up and has not arrived: in the ring while that keeps it, else in a folder of our own."""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edgeloop.documents import encode
from edgeloop.durable import Document, make_folder
from edgeloop.durable.disk import replace
from edgeloop.ring import Segment, read
from video_upload.packets.choice import Choice

HELD: Final = 8
"""Segments of the ring that may wait before they are copied."""


class Cursor(msgspec.Struct):
    """decided: name of the last segment that is chosen or left out, and arrived or kept here. spans: ns UTC, of events
    whose pictures may still come; events: the last ones: ns UTC, what, and of what."""

    schema: int = 1
    decided: str = ""
    spans: list[tuple[int, int]] = []
    events: list[tuple[int, str, str]] = []


@dataclass(slots=True)
class Entry:
    name: str
    segment: Segment
    kept: bool

    @property
    def size(self) -> int:
        return self.segment.bytes


class Backlog:
    """Not thread-safe. `lost(first, last, why)`: ns UTC of what will not arrive."""

    def __init__(
        self, ring: Path, folder: Path, budget: int, lost: Callable[[int, int, str], None]
    ) -> None:
        """Raises OSError."""
        self.ring, self._folder, self._budget, self._lost = ring, folder, budget, lost
        make_folder(folder)
        self._file = Document(folder / "cursor.json", Cursor, Cursor)
        cursor = self._file.load()
        self.spans, self.events, self._through = cursor.spans, cursor.events, cursor.decided
        self.damage = self._file.damage
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._kept = 0
        self._seen = self._through
        self._previous: Segment | None = None
        for name, segment in read(folder):
            self._entries[name] = Entry(name, segment, True)
            self._kept += segment.bytes
            self._seen = max(self._seen, name)

    @property
    def entries(self) -> list[Entry]:
        """Oldest first."""
        return list(self._entries.values())

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def fresh(self) -> list[tuple[str, Segment]]:
        """Segments of the ring that were not seen; what is missing between two of them is declared."""
        found = read(self.ring, self._seen)
        for name, segment in found:
            before, self._previous = self._previous, segment
            if before is not None and not segment.follows and segment.begin > before.end:
                self._lost(before.end, segment.begin, "the camera gave nothing")
            self._seen = name
        return found

    def add(self, name: str, segment: Segment) -> None:
        self._entries[name] = Entry(name, segment, False)

    def decided(self, name: str) -> None:
        """All up to it is chosen or left out."""
        self._through = max(self._through, name)

    def choose(self, choice: Choice) -> None:
        """Takes over what is decided by now."""
        taken, decided = choice.take()
        for name, segment in taken:
            self.add(name, segment)
        if decided:
            self.decided(decided)
        self.spans = choice.spans

    def path(self, entry: Entry) -> Path:
        return (self._folder if entry.kept else self.ring) / entry.segment.file

    def arrived(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        if entry.kept:
            self._remove(entry)

    def dropped(self, name: str, why: str) -> None:
        """It will not arrive."""
        entry = self._entries.get(name)
        if entry is not None:
            self._lost(entry.segment.begin, entry.segment.end, why)
            self.arrived(name)

    def keep(self, everything: bool = False) -> None:
        """Copies what waits too long for a ring; over the budget the oldest goes. Raises OSError."""
        loose = [entry for entry in self._entries.values() if not entry.kept]
        for entry in loose if everything else loose[: max(0, len(loose) - HELD)]:
            try:
                self._copy(entry)
            except FileNotFoundError:
                self.dropped(entry.name, "the ring was too short")
        while self._kept > self._budget:
            oldest = next(entry for entry in self._entries.values() if entry.kept)
            self.dropped(oldest.name, "no room")

    def save(self) -> None:
        """Raises OSError."""
        loose = next((entry.name for entry in self._entries.values() if not entry.kept), None)
        decided = self._through if loose is None else f"{int(loose) - 1:016d}"
        self._file.save(Cursor(decided=decided, spans=self.spans, events=self.events))

    def _copy(self, entry: Entry) -> None:
        target = self._folder / entry.segment.file
        new = target.with_name(f"{target.name}.new")
        try:
            shutil.copyfile(self.ring / entry.segment.file, new)
            os.replace(new, target)
            replace(self._folder / f"{entry.name}.json", encode(entry.segment), sync=False)
        except OSError:
            for path in (new, target):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
        entry.kept = True
        self._kept += entry.size

    def _remove(self, entry: Entry) -> None:
        self._kept -= entry.size
        for path in (self._folder / entry.segment.file, self._folder / f"{entry.name}.json"):
            with suppress(OSError):
                path.unlink(missing_ok=True)
