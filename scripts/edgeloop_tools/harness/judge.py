"""Truth against alarms: which fault was found, when, and which alarm nobody had a reason for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgeloop.clock import NS
from edgeloop_tools.harness.recording import Intervention, Received, Recording

GRACE = 2 * NS
"""An alarm may come this long after the end of its fault."""

FITTING: dict[str, frozenset[str]] = {
    "outer_race": frozenset({"process", "event"}),
    "imbalance": frozenset({"process", "event"}),
    "drift": frozenset({"process", "event", "drift", "range"}),
    "dropout": frozenset({"gap", "flat_line"}),
    "clock_jump": frozenset({"clock"}),
    "recorded": frozenset({"process", "event", "drift", "range"}),
}
"""Kinds of alarm that name a kind of fault."""

OWN_CLOCK = frozenset({"process", "event", "range", "flat_line"})
"""Kinds of alarm whose deciding sample carries a time stamp that can be held against the wall clock."""


OF_A_KILL = frozenset({"gap", "flat_line", "clock"})
"""Kinds of alarm that a kill or a restart explains."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What really happened. start, end: ns UTC, or row numbers of `stream` where a recording was replayed."""

    id: str
    kind: str
    machine: str
    start: int
    end: int
    stream: str | None = None
    by: Literal["time", "row"] = "time"


@dataclass(frozen=True, slots=True)
class Found:
    fault: Fault
    alarm: Received

    @property
    def onset_to_alert(self) -> int | None:
        """ns from the fault's first sample to the alarm at the observer; None for recordings."""
        return self.alarm.at - self.fault.start if self.fault.by == "time" else None


@dataclass(slots=True)
class Verdict:
    """found and missed are faults; the other lists share out the remaining alarms.

    unjudged: alarms on recordings of which nobody says what they hold.
    """

    found: list[Found] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    repeats: list[Received] = field(default_factory=list)
    explained: list[Received] = field(default_factory=list)
    false_alarms: list[Received] = field(default_factory=list)
    unjudged: list[Received] = field(default_factory=list)

    @property
    def truth(self) -> int:
        return len(self.found) + len(self.missed)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Kind of fault → (truth, detected)."""
        kinds: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for found in self.found:
            kinds[found.fault.kind][0] += 1
            kinds[found.fault.kind][1] += 1
        for fault in self.missed:
            kinds[fault.kind][0] += 1
        return {kind: (counts[0], counts[1]) for kind, counts in sorted(kinds.items())}

    @property
    def promise_kept(self) -> bool:
        """At most a tenth of the faults missed; of a handful, at most one."""
        return len(self.missed) <= max(1, self.truth // 10)


def faults(recording: Recording, until: int) -> list[Fault]:
    """The simulated faults that were over by `until`, or at least started and found; ns UTC."""
    return [
        Fault(t.id, t.kind, t.machine, t.start, t.end, t.stream)
        for t in sorted(recording.truth.values(), key=lambda t: t.start)
        if t.start < until
    ]


def judge(
    faults: Iterable[Fault],
    alarms: Sequence[Received],
    interventions: Sequence[Intervention] = (),
    *,
    until: int,
    unlabelled: Collection[str] = (),
) -> Verdict:
    """Each raised alarm goes to one place.

    A fault is found by the first fitting alarm on its machine from its start to GRACE after its end. A further
    alarm in that time is a repeat; one that a kill explains (a gap, a clock) is explained; the rest are false.
    A flood only counts others, and is none of these.
    A fault that is still going on at `until` (ns UTC) counts only if it was found; what comes later does not count.
    """
    verdict = Verdict()
    raised = [a for a in alarms if a.event.state == "raised" and a.event.kind != "flood" and a.at <= until]
    known: list[Fault] = list(faults)
    taken: set[int] = set()
    for fault in known:
        fitting = FITTING.get(fault.kind, frozenset({"process"}))
        match = next((a for a in raised if id(a) not in taken and a.event.kind in fitting and _during(fault, a)), None)
        if match is not None:
            taken.add(id(match))
            verdict.found.append(Found(fault, match))
        elif fault.by == "row" or fault.end + GRACE <= until:
            verdict.missed.append(fault)
    for alarm in raised:
        if id(alarm) in taken:
            continue
        if alarm.event.asset in unlabelled:
            verdict.unjudged.append(alarm)
        elif any(_during(fault, alarm) for fault in known):
            verdict.repeats.append(alarm)
        elif alarm.event.kind in OF_A_KILL and any(
            i.at <= alarm.at <= (i.recovered or until) + GRACE for i in interventions
        ):
            verdict.explained.append(alarm)
        else:
            verdict.false_alarms.append(alarm)
    return verdict


def _during(fault: Fault, alarm: Received) -> bool:
    cause = alarm.event.cause
    stream = cause.stream if cause else ""
    if fault.by == "row":
        at = cause.index if cause and stream == fault.stream else None
        return at is not None and fault.start <= at < fault.end
    same_machine = alarm.event.asset == fault.machine
    same_stream = not fault.stream or not stream or stream == fault.stream or stream.endswith(f"_{fault.stream}")
    return same_machine and same_stream and fault.start <= alarm.at <= fault.end + GRACE


def sample_to_alert(alarms: Iterable[Received]) -> list[float]:
    """ms from the newest sample that decided to the alarm at the observer, where the sample's clock can be trusted."""
    return [
        (a.at - a.event.sample_time) / 1e6
        for a in alarms
        if a.event.state == "raised" and a.event.kind in OWN_CLOCK and a.event.sample_time
    ]
