"""What a source is. To add a type: a folder below sources/ whose package has a class like this as SOURCE."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration, Size
from edgeloop.errors import EdgeloopError
from edgeloop.join import Condition
from edgeloop.sequence import Chunk, Stream

_RANGE = re.compile(r"\s*([-+0-9.eE]+)\s*\.\.\s*([-+0-9.eE]+)\s*")


class FailSafe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written where nobody says any more what was written before."""

    after: Annotated[
        Duration,
        Meta(title="After", description="time without a new action", extra={"ge": "100 ms", "le": "1 d"}),
    ]
    value: Annotated[float, Meta(title="Value", description="the safe value")]


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that may be written."""

    range: Annotated[str, Meta(title="Range", description='values that may be written, such as "0..1"')]
    armed: Annotated[bool, Meta(title="Armed", description="false: actions are only recorded")] = False
    every: Annotated[
        Duration, Meta(title="Every", description="least time between two actions", extra={"le": "1 d"})
    ] = Duration("1 s")
    most: Annotated[int, Meta(title="Most", description="actions executed within an hour", ge=1, le=3600)] = 3600
    interlock: Annotated[
        str,
        Meta(
            title="Interlock",
            description='refused unless this holds: "press1_plc.guard and press1_slow.speed < 10"',
            max_length=400,
        ),
    ] = ""
    fresh: Annotated[
        Duration,
        Meta(title="Fresh", description="oldest value that the interlock believes; 0: any", extra={"le": "1 d"}),
    ] = Duration("5 s")
    fail_safe: Annotated[
        FailSafe | None,
        Meta(
            title="Fail-safe",
            description="`{after: 10 s, value: 0}`: written where an armed action is not renewed in time",
        ),
    ] = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low <= high:
            raise ValueError(f"{self.range!r} is no range, such as 0..1")
        if self.fail_safe is not None and not low <= self.fail_safe.value <= high:
            raise ValueError(f"fail_safe.value {self.fail_safe.value:g} is outside of {self.range}")
        _ = self.conditions

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of which have to hold."""
        return tuple(Condition.parse(part) for part in re.split(r"\s+and\s+", self.interlock) if part.strip())

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value."""
        match = _RANGE.fullmatch(self.range)
        if match is None:
            raise ValueError(f"{self.range!r} is no range, such as 0..1")
        return float(match[1]), float(match[2])


class SourceConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every type takes."""

    actions: Annotated[dict[Id, Target], Meta(title="Actions", description="what may be written to it, by target")] = {}
    queue: Annotated[
        Size,
        Meta(title="Queue", description="samples held in memory", extra={"ge": "64 KiB", "le": "1 GiB"}),
    ] = Size("8 MiB")


C = TypeVar("C", bound=SourceConfiguration)
Foreseen = Mapping[str, tuple[str, ...] | None] | None
"""Stream → its channels or columns, None where only a run knows them; None for all where it knows even the streams."""


class Closable(Protocol):
    def close(self) -> None: ...


class Outlet(Protocol):
    """What a source is given. Thread-safe."""

    id: str
    """Also the name of its one stream, or the first part of its streams' names: `<id>_vib`."""
    state: Path
    """A file of its own, for what has to survive a restart."""
    period: float
    """s: samples more often than this bring nothing."""
    stop: threading.Event

    def declare(self, *streams: Stream) -> None:
        """Says what will come, before it comes. Raises ConfigurationError where another source has the name."""
        ...

    def put(self, chunk: Chunk) -> bool:
        """Hands over samples. Never waits for a live source: a full queue drops them, counted. Else waits for room.

        False: the source has to end.
        """
        ...

    def confirm(self, written: Callable[[], None]) -> None:
        """Calls back, on another thread, once all that was put before is in the journal."""
        ...

    def hurry(self) -> None:
        """Asks for the next tick now."""
        ...

    def dead(self, stream: str, payload: bytes, why: str) -> None:
        """Keeps a payload that was not understood, for a person to look at."""
        ...

    def newest(self, stream: str) -> int:
        """ns UTC of the newest sample that the journal has of a stream, also of earlier processes; 0: none."""
        ...

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool: ...

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool = False) -> Closable:
        """Calls `handler(topic, payload)` for each message of the local bus, or of IoT Core, until closed.

        The handlers of all share a thread: one that waits holds up the others.
        """
        ...

    def reconnected(self) -> None:
        """Says that a run's connection to the machine is a new one: what was written before may be forgotten."""
        ...

    def problem(self, line: str, part: str = "") -> None:
        """Degrades the source's health, by one line for each part, until cleared."""
        ...

    def clear(self, part: str = "") -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...


class Source(Generic[C]):
    """One run of a source, in a thread of its own: setup, run until the end, close.

    An EdgeloopError or OSError ends the run with one line, and a new run follows after a while.
    """

    options: ClassVar[type[SourceConfiguration]] = SourceConfiguration

    def __init__(self, configuration: C, outlet: Outlet) -> None:
        self.configuration, self.outlet = configuration, outlet

    @classmethod
    def live(cls, configuration: C) -> bool:
        """Live samples that find no room are dropped and counted; others wait."""
        return True

    @classmethod
    def foresee(cls, id: str, configuration: C) -> Foreseen:
        """The streams that the source `id` will declare, as far as its configuration tells."""
        return None

    def setup(self) -> None:
        """Opens and declares."""

    def run(self) -> None:
        """Puts chunks until `outlet.stop` is set, or the source has come to its end."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Called from another thread once `outlet.stop` is set: ends whatever run waits for."""

    def close(self) -> None:
        """Releases everything; called once for each setup, whatever happened."""

    def carry(self, target: str, value: float, cause: Mapping[str, Any]) -> None:
        """Writes to the machine, as `write`; cause: what an action says of the alarm behind it."""
        self.write(target, value)

    def write(self, target: str, value: float) -> None:
        """Writes to the machine, called from another thread. Raises EdgeloopError."""
        raise EdgeloopError(f"the source {self.outlet.id} cannot be written to")
