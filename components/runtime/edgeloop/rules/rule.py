"""Alarm → action document. Dry-run unless armed, expiring, once per alarm or renewed while it lasts, rate-limited."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgeloop.alarms import Alarm, Kind, Severity
from edgeloop.alarms.alarm import LIMITS
from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration

ORDER: dict[str, int] = {"low": 0, "medium": 1, "high": 2, "critical": 3}
HOUR = 3_600_000_000_000
OFTEN = 1_000_000_000
"""ns: the shortest time between renewals."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do when a monitor raises an alarm."""

    monitor: Annotated[Id, Meta(title="Monitor", description="the monitor or limit whose alarms fire the rule")]
    source: Annotated[Id, Meta(title="Source", description="source of SensorIngest whose write-back acts")]
    target: Annotated[
        str, Meta(title="Target", description="name of the action in that source", min_length=1, max_length=64)
    ]
    value: Annotated[float, Meta(title="Value", description="what is written")] = 1.0
    kinds: Annotated[
        str,
        Meta(
            title="Kinds",
            description="kinds that fire: process, event, drift, gap, flat_line, clock, range; of a limit: high, "
            "high_high, low, low_low, limit (process: all of them)",
        ),
    ] = "process"
    severity: Annotated[Severity, Meta(title="Severity", description="lowest severity that fires")] = "low"
    expires: Annotated[Duration, Meta(title="Expires", description="age at which the action is refused")] = Duration(
        "2 s"
    )
    most: Annotated[
        int,
        Meta(
            title="Most per hour",
            description="actions of this rule within an hour, not counting renewals",
            ge=1,
            le=3600,
        ),
    ] = 6
    renew: Annotated[
        Duration,
        Meta(
            title="Renew",
            description="the action is issued again this often, 1 s or more, while the alarm's condition holds, for a "
            "target with a fail-safe value; 0: never",
            extra={"le": "1 h"},
        ),
    ] = Duration("0 s")
    armed: Annotated[bool, Meta(title="Armed", description="false: the source only reports what it would do")] = False

    def __post_init__(self) -> None:
        if 0 < self.renew < OFTEN:
            raise ValueError(f"renew: {self.renew} is too often; 1 s or more, or 0 for never")

    @property
    def act(self) -> str:
        """What it does to which machine."""
        return f"{self.source}/{self.target}={self.value!r}/{self.armed}"


class ActionCause(msgspec.Struct, frozen=True, kw_only=True):
    """renewal: 0 for the action itself. time: ns UTC of the sample that decided."""

    rule: str
    alarm: str
    monitor: str
    kind: Kind
    text: str
    renewal: int = 0
    asset: str = ""
    channel: str = ""
    severity: str = ""
    state: str = ""
    score: float = 0.0
    time: int = 0


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


class Held(msgspec.Struct):
    """An action that was made and whose alarm is open. time: ns UTC of the last renewal; act: what the rule did."""

    time: int
    act: str
    renewal: int = 0


class Rules:
    """The rules by id, and what they have done lately.

    The id of an action is a function of rule, alarm and renewal: a repeated alarm cannot act twice, here or at the
    source. Renewals are one decision that is upheld: `most` counts it once, and what was over that limit is not
    renewed.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = dict(rules)
        self._fired: deque[str] = deque(maxlen=1024)
        self._held: dict[str, Held] = {}
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
                id = identity(name, alarm.id)
                if id in self._fired:
                    continue
                times = self._times[name]
                if len(times) == rule.most and now - times[0] < HOUR:
                    self.limited += 1
                    continue
                times.append(now)
                self._fired.append(id)
                self._held[id] = Held(now, rule.act)
                actions.append(_action(name, rule, alarm, now, 0))
        return actions

    def renew(self, alarms: Iterable[Alarm], now: int) -> list[Action]:
        """The actions that are due again. alarms: all that are open.

        An alarm upholds its actions while its condition holds, acknowledged or not; not while it is shelved, nor when
        it only is latched. A rule that has come to do something else has to fire anew.
        """
        if not self._held:
            return []
        actions = []
        held: dict[str, Held] = {}
        for alarm in alarms:
            for name, rule in self._rules.items():
                id = identity(name, alarm.id)
                known = self._held.get(id)
                if known is None or known.act != rule.act or not self._matches(rule, alarm):
                    continue
                held[id] = known
                due = rule.renew and not 0 <= now - known.time < rule.renew
                if due and alarm.active and alarm.state != "shelved":
                    number = max(known.renewal + 1, (now - alarm.raised_at) // rule.renew)
                    held[id] = Held(now, rule.act, number)
                    actions.append(_action(name, rule, alarm, now, number))
        self._held = held
        return actions

    def wait_for(self, monitor: str, kind: Kind) -> bool:
        """Whether any rule is about such alarms."""
        return any(r.monitor == monitor and _fires(r, kind) for r in self._rules.values())

    def replace(self, rules: Mapping[str, Rule]) -> None:
        """New rules; what has fired stays remembered."""
        self._rules = dict(rules)
        self._times = {name: deque(self._times.get(name, ()), maxlen=rule.most) for name, rule in rules.items()}

    @staticmethod
    def _matches(rule: Rule, alarm: Alarm) -> bool:
        return (
            alarm.monitor == rule.monitor and _fires(rule, alarm.kind) and ORDER[alarm.severity] >= ORDER[rule.severity]
        )

    def state(self) -> dict[str, Any]:
        """Plain data for the disk: limits, duplicates and renewals hold across a restart."""
        return {
            "fired": list(self._fired),
            "times": {name: list(times) for name, times in self._times.items()},
            "held": msgspec.to_builtins(self._held),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._fired.extend(str(i) for i in state.get("fired", ()))
        self._held = msgspec.convert(state.get("held", {}), dict[str, Held])
        for name, times in state.get("times", {}).items():
            if name in self._times:
                self._times[name].extend(int(t) for t in times)


def _fires(rule: Rule, kind: Kind) -> bool:
    """A limit has no process alarms: all of its own are."""
    kinds = rule.kinds.replace(",", " ").split()
    return kind in kinds or (kind in LIMITS and "process" in kinds)


def identity(rule: str, alarm: str, renewal: int = 0) -> str:
    """The id of an action.

    >>> identity("stop", "a018bcfe5687b-e3f8"), identity("stop", "a018bcfe5687b-e3f8", 1)
    ('717725a30992144e', '5eebe7fb32befe96')
    """
    number = f"/{renewal}" if renewal else ""
    return hashlib.blake2b(f"{rule}/{alarm}{number}".encode(), digest_size=8).hexdigest()


def _channel(alarm: Alarm) -> str:
    """The channel that adds most, or the stream."""
    found = alarm.cause.attribution
    return found[0].channel if found else alarm.cause.stream


def _action(name: str, rule: Rule, alarm: Alarm, now: int, renewal: int) -> Action:
    return Action(
        id=identity(name, alarm.id, renewal),
        source=rule.source,
        target=rule.target,
        value=rule.value,
        issued=now,
        expires=now + rule.expires,
        armed=rule.armed,
        cause=ActionCause(
            rule=name,
            alarm=alarm.id,
            monitor=alarm.monitor,
            kind=alarm.kind,
            text=alarm.text,
            renewal=renewal,
            asset=alarm.asset,
            channel=_channel(alarm),
            severity=alarm.severity,
            state=alarm.state,
            score=alarm.cause.score,
            time=alarm.sample_time,
        ),
    )
