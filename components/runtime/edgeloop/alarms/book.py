"""The open alarms and the rules by which their states change."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from edgeloop.alarms.alarm import NO_MONITOR, SEVERITIES, Alarm, Cause, Kind, Severity, State, identity
from edgeloop.alarms.commands import Acknowledge, Command, Shelve
from edgeloop.alarms.limits import Groups, told
from edgeloop.alarms.settings import AlarmSettings
from edgeloop.errors import EdgeloopError
from edgeloop.recent import HOUR, Times

Key = tuple[str, Kind]
MOST_SHELVED = 30 * 86_400 * 1_000_000_000
REMEMBERED = 1000
"""Closed alarms that can still be acknowledged."""


class AlarmBook:
    """One alarm at most is open per (monitor, kind).

    Every change is handed to `record` before it is returned, so that what was announced is on disk. What is recorded
    and not returned is not worth a message.

    What was decided by a sample that is not newer than the one that decided last (same epoch, lower index) is
    old news read again after a restart, and changes nothing. A condition that ends clears its alarm, acknowledged or
    not, unless it latches; an alarm that nobody acknowledged stays in `unseen`. While shelved, nothing of that
    (monitor, kind) is raised; when the shelf expires an alarm whose condition persists is raised again under its id.

    An alarm raised `chatter` times `within` stays as one, its `count` rising, until it has been quiet for as long.
    Beyond `most` alarms an hour those of an asset are `held_by` one alarm of kind "flood" that counts them; those that
    are still active an hour after the last one are raised then. One of NO_MONITOR is never held.
    """

    def __init__(
        self,
        restored: Iterable[Alarm] = (),
        record: Callable[[Alarm], None] = lambda alarm: None,
        settings: AlarmSettings | None = None,
    ) -> None:
        self.settings = settings or AlarmSettings()
        self._record = record
        self._open: dict[Key, Alarm] = {}
        self._closed: dict[str, Alarm] = {}
        self._decided: dict[Key, tuple[int, int]] = {}
        self._groups = Groups()
        self._announced: dict[str, Times] = {}
        self._raised: dict[Key, Times] = {}
        for alarm in sorted(restored, key=lambda a: a.raised_at):
            self._restore(alarm)
        for flood in self._floods():
            held = sum(a.held_by == flood.id for a in (*self._open.values(), *self._closed.values()))
            if held > flood.count:
                self._open[flood.monitor, "flood"] = msgspec.structs.replace(flood, count=held)

    @property
    def open(self) -> tuple[Alarm, ...]:
        return tuple(self._open.values())

    @property
    def unseen(self) -> tuple[Alarm, ...]:
        """Cleared without having been acknowledged."""
        return tuple(a for a in self._closed.values() if a.unseen)

    def find(self, monitor: str, kind: Kind) -> Alarm | None:
        """The open alarm whose condition is known to hold."""
        alarm = self._open.get((monitor, kind))
        return alarm if alarm is not None and alarm.active else None

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
        began: int = 0,
    ) -> list[Alarm]:
        """The condition holds. A change only where it did not hold before. now, sample, began (default: sample): ns
        UTC. One of kind "fleet" and those of its asset that are open beside it are one group."""
        known = self._open.get((monitor, kind))
        if (known is not None and known.active) or self._old(monitor, kind, cause):
            return []
        raised = self._raised.setdefault((monitor, kind), Times())
        raised.add(now)
        decided = {"sample_time": sample, "sample_epoch": cause.epoch, "sample_index": cause.index}
        if known is not None:
            often = raised.count(now, self.settings.within) >= self.settings.chatter
            again = self._change(
                known, active=True, count=known.count + 1, chattering=known.chattering or often, time=now, **decided
            )
            return [] if again.state == "shelved" or (again.chattering and not told(again.count)) else [again]
        id = self._new(monitor, kind, now)
        group, first = self._beside(asset, kind) or self._groups.join(asset, id, now, self.settings.group)
        alarm = Alarm(
            id=id, monitor=monitor, asset=asset, kind=kind, severity=severity, state="raised", text=text, cause=cause,
            raised_at=now, time=now, began=began or sample, group=group, first_out=first,
            sample_time=sample, sample_epoch=cause.epoch, sample_index=cause.index,
            chattering=raised.count(now, self.settings.within) >= self.settings.chatter,
        )  # fmt: skip
        announced = self._announced.setdefault(asset, Times())
        if severity != "critical" and monitor != NO_MONITOR and announced.count(now, HOUR) >= self.settings.most:
            return self._hold(alarm, now)
        announced.add(now)
        return [self._keep(alarm)]

    def revise(self, monitor: str, kind: Kind, *, severity: Severity, text: str, now: int) -> list[Alarm]:
        """What is said of a condition that holds has changed. One that is graver than what was acknowledged is raised
        again."""
        known = self.find(monitor, kind)
        if known is None or (known.severity, known.text) == (severity, text):
            return []
        graver = SEVERITIES.index(severity) > SEVERITIES.index(known.severity)
        again = {"state": "raised", "reason": "", "by": ""} if graver and known.state == "acknowledged" else {}
        changed = self._change(known, severity=severity, text=text, time=now, **again)
        return [] if changed.state == "shelved" or changed.held_by else [changed]

    def clear(self, monitor: str, kind: Kind, *, cause: Cause, now: int, sample: int) -> list[Alarm]:
        """The condition no longer holds; `cause` names the sample that says so."""
        known = self._open.get((monitor, kind))
        if known is None or not known.active or self._old(monitor, kind, cause):
            return []
        decided = {"sample_time": sample, "sample_epoch": cause.epoch, "sample_index": cause.index}
        if known.state == "shelved" or known.chattering:
            self._change(known, active=False, time=now, **decided)
            return []
        return [self._end(known, now, **decided)]

    def command(self, command: Command, now: int) -> list[Alarm]:
        """An operator's word. EdgeloopError where there is no such alarm or the word makes no sense."""
        alarm = next((a for a in self._open.values() if a.id == command.id), None) or self._closed.get(command.id)
        if alarm is None:
            raise EdgeloopError("no such alarm", where=command.id, mend="list them with `alarm list`")
        if isinstance(command, Acknowledge):
            return self._acknowledge(alarm, command, now)
        if not alarm.open:
            raise EdgeloopError("the alarm is over", where=command.id, mend="it can only be acknowledged")
        if isinstance(command, Shelve):
            if not now < command.until <= now + MOST_SHELVED:
                raise EdgeloopError(
                    "cannot shelve", where=command.id, why="`until` must be in the future, at most 30 days away"
                )
            return [
                self._change(alarm, state="shelved", shelved_until=command.until, by=command.by, time=now, held_by="")
            ]
        return [self._unshelve(alarm, now)] if alarm.state == "shelved" else []

    def tick(self, now: int) -> list[Alarm]:
        """Shelves that have expired, chattering that has ended, floods that are over."""
        changed = []
        for alarm in tuple(self._open.values()):
            if alarm.state == "shelved":
                if alarm.shelved_until <= now:
                    changed.append(self._unshelve(alarm, now))
            elif alarm.chattering and now - alarm.time >= self.settings.within:
                quiet = msgspec.structs.replace(alarm, chattering=False)
                changed.append(self._keep(quiet) if alarm.active else self._end(quiet, now))
            elif alarm.kind == "flood" and now - alarm.sample_time >= HOUR:
                changed.append(self._end(alarm, now))
                changed += self._release(alarm.id, now)
        return changed

    def retire(self, monitors: Iterable[str], now: int) -> list[Alarm]:
        """Clear what belongs to monitors other than these, which are gone. What the fleet found is of no monitor."""
        kept = {*monitors, NO_MONITOR}
        gone = [a for a in self._open.values() if a.monitor not in kept and a.kind != "fleet"]
        changed = [self._change(a, state="cleared", active=False, chattering=False, time=now) for a in gone]
        return changed + [a for flood in gone if flood.kind == "flood" for a in self._release(flood.id, now)]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _restore(self, alarm: Alarm) -> None:
        key = alarm.monitor, alarm.kind
        self._decided[key] = alarm.sample_epoch, alarm.sample_index
        self._raised.setdefault(key, Times()).add(alarm.raised_at)
        if alarm.group:
            self._groups.restore(alarm.asset, alarm.group, alarm.raised_at)
        if not alarm.held_by and alarm.kind != "flood":
            self._announced.setdefault(alarm.asset, Times()).add(alarm.raised_at)
        if alarm.open:
            self._open[key] = alarm
        else:
            self._remember(alarm)

    def _beside(self, asset: str, kind: Kind) -> tuple[str, bool] | None:
        """The group of what is open of the asset, where that or the new one is a finding of the fleet."""
        open_ = [a for a in self._open.values() if a.asset == asset and a.group and "fleet" in (kind, a.kind)]
        return (open_[-1].group, False) if open_ and self.settings.group else None

    def _new(self, monitor: str, kind: Kind, now: int) -> str:
        """An id that no other alarm has, also where one came and went at the same time."""
        return next(id for n in itertools.count() if (id := identity(monitor, kind, now + n)) not in self._closed)

    def _old(self, monitor: str, kind: Kind, cause: Cause) -> bool:
        epoch, index = self._decided.get((monitor, kind), (0, 0))
        return epoch != 0 and cause.epoch == epoch and cause.index < index

    def _acknowledge(self, alarm: Alarm, command: Acknowledge, now: int) -> list[Alarm]:
        """Of a flood: with all that it holds back."""
        if alarm.reason == command.reason and alarm.state != "raised":
            return []
        changed = [self._seen(msgspec.structs.replace(alarm, held_by=""), command, now)]
        if alarm.kind == "flood":
            held = [a for a in (*self._open.values(), *self._closed.values()) if a.held_by == alarm.id]
            changed += [self._seen(a, command, now) for a in held if a.reason != command.reason]
        return changed

    def _seen(self, alarm: Alarm, command: Acknowledge, now: int) -> Alarm:
        state: State = alarm.state
        if state == "raised":
            state = "acknowledged" if alarm.active or alarm.chattering else "cleared"
        return self._change(alarm, state=state, reason=command.reason, by=command.by, time=now)

    def _hold(self, alarm: Alarm, now: int) -> list[Alarm]:
        flood = next((a for a in self._floods() if a.asset == alarm.asset), None)
        flood = flood or self._open.get((alarm.monitor, "flood"))
        id = flood.id if flood is not None else self._new(alarm.monitor, "flood", now)
        alarm = self._keep(msgspec.structs.replace(alarm, held_by=id))
        count = flood.count + 1 if flood is not None else 1
        text = f"{count} alarm{'s' if count > 1 else ''} held back: more than {self.settings.most} within an hour"
        if flood is None:
            flood = msgspec.structs.replace(
                alarm, id=id, kind="flood", text=text, held_by="", group="", first_out=False, chattering=False,
                sample_time=now,
            )  # fmt: skip
            return [alarm, self._keep(flood)]
        severity = max(flood.severity, alarm.severity, key=SEVERITIES.index)
        flood = self._change(flood, count=count, text=text, severity=severity, sample_time=now)
        return [alarm, flood] if told(count) and flood.state != "shelved" else [alarm]

    def _release(self, flood: str, now: int) -> list[Alarm]:
        held = [a for a in self._open.values() if a.held_by == flood]
        for alarm in held:
            self._announced.setdefault(alarm.asset, Times()).add(now)
        return [self._change(a, held_by="") for a in held]

    def _floods(self) -> list[Alarm]:
        return [a for a in self._open.values() if a.kind == "flood"]

    def _unshelve(self, alarm: Alarm, now: int) -> Alarm:
        alarm = msgspec.structs.replace(alarm, shelved_until=0)
        return self._change(alarm, state="raised", time=now) if alarm.active else self._end(alarm, now)

    def _end(self, alarm: Alarm, now: int, **decided: int) -> Alarm:
        """The condition is over: cleared, or latched until somebody has seen it."""
        latch = self.settings.latch
        latches = latch != "never" and SEVERITIES.index(alarm.severity) >= SEVERITIES.index(latch)
        state = "raised" if latches and not alarm.reason and alarm.kind != "flood" else "cleared"
        return self._change(alarm, state=state, active=False, time=now, **decided)

    def _change(self, alarm: Alarm, **changes: Any) -> Alarm:
        return self._keep(msgspec.structs.replace(alarm, **changes))

    def _keep(self, alarm: Alarm) -> Alarm:
        self._record(alarm)
        key = alarm.monitor, alarm.kind
        if alarm.open:
            self._open[key] = alarm
        elif alarm.id in self._closed:
            self._closed[alarm.id] = alarm
            return alarm
        else:
            self._open.pop(key, None)
            self._remember(alarm)
        self._decided[key] = alarm.sample_epoch, alarm.sample_index
        return alarm

    def _remember(self, alarm: Alarm) -> None:
        self._closed[alarm.id] = alarm
        if len(self._closed) > REMEMBERED:
            del self._closed[next(iter(self._closed))]
