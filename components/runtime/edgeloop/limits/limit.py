"""A limit as people write it (ISA-18.2)."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.alarms import Severity
from edgeloop.config.quantities import Duration
from edgeloop.limits.expression import FUNCTIONS, Expression, Operand, window

LimitKind = Literal["high_high", "high", "low", "low_low", "limit"]
KINDS: tuple[LimitKind, ...] = ("high_high", "high", "low", "low_low", "limit")


class Limit(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"condition": "if", "hold": "for"}
):
    """Thresholds of a channel, or a condition over several."""

    channel: Annotated[
        str,
        Meta(title="Channel", description="`channel` or `stream.channel`; empty: the limit's own name", max_length=200),
    ] = ""
    high: Annotated[float | None, Meta(title="High", description="above it: an alarm")] = None
    high_high: Annotated[float | None, Meta(title="High high", description="above it: one of the next severity")] = None
    low: Annotated[float | None, Meta(title="Low", description="below it: an alarm")] = None
    low_low: Annotated[float | None, Meta(title="Low low", description="below it: one of the next severity")] = None
    of: Annotated[
        str, Meta(title="Of", description="`mean 1 s`, min, max, rms, rate, count or sum over a time; empty: each row")
    ] = ""
    condition: Annotated[
        str, Meta(title="If", description='in place of thresholds: "current > 40 and mean(speed, 1 s) < 100"')
    ] = ""
    when: Annotated[str, Meta(title="When", description="judged only while this holds; a condition like `if`")] = ""
    hold: Annotated[Duration, Meta(title="For", description="how long it must hold to raise", extra={"le": "1 h"})] = (
        Duration("0 s")
    )
    off: Annotated[
        Duration, Meta(title="Off", description="how long it must be over to clear", extra={"le": "1 h"})
    ] = Duration("0 s")
    deadband: Annotated[
        float, Meta(title="Deadband", description="how far back a value has to come to clear", ge=0)
    ] = 0.0
    tolerance: Annotated[
        Duration, Meta(title="Tolerance", description="oldest value of another stream that still counts")
    ] = Duration("5 s")
    severity: Annotated[Severity, Meta(title="Severity", description="of its alarms")] = "medium"
    asset: Annotated[
        str, Meta(title="Asset", description="the machine it is about; empty: the stream", max_length=32)
    ] = ""
    text: Annotated[
        str, Meta(title="Text", description="what the alarm says; empty: what is above what", max_length=200)
    ] = ""

    def __post_init__(self) -> None:
        levels = [level for level in (self.low_low, self.low, self.high, self.high_high) if level is not None]
        if bool(levels) == bool(self.condition):
            raise ValueError("a limit has thresholds (high, high_high, low, low_low) or a condition (`if`)")
        if any(a >= b for a, b in itertools.pairwise(levels)):
            raise ValueError("the thresholds are not in order: low_low < low < high < high_high")
        if self.condition:
            if self.of or self.channel or self.deadband:
                raise ValueError("`of`, `channel` and `deadband` are of thresholds; say them in `if`")
            Expression(self.condition)
        elif self.of:
            self.operand("x")
        if self.when:
            Expression(self.when)

    def operand(self, name: str) -> Operand:
        """What the thresholds are of. Raises ValueError."""
        channel = self.channel or name
        if not self.of:
            return Operand(channel)
        function, _, length = self.of.strip().partition(" ")
        if function not in FUNCTIONS:
            raise ValueError(f"of: {function!r} is none of {', '.join(FUNCTIONS)}, such as `mean 1 s`")
        return Operand(channel, function, window(length))

    def names(self, id: str) -> list[str]:
        """The channels that it needs, as they are written."""
        expressions = [Expression(text) for text in (self.condition, self.when) if text]
        own = [] if self.condition else [self.operand(id)]
        return list(dict.fromkeys(o.name for o in [*own, *(o for e in expressions for o in e.operands)]))
