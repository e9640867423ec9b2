"""Alarms on disk: one JSON line per change, synced before it is announced."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from edgeloop.alarms.alarm import Alarm
from edgeloop.files import replace


class AlarmJournal:
    """Append-only `alarms.jsonl`, rewritten with the open alarms and the last `keep` closed ones when it grows.

    A line that was cut by a crash was never announced, and is dropped. `announced(alarm)` marks what went out;
    `unannounced` are the changes that were on disk but perhaps not yet out when the process died.
    """

    def __init__(self, path: Path, *, largest: int = 1 << 20, keep: int = 200) -> None:
        self._path, self._largest, self._keep = path, largest, keep
        self._alarms: dict[str, Alarm] = {}
        self._pending: dict[str, Alarm] = {}
        self.damaged = 0
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

    def record(self, alarm: Alarm) -> None:
        """On disk when this returns. OSError when it cannot be."""
        self._remember(alarm)
        self._append(msgspec.json.encode(alarm))
        os.fdatasync(self._file)
        if self._size > self._largest:
            self._rewrite()

    def announced(self, alarm: Alarm) -> None:
        pending = self._pending.get(alarm.id)
        if pending is not None and pending.time <= alarm.time:
            del self._pending[alarm.id]
        self._append(msgspec.json.encode({"announced": alarm.id, "time": alarm.time}))

    def close(self) -> None:
        os.close(self._file)

    def _remember(self, alarm: Alarm) -> None:
        self._alarms.pop(alarm.id, None)
        self._alarms[alarm.id] = alarm
        self._pending[alarm.id] = alarm
        closed = [a.id for a in self._alarms.values() if not a.open]
        for gone in closed[: max(0, len(closed) - self._keep)]:
            del self._alarms[gone]

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
            if not line.strip():
                continue
            try:
                if line.startswith(b'{"announced"'):
                    mark = msgspec.json.decode(line)
                    pending = self._pending.get(mark["announced"])
                    if pending is not None and pending.time <= mark["time"]:
                        del self._pending[mark["announced"]]
                else:
                    self._remember(msgspec.json.decode(line, type=Alarm))
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
                self.damaged += 1

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
        self._size = len(content)
