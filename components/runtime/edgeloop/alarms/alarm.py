"""One alarm: what is wrong, since when, why, and what the operator said about it."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from edgeloop.clock import rfc3339

Kind = Literal[
    "process", "event", "drift", "gap", "flat_line", "clock", "range", "flood", "camera", "notice", "silent",
    "agreement", "fleet", "high_high", "high", "low", "low_low", "limit",
]  # fmt: skip
LIMITS: frozenset[Kind] = frozenset({"high_high", "high", "low", "low_low", "limit"})
"""Kinds of what people have set."""
Severity = Literal["low", "medium", "high", "critical"]
NO_MONITOR = "samples"
"""Monitor of the alarm `silent` that is of no monitor: nothing arrives at all."""
State = Literal["raised", "acknowledged", "cleared", "shelved"]
Reason = Literal["true", "false", "maintenance", "process_change"]

SCHEMA = 1
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one feature of one channel adds: amplitude ratio to normal, z in spreads."""

    channel: str
    band: str
    ratio: float
    z: float


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The sample that decided (stream, epoch, index), its score (0..1) and return time (log10 s)."""

    stream: str
    epoch: int = 0
    index: int = 0
    score: float = 1.0
    return_time: float = 0.0
    attribution: tuple[Contribution, ...] = ()


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A state of an alarm; the alarm is the sequence of states with the same id. Times in ns UTC.

    time: when this state began; sample_time, sample_epoch, sample_index: the newest sample that decided; began: the
    sample that raised it. active: whether the condition holds. group: id of the first alarm of its group, `first_out`
    that it is the first. count: how often it was raised under this id; of a flood, the alarms held back. held_by: the
    flood that holds it back.
    """

    schema: int = SCHEMA
    id: str
    monitor: str
    asset: str
    kind: Kind
    severity: Severity
    state: State
    text: str
    raised_at: int
    time: int
    sample_time: int
    cause: Cause
    sample_epoch: int = 0
    sample_index: int = 0
    reason: Reason | Literal[""] = ""
    by: str = ""
    shelved_until: int = 0
    active: bool = True
    began: int = 0
    group: str = ""
    first_out: bool = False
    count: int = 1
    chattering: bool = False
    held_by: str = ""

    @property
    def open(self) -> bool:
        return self.state != "cleared"

    @property
    def unseen(self) -> bool:
        """It came and went, and nobody has acknowledged it."""
        return self.state == "cleared" and not self.reason

    def document(self) -> bytes:
        """JSON with the RFC 3339 time beside the ns."""
        fields = msgspec.to_builtins(self) | {"time_rfc3339": rfc3339(self.time)}
        return msgspec.json.encode(fields)


def identity(monitor: str, kind: Kind, raised_at: int) -> str:
    """The id of one occurrence: sortable by time, the same wherever it is computed.

    >>> identity("press1_bearing", "process", 1_700_000_000_123_456_789)
    'a018bcfe5687b-e3f8'
    """
    digest = hashlib.blake2b(f"{monitor}/{kind}/{raised_at}".encode(), digest_size=2).hexdigest()
    return f"a{raised_at // 1_000_000:012x}-{digest}"
