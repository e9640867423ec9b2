"""What a destination is. To add a type: a folder whose package has a class like this as DESTINATION."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time as TimeOfDay
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from edgeloop.alarms.alarm import SEVERITIES, Severity, State

Answer = Literal["acknowledged", "retry", "refused"]
"""What became of records: they have arrived; they may later; they never will: counted, told and passed over."""
Kind = Literal["alarms", "results", "labels", "models"]
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an upload queue: of which component and kind, as a document and as the bytes in the queue."""

    component: str
    kind: str
    document: Mapping[str, Any]
    content: bytes


class DestinationConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every type takes."""

    kinds: Annotated[tuple[Kind, ...], Meta(title="Kinds", description="of records that go there", min_length=1)] = (
        "alarms",
    )
    severity: Annotated[Severity, Meta(title="Severity", description="alarms from this on")] = "low"
    states: Annotated[
        tuple[State, ...],
        Meta(title="States", description="of alarms: raised, acknowledged, cleared, shelved", min_length=1),
    ] = ("raised",)
    quiet: Annotated[
        str, Meta(title="Quiet", description="hours in which all but critical alarms wait: 22:00-06:00; empty: none")
    ] = ""
    zone: Annotated[str, Meta(title="Zone", description="of `quiet`, such as Europe/Berlin")] = "UTC"

    def __post_init__(self) -> None:
        if self.quiet and _QUIET.fullmatch(self.quiet) is None:
            raise ValueError(f"quiet: {self.quiet!r} are no hours, such as 22:00-06:00")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"zone: {self.zone!r} is no zone, such as Europe/Berlin") from None

    def wants(self, record: Record) -> bool:
        if record.kind not in self.kinds:
            return False
        if record.kind != "alarms":
            return True
        severity = record.document.get("severity")
        known = severity in SEVERITIES and not record.document.get("held_by")
        return (
            known
            and SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
            and record.document.get("state") in self.states
        )

    def silent(self, now: TimeOfDay) -> bool:
        """Whether a time of day lies in the quiet hours.

        >>> night = DestinationConfiguration(quiet="22:00-06:00")
        >>> [night.silent(TimeOfDay(*at)) for at in ((21, 59), (22, 0), (5, 59), (6, 0))]
        [False, True, True, False]
        """
        found = _QUIET.fullmatch(self.quiet)
        if found is None:
            return False
        begin, end = TimeOfDay(int(found[1]), int(found[2])), TimeOfDay(int(found[3]), int(found[4]))
        return begin <= now < end if begin <= end else now >= begin or now < end


C = TypeVar("C", bound=DestinationConfiguration)


class Destination(Generic[C]):
    """Takes records in a thread of its own. What was acknowledged does not come again; after a death of the process
    some of it may. An EdgeloopError or OSError out of `send` is a `retry` with that line."""

    options: ClassVar[type[DestinationConfiguration]] = DestinationConfiguration
    most: ClassVar[int] = 100
    """Records in one call."""

    def __init__(self, id: str, configuration: C) -> None:
        self.id, self.configuration = id, configuration

    def send(self, records: Sequence[Record]) -> Answer:
        """All of them, in their order; the answer is for all."""
        raise NotImplementedError

    def close(self) -> None:
        """Releases everything."""
