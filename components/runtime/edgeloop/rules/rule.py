"""Alarm → action document. Dry-run unless armed, expiring, at most once per alarm, rate-limited."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgeloop.alarms import Alarm, Kind, Severity
from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration

ORDER: dict[str, int] = {"low": 0, "medium": 1, "high": 2, "critical": 3}
HOUR = 3_600_000_000_000


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do when a monitor raises an alarm."""

    monitor: Annotated[Id, Meta(title="Monitor", description="whose alarms fire the rule")]
    source: Annotated[Id, Meta(title="Source", description="source of SensorIngest whose write-back acts")]
    target: Annotated[
        str, Meta(title="Target", description="name of the action in that source", min_length=1, max_length=64)
    ]
    value: Annotated[float, Meta(title="Value", description="what is written")] = 1.0
    kinds: Annotated[
        str,
        Meta(title="Kinds", description="kinds that fire: process, event, drift, gap, flat_line, clock, range"),
    ] = "process"
    severity: Annotated[Severity, Meta(title="Severity", description="lowest severity that fires")] = "low"
    expires: Annotated[Duration, Meta(title="Expires", description="age at which the action is refused")] = Duration(
        "2 s"
    )
    most: Annotated[
        int, Meta(title="Most per hour", description="actions of this rule within an hour", ge=1, le=3600)
    ] = 6
    armed: Annotated[bool, Meta(title="Armed", description="false: the source only reports what it would do")] = False


class ActionCause(msgspec.Struct, frozen=True, kw_only=True):
    rule: str
    alarm: str
    monitor: str
    kind: Kind
    text: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A command to a source's write-back. issued, expires: ns UTC."""

    schema: int = 1
    id: str
    source: str
    target: str
    value: float
    issued: int
    expires: int
    armed: bool
    cause: ActionCause

    def document(self) -> bytes:
        return msgspec.json.encode(self)


class Rules:
    """The rules by id, and what they have done lately.

    The id of an action is a function of rule and alarm: a repeated alarm cannot act twice, here or at the source.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = dict(rules)
        self._fired: deque[str] = deque(maxlen=1024)
        self._times: dict[str, deque[int]] = {name: deque(maxlen=rule.most) for name, rule in rules.items()}
        self.limited = 0

    def fire(self, alarms: Iterable[Alarm], now: int) -> list[Action]:
        """Actions for alarms just raised; those over a rule's limit are counted in `limited` and not made."""
        actions = []
        for alarm in alarms:
            if alarm.state != "raised":
                continue
            for name, rule in self._rules.items():
                if not self._matches(rule, alarm):
                    continue
                identity = hashlib.blake2b(f"{name}/{alarm.id}".encode(), digest_size=8).hexdigest()
                if identity in self._fired:
                    continue
                times = self._times[name]
                if len(times) == rule.most and now - times[0] < HOUR:
                    self.limited += 1
                    continue
                times.append(now)
                self._fired.append(identity)
                cause = ActionCause(rule=name, alarm=alarm.id, monitor=alarm.monitor, kind=alarm.kind, text=alarm.text)
                actions.append(
                    Action(
                        id=identity,
                        source=rule.source,
                        target=rule.target,
                        value=rule.value,
                        issued=now,
                        expires=now + rule.expires,
                        armed=rule.armed,
                        cause=cause,
                    )
                )
        return actions

    def wait_for(self, monitor: str, kind: Kind) -> bool:
        """Whether any rule is about such alarms."""
        return any(r.monitor == monitor and kind in r.kinds.replace(",", " ").split() for r in self._rules.values())

    def replace(self, rules: Mapping[str, Rule]) -> None:
        """New rules; what has fired stays remembered."""
        self._rules = dict(rules)
        self._times = {name: deque(self._times.get(name, ()), maxlen=rule.most) for name, rule in rules.items()}

    @staticmethod
    def _matches(rule: Rule, alarm: Alarm) -> bool:
        return (
            alarm.monitor == rule.monitor
            and alarm.kind in rule.kinds.replace(",", " ").split()
            and ORDER[alarm.severity] >= ORDER[rule.severity]
        )

    def state(self) -> dict[str, Any]:
        """Plain data for the disk: limits and duplicates hold across a restart."""
        return {"fired": list(self._fired), "times": {name: list(times) for name, times in self._times.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._fired.extend(str(i) for i in state.get("fired", ()))
        for name, times in state.get("times", {}).items():
            if name in self._times:
                self._times[name].extend(int(t) for t in times)
