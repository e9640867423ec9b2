"""What goes wrong, and when: a seeded schedule of faults, endless and addressable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim import noise

Kind = Literal["outer_race", "imbalance", "drift", "dropout", "clock_jump"]
Form = Literal["", "silent", "stuck"]
KINDS: tuple[Kind, ...] = get_args(Kind)

VIBRATION_CHANNELS = ("x", "y", "z")
DRIFTING = ("temperature", "current", "pressure")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one machine. start, end: ns after the start of the simulation; severity in (0, 1].

    stream: the suffix of the stream it shows in (`vib`, `slow`; empty: all of the machine's).
    channel: where it shows most; empty: in all. form: of a dropout. step: of a clock jump, ns.
    """

    id: str
    kind: Kind
    machine: str
    channel: str
    start: int
    end: int
    severity: float
    stream: str = ""
    form: Form = ""
    step: int = 0

    def onset(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """0 outside, rising within a second (or 15 % of its length) to 1. t: s."""
        start, end = self.start / NS, self.end / NS
        rise = min(1.0, 0.15 * (end - start))
        return np.where(t < end, np.clip((t - start) / rise, 0.0, 1.0), 0.0)

    @property
    def needs_running(self) -> bool:
        """Whether it shows only while the machine turns."""
        return self.kind in ("outer_race", "imbalance", "drift")


class Plan(Protocol):
    """Whatever can say which faults touch a time span."""

    def overlapping(self, start: int, end: int) -> tuple[Fault, ...]:
        """Faults with start < end and end > start, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A given list of faults."""

    faults: tuple[Fault, ...] = ()

    def overlapping(self, start: int, end: int) -> tuple[Fault, ...]:
        return tuple(f for f in self.faults if f.start < end and f.end > start)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Faults of one machine without end: the k-th within [first + k * every, + hold + gap / 4]. All in ns.

    Every kind comes once in each round of len(kinds) faults, in a seeded order.
    """

    seed: int
    machine: str
    first: int = 20 * NS
    every: int = 9 * NS
    hold: int = 5 * NS
    kinds: tuple[Kind, ...] = KINDS

    def fault(self, k: int) -> Fault:
        return _fault(self, k)

    def overlapping(self, start: int, end: int) -> tuple[Fault, ...]:
        if not self.kinds:
            return ()
        low = max(0, (start - self.first) // self.every - 1)
        high = max(low, (end - self.first) // self.every + 1)
        return tuple(f for f in map(self.fault, range(low, high)) if f.start < end and f.end > start)

    @staticmethod
    def seeded(
        seed: int,
        machines: Sequence[str],
        start: int,
        duration: int,
        *,
        every: int = 9 * NS,
        hold: int = 5 * NS,
        kinds: Sequence[Kind] = KINDS,
    ) -> tuple[Fault, ...]:
        """All faults of the machines that end before `duration`, none before `start`, ordered by start. All in ns.

        >>> faults = Schedule.seeded(7, ["press1"], 20 * NS, 65 * NS)
        >>> sorted(f.kind for f in faults)
        ['clock_jump', 'drift', 'dropout', 'imbalance', 'outer_race']
        """
        plans = (Schedule(seed, m, start, every, hold, tuple(kinds)) for m in machines)
        found = (f for p in plans for f in p.overlapping(0, duration) if f.end <= duration)
        return tuple(sorted(found, key=lambda f: (f.start, f.machine)))


@lru_cache(maxsize=1024)
def _fault(plan: Schedule, k: int) -> Fault:
    turn, place = divmod(k, len(plan.kinds))
    order = noise.generator(noise.key(plan.seed, plan.machine, "kinds"), turn).permutation(len(plan.kinds))
    kind = plan.kinds[int(order[place])]
    rng = noise.generator(noise.key(plan.seed, plan.machine, "faults"), k)
    slack = (plan.every - plan.hold) // 4
    start = plan.first + k * plan.every + int(rng.uniform(0, 1) * slack)
    severity = round(float(rng.uniform(0.5, 1.0)), 3)
    pick = float(rng.uniform(0, 1))
    step = int(NS * 10 ** rng.uniform(np.log10(0.5), np.log10(5.0))) * (1 if rng.uniform(0, 1) < 0.5 else -1)
    stream, channel, form = _place(kind, pick)
    return Fault(
        f"{plan.machine}-{k}-{kind}", kind, plan.machine, channel, start, start + plan.hold, severity,
        stream=stream, form=form, step=step if kind == "clock_jump" else 0,
    )  # fmt: skip


def _place(kind: Kind, pick: float) -> tuple[str, str, Form]:
    """(stream, channel, form) of a fault, by a uniform value."""
    if kind == "outer_race":
        return "vib", "z", ""
    if kind == "imbalance":
        return "vib", "x", ""
    if kind == "drift":
        return "slow", DRIFTING[int(pick * len(DRIFTING))], ""
    if kind == "clock_jump":
        return "", "", ""
    forms: tuple[tuple[str, str, Form], ...] = (
        ("vib", "", "silent"),
        ("vib", VIBRATION_CHANNELS[int(pick * 4 % 1 * 3)], "stuck"),
        ("slow", "", "silent"),
        ("slow", DRIFTING[int(pick * 4 % 1 * 3)], "stuck"),
    )
    return forms[int(pick * len(forms))]
