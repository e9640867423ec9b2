"""Everything the harness saw, in the order of its arrival."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from edgeloop.clock import NS, now
from edgeloop_tools.harness.documents import (
    ActionResult,
    AlarmEvent,
    Health,
    Inspection,
    ModelState,
    PartTruth,
    Result,
    TruthEvent,
)


@dataclass(frozen=True, slots=True)
class Received:
    """An alarm's change of state and when the observer had it, ns UTC."""

    at: int
    event: AlarmEvent


@dataclass(frozen=True, slots=True)
class Score:
    at: int
    result: Result


@dataclass(frozen=True, slots=True)
class Inspected:
    at: int
    inspection: Inspection


@dataclass(frozen=True, slots=True)
class Intervention:
    """What the harness itself did to the line, and when the line was whole again, ns UTC."""

    kind: Literal["kill", "deployment"]
    component: str
    at: int
    recovered: int | None = None


@dataclass(slots=True)
class Seen:
    """Samples of one (stream, epoch) that the bus announced: [first, end)."""

    first: int
    end: int


@dataclass(slots=True)
class Recording:
    """One writer, the observer; lists only grow, so a reader needs no lock."""

    started: int = field(default_factory=now)
    messages: Counter[str] = field(default_factory=Counter)
    message_bytes: int = 0
    per_second: Counter[int] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    truth: dict[str, TruthEvent] = field(default_factory=dict)
    alarms: list[Received] = field(default_factory=list)
    scores: defaultdict[str, list[Score]] = field(default_factory=lambda: defaultdict(list))
    actions: list[ActionResult] = field(default_factory=list)
    health: dict[str, Health] = field(default_factory=dict)
    announced_bytes: dict[str, int] = field(default_factory=dict)
    announced: dict[tuple[str, int], Seen] = field(default_factory=dict)
    parts: dict[tuple[str, str], PartTruth] = field(default_factory=dict)
    inspections: list[Inspected] = field(default_factory=list)
    models: defaultdict[str, list[ModelState]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, str] = field(default_factory=dict)
    interventions: list[Intervention] = field(default_factory=list)
    first_score: int | None = None
    listeners: list[Callable[[str, str], None]] = field(default_factory=list)

    def say(self, kind: str, line: str) -> None:
        """Tell the views one line of the log of events."""
        for listener in self.listeners:
            listener(kind, line)

    def after(self, event: AlarmEvent) -> str:
        """What was first out in an alarm's group, in words; empty where it was this one."""
        if not event.group or event.group == event.id:
            return ""
        first = next((r.event for r in self.alarms if r.event.id == event.group), None)
        return f"first out: {first.text or first.called}" if first is not None else ""

    def announce(self, stream: str, epoch: int, index: int, count: int) -> None:
        """Samples [index, index + count) of (stream, epoch) were on the bus."""
        seen = self.announced.get((stream, epoch))
        if seen is None:
            self.announced[stream, epoch] = Seen(index, index + count)
        else:
            seen.first = min(seen.first, index)
            seen.end = max(seen.end, index + count)

    @property
    def kills(self) -> list[Intervention]:
        return [i for i in self.interventions if i.kind == "kill"]

    def rate(self, seconds: int = 5) -> float:
        """Messages a second on the bus over the last whole seconds."""
        last = now() // NS
        return sum(self.per_second[s] for s in range(last - seconds, last)) / seconds

    def latest(self) -> dict[str, Result]:
        return {monitor: series[-1].result for monitor, series in self.scores.items() if series}

    def standing(self) -> list[Received]:
        """Alarms that are neither cleared nor shelved, oldest first."""
        newest: dict[str, Received] = {}
        for received in list(self.alarms):
            newest[received.event.id] = received
        return [r for r in newest.values() if r.event.state in ("raised", "acknowledged")]
