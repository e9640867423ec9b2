"""Alarms on disk: one JSON line per change, synced before it is announced."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from edgeloop.alarms.alarm import Alarm
from edgeloop.decode import document
from edgeloop.files import replace


class AlarmJournal:
    """Append-only `alarms.jsonl`, rewritten when it grows, with the open alarms and the last closed ones: `keep` that
    were acknowledged and `unseen` that were not. Of the latter, what had to go is counted in `forgotten`.

    A line that was cut by a crash was never announced, and is dropped. `announced(alarm)` marks what went out;
    `unannounced` are the changes that were on disk but perhaps not yet out when the process died.
    """

    def __init__(self, path: Path, *, largest: int = 1 << 20, keep: int = 200, unseen: int = 500) -> None:
        self._path, self._largest, self._keep, self._unseen = path, largest, keep, unseen
        self._least = 0
        self._alarms: dict[str, Alarm] = {}
        self._pending: dict[str, Alarm] = {}
        self.damaged = self.forgotten = 0
        self._read()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size
        self._rewrite()

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The last known state of each alarm, oldest first."""
        return tuple(self._alarms.values())

    @property
    def unannounced(self) -> tuple[Alarm, ...]:
        return tuple(self._pending.values())

    def record(self, alarm: Alarm, *, sync: bool = True) -> None:
        """On disk when this returns, or, where `sync` is left to the caller, safe from the death of the process.

        OSError when it cannot be.
        """
        self._remember(alarm)
        self._append(msgspec.json.encode(alarm))
        if sync:
            self.sync()
        if self._size > max(self._largest, 2 * self._least):
            self._rewrite()

    def sync(self) -> None:
        """What was recorded is on disk. OSError when it cannot be."""
        os.fdatasync(self._file)

    def announced(self, alarm: Alarm) -> None:
        self._mark(alarm.id, alarm.time)
        self._append(msgspec.json.encode({"announced": alarm.id, "time": alarm.time}))

    def close(self) -> None:
        os.close(self._file)

    def _remember(self, alarm: Alarm) -> None:
        self._alarms.pop(alarm.id, None)
        self._alarms[alarm.id] = alarm
        self._pending[alarm.id] = alarm
        if alarm.open:
            return
        for unseen, keep in ((False, self._keep), (True, self._unseen)):
            closed = [a.id for a in self._alarms.values() if not a.open and a.unseen is unseen]
            for gone in closed[: max(0, len(closed) - keep)]:
                del self._alarms[gone]
                self.forgotten += unseen

    def _append(self, line: bytes) -> None:
        """A line cut short by a full disk is ended by the newline of the next one, and skipped when read."""
        written = os.write(self._file, b"\n" + line)
        self._size += written
        if written <= len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in content.splitlines():
            entry = _entry(line)
            if isinstance(entry, Alarm):
                self._remember(entry)
            elif entry is not None:
                self._mark(*entry)
            elif line.strip():
                self.damaged += 1

    def _mark(self, id: str, time: int) -> None:
        pending = self._pending.get(id)
        if pending is not None and pending.time <= time:
            del self._pending[id]

    def _rewrite(self) -> None:
        lines = [msgspec.json.encode(a) for a in self._alarms.values()]
        lines += [
            msgspec.json.encode({"announced": a.id, "time": a.time})
            for a in self._alarms.values()
            if a.id not in self._pending
        ]
        content = b"".join(b"\n" + line for line in lines)
        replace(self._path, content, mode=0o600)
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size = self._least = len(content)


def read(path: Path) -> list[Alarm]:
    """The last known state of each alarm in a file that another process writes, oldest first. Raises OSError."""
    alarms: dict[str, Alarm] = {}
    for line in path.read_bytes().splitlines():
        entry = _entry(line)
        if isinstance(entry, Alarm):
            alarms[entry.id] = entry
    return sorted(alarms.values(), key=lambda alarm: alarm.raised_at)


def _entry(line: bytes) -> Alarm | tuple[str, int] | None:
    """A state of an alarm, a mark (id, time), or None for anything else."""
    try:
        if line.startswith(b'{"announced"'):
            mark = document(line)
            return str(mark["announced"]), int(mark["time"])
        return document(line, Alarm)
    except (KeyError, TypeError, ValueError):
        return None
