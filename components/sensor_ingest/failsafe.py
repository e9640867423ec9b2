"""What was written to machines and must be renewed; what is not, goes back to its safe value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.durable import BackOff, Document

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""s: between attempts to write a safe value."""
LOOK = 0.25
"""s: how often it is looked whether a source has connected anew."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """On the disk: an action that was executed, perhaps."""

    source: str
    target: str
    action: str


class _Saved(msgspec.Struct, kw_only=True):
    schema: int = 2
    held: list[Entry] = []


@dataclass(slots=True)
class Held:
    """A target that is not at its safe value. deadline: s, monotonic. pause: between attempts to write that.

    connection: (source, its connections) with which the last action was written; None: of a process before this one.
    """

    entry: Entry
    deadline: float
    connection: tuple[object, int] | None
    pause: BackOff
    told: str = ""

    def why(self, now: float, connection: tuple[object, int]) -> str:
        """Why the safe value is due; empty where it is not."""
        if self.connection is None:
            return "the process that wrote it has ended"
        if now >= self.deadline:
            return "it was not renewed in time"
        if connection != self.connection:
            return "the source has connected anew"
        return ""


class HeldTargets:
    """The targets that are not at their safe values, in a file that is on the disk before a machine is touched."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._file, self._now = Document(path, _Saved, _Saved, older=_older), now
        self._held = {(e.source, e.target): self._made(e, now(), None) for e in self._file.load().held}
        self.damage = self._file.damage

    def __iter__(self) -> Iterator[Held]:
        return iter(tuple(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entry: Entry, after: float, connection: tuple[object, int]) -> None:
        """Before an action is executed, and renewed by it. Raises OSError, and the action must not be executed."""
        key = entry.source, entry.target
        known = self._held.get(key)
        self._held[key] = self._made(entry, self._now() + after, connection)
        if known is None:
            try:
                self._save()
            except OSError:
                del self._held[key]
                raise

    def release(self, source: str, target: str) -> None:
        """At its safe value, or no more. A file that keeps it only has the safe value written again by a restart."""
        if self._held.pop((source, target), None) is not None:
            with suppress(OSError):
                self._save()

    def _made(self, entry: Entry, deadline: float, connection: tuple[object, int] | None) -> Held:
        return Held(entry, deadline, connection, BackOff(FIRST_PAUSE, LONGEST_PAUSE, clock=self._now))

    def _save(self) -> None:
        self._file.save(_Saved(held=[h.entry for h in self._held.values()]))


def _older(document: Any) -> Any:
    """Before schema 2 it was the list alone."""
    return {"held": document} if isinstance(document, list) else document
