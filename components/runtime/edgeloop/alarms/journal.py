"""Alarms on disk: one JSON line per change, synced before it is announced."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeloop.alarms.alarm import Alarm
from edgeloop.decode import document
from edgeloop.durable import AppendLog, records


class AlarmJournal:
    """Append-only `alarms.jsonl`, rewritten when it grows, with the open alarms and the last closed ones: `keep` that
    were acknowledged and `unseen` that were not. Of the latter, what had to go is counted in `forgotten`.

    A line that was cut by a crash was never announced, and is dropped. `announced(alarm)` marks what went out;
    `unannounced` are the changes that were on disk but perhaps not yet out when the process died.
    """

    def __init__(self, path: Path, *, largest: int = 1 << 20, keep: int = 200, unseen: int = 500) -> None:
        self._log = AppendLog(path, largest=largest)
        self._largest, self._keep, self._unseen = largest, keep, unseen
        self._least = 0
        self._alarms: dict[str, Alarm] = {}
        self._pending: dict[str, Alarm] = {}
        self.damaged = self.forgotten = 0
        self._read()

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
        self._log.append(msgspec.json.encode(alarm), sync=sync)
        if self._log.size > max(self._largest, 2 * self._least):
            self._rewrite()

    def sync(self) -> None:
        """What was recorded is on disk. OSError when it cannot be."""
        self._log.sync()

    def announced(self, alarm: Alarm) -> None:
        self._mark(alarm.id, alarm.time)
        self._log.append(msgspec.json.encode({"announced": alarm.id, "time": alarm.time}), sync=False)

    def close(self) -> None:
        self._log.close()

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

    def _read(self) -> None:
        for record in self._log.read():
            entry = _entry(record)
            if isinstance(entry, Alarm):
                self._remember(entry)
            elif entry is not None:
                self._mark(*entry)
            else:
                self.damaged += 1
        self.damaged += self._log.damaged
        self._least = min(self._log.size, self._largest)

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
        self._log.rewrite(lines)
        self._least = self._log.size


def read(path: Path) -> list[Alarm]:
    """The last known state of each alarm in a file that another process writes, oldest first. Raises OSError."""
    alarms: dict[str, Alarm] = {}
    for record in records(path.read_bytes()):
        entry = None if record is None else _entry(record)
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
