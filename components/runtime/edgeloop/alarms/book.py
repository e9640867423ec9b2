"""The open alarms and the rules by which their states change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from edgeloop.alarms.alarm import Alarm, Cause, Kind, Severity, identity
from edgeloop.alarms.commands import Acknowledge, Command, Shelve
from edgeloop.errors import EdgeloopError

Key = tuple[str, Kind]
MOST_SHELVED = 30 * 86_400 * 1_000_000_000


class AlarmBook:
    """One alarm at most is open per (monitor, kind).

    Every change is handed to `record` before it is returned, so that what was announced is on disk.

    What was decided by a sample that is not newer than the one that decided last (same epoch, lower index) is
    old news read again after a restart, and changes nothing. A condition that ends clears its alarm, acknowledged or
    not. While shelved, nothing of that (monitor, kind) is raised; when the shelf expires an alarm whose condition
    persists is raised again under its id.
    """

    def __init__(self, restored: Iterable[Alarm] = (), record: Callable[[Alarm], None] = lambda alarm: None) -> None:
        self._open: dict[Key, Alarm] = {}
        self._decided: dict[Key, tuple[int, int]] = {}
        for alarm in restored:
            key = alarm.monitor, alarm.kind
            self._decided[key] = alarm.sample_epoch, alarm.sample_index
            if alarm.open:
                self._open[key] = alarm
        self._record = record

    @property
    def open(self) -> tuple[Alarm, ...]:
        return tuple(self._open.values())

    def find(self, monitor: str, kind: Kind) -> Alarm | None:
        return self._open.get((monitor, kind))

    def raise_(
        self,
        monitor: str,
        kind: Kind,
        *,
        asset: str,
        severity: Severity,
        text: str,
        cause: Cause,
        now: int,
        sample: int,
    ) -> list[Alarm]:
        """The condition holds. A change only where it did not hold before. now, sample: ns UTC."""
        known = self._open.get((monitor, kind))
        if known is not None:
            if not known.active:
                self._open[monitor, kind] = msgspec.structs.replace(known, active=True)
            return []
        if self._old(monitor, kind, cause):
            return []
        alarm = Alarm(
            id=identity(monitor, kind, now), monitor=monitor, asset=asset, kind=kind, severity=severity, state="raised",
            text=text, raised_at=now, time=now, sample_time=sample, sample_epoch=cause.epoch, sample_index=cause.index,
            cause=cause,
        )  # fmt: skip
        return [self._keep(alarm)]

    def clear(self, monitor: str, kind: Kind, *, cause: Cause, now: int, sample: int) -> list[Alarm]:
        """The condition no longer holds; `cause` names the sample that says so."""
        known = self._open.get((monitor, kind))
        if known is None or self._old(monitor, kind, cause):
            return []
        if known.state == "shelved":
            self._open[monitor, kind] = msgspec.structs.replace(known, active=False)
            return []
        return [
            self._keep(
                msgspec.structs.replace(
                    known, state="cleared", active=False, time=now, sample_time=sample,
                    sample_epoch=cause.epoch, sample_index=cause.index,
                )
            )
        ]  # fmt: skip

    def _old(self, monitor: str, kind: Kind, cause: Cause) -> bool:
        epoch, index = self._decided.get((monitor, kind), (0, 0))
        return epoch != 0 and cause.epoch == epoch and cause.index < index

    def command(self, command: Command, now: int) -> list[Alarm]:
        """An operator's word. EdgeloopError where there is no such open alarm or the word makes no sense."""
        alarm = next((a for a in self._open.values() if a.id == command.id), None)
        if alarm is None:
            raise EdgeloopError("no such open alarm", where=command.id, mend="list the open ones with `alarm list`")
        if isinstance(command, Acknowledge):
            if alarm.state == "acknowledged" and alarm.reason == command.reason:
                return []
            state = alarm.state if alarm.state == "shelved" else "acknowledged"
            return [
                self._keep(msgspec.structs.replace(alarm, state=state, reason=command.reason, by=command.by, time=now))
            ]
        if isinstance(command, Shelve):
            if not now < command.until <= now + MOST_SHELVED:
                raise EdgeloopError(
                    "cannot shelve", where=command.id, why="`until` must be in the future, at most 30 days away"
                )
            changes = {"state": "shelved", "shelved_until": command.until, "by": command.by, "time": now}
            return [self._keep(msgspec.structs.replace(alarm, **changes))]
        return [self._unshelve(alarm, now)] if alarm.state == "shelved" else []

    def tick(self, now: int) -> list[Alarm]:
        """Shelves that have expired."""
        due = [a for a in self._open.values() if a.state == "shelved" and a.shelved_until <= now]
        return [self._unshelve(a, now) for a in due]

    def retire(self, monitors: Iterable[str], now: int) -> list[Alarm]:
        """Clear what belongs to monitors other than these, which are gone."""
        kept = set(monitors)
        gone = [a for a in self._open.values() if a.monitor not in kept]
        return [self._keep(msgspec.structs.replace(a, state="cleared", active=False, time=now)) for a in gone]

    def _unshelve(self, alarm: Alarm, now: int) -> Alarm:
        state = "raised" if alarm.active else "cleared"
        return self._keep(msgspec.structs.replace(alarm, state=state, shelved_until=0, time=now))

    def _keep(self, alarm: Alarm) -> Alarm:
        self._record(alarm)
        self._decided[alarm.monitor, alarm.kind] = alarm.sample_epoch, alarm.sample_index
        if alarm.open:
            self._open[alarm.monitor, alarm.kind] = alarm
        else:
            self._open.pop((alarm.monitor, alarm.kind), None)
        return alarm
