"""How alarms are kept few: groups, limits, chattering, latches."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.quantities import Duration


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits follow ISA-18.2, which calls an alarm that comes three times a minute chattering."""

    group: Annotated[
        Duration,
        Meta(
            title="Group",
            description="alarms of one asset that follow each other this soon are one group; 0: none",
            extra={"le": "1 h"},
        ),
    ] = Duration("1 min")
    most: Annotated[
        int,
        Meta(
            title="Most",
            description="alarms of one asset announced within an hour; further ones are held back behind one that "
            "counts them, critical ones never",
            ge=1,
            le=10_000,
        ),
    ] = 30
    chatter: Annotated[
        int,
        Meta(
            title="Chatter",
            description="times an alarm is raised within `within` before it stays, as one with a count",
            ge=2,
            le=1000,
        ),
    ] = 5
    within: Annotated[
        Duration,
        Meta(
            title="Within",
            description="period of `chatter`, and the quiet that ends it",
            extra={"ge": "1 s", "le": "1 h"},
        ),
    ] = Duration("1 min")
    latch: Annotated[
        Literal["never", "low", "medium", "high", "critical"],
        Meta(title="Latch", description="lowest severity that stays raised until it is acknowledged"),
    ] = "never"
