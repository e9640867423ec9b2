"""Lines of a GPIO chip: buttons, gates, lamps, relays."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Records, Stream
from edgeloop.wire.batch import Column
from sensor_ingest.sources import entries
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.gpio import chip
from sensor_ingest.sources.gpio.chip import Lines

WORDS = {"active_low": chip.ACTIVE_LOW, "pull_up": chip.PULL_UP, "pull_down": chip.PULL_DOWN,
         "open_drain": chip.OPEN_DRAIN}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    offset: int
    flags: int


def line(name: str, text: str) -> Line:
    """`17`, or `17 active_low pull_up`. Raises ValueError.

    >>> line("door", "17 active_low").offset
    17
    """
    number, *words = text.split() or [""]
    if not re.fullmatch(r"\d{1,4}", number):
        raise ValueError(f"{number[:40]!r} is no line of a chip, such as 17")
    flags = 0
    for word in words:
        if word not in WORDS:
            raise ValueError(f"{word[:40]!r} is none of {', '.join(WORDS)}")
        flags |= WORDS[word]
    if flags & chip.PULL_UP and flags & chip.PULL_DOWN:
        raise ValueError("a line is pulled up or down, not both")
    return Line(int(number), flags)


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpio"):
    chip: Annotated[str, Meta(title="Chip", description="its device", pattern=r"^/dev/[A-Za-z0-9_./-]{1,80}$")] = (
        "/dev/gpiochip0"
    )
    inputs: Annotated[
        dict[str, str] | str,
        Meta(title="Inputs", description="lines that are read, by name: `17`, `17 active_low pull_up`"),
    ] = {}  # noqa: RUF012
    writes: Annotated[
        dict[str, str] | str, Meta(title="Writes", description="the line of each of `actions`: `22`, `22 active_low`")
    ] = {}  # noqa: RUF012
    poll: Annotated[
        Duration, Meta(title="Poll", description="how often inputs are read", extra={"ge": "5 ms", "le": "1 h"})
    ] = Duration("50 ms")
    hold: Annotated[
        Duration, Meta(title="Hold", description="a row about this often though nothing changes", extra={"ge": "50 ms"})
    ] = Duration("1 s")

    def __post_init__(self) -> None:
        inputs, writes = entries.parse(self.inputs, line, "inputs"), entries.parse(self.writes, line, "writes")
        if not inputs and not writes:
            raise ValueError("there are no lines: give `inputs`, or `writes` of `actions`")
        if len(inputs) > chip.MOST:
            raise ValueError(f"there are {len(inputs)} inputs, at most {chip.MOST}")
        for name in self.actions:
            if name not in writes:
                raise ValueError(f"actions.{name}: `writes` does not say which line")
        for name, wanted in writes.items():
            if name not in self.actions:
                raise ValueError(f"writes.{name}: `actions` does not have it")
            if wanted.flags & (chip.PULL_UP | chip.PULL_DOWN):
                raise ValueError(f"writes.{name}: an output is not pulled")
        offsets = [one.offset for one in (*inputs.values(), *writes.values())]
        if len(set(offsets)) < len(offsets):
            raise ValueError("two names have the same line")


class Gpio(Source[Configuration]):
    """A stream `<id>_state`: a row at each change of an input, and every `hold`."""

    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._inputs = entries.parse(configuration.inputs, line, "inputs")
        self._targets = entries.parse(configuration.writes, line, "writes")
        self._lines: Lines | None = None
        self._outputs: dict[str, Lines] = {}
        self._lock = threading.Lock()

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        names = tuple(entries.parse(configuration.inputs, line, "inputs"))
        return {f"{id}_state": names} if names else {}

    def setup(self) -> None:
        if self._inputs:
            wanted = list(self._inputs.values())
            flags = [chip.INPUT | one.flags for one in wanted]
            self._lines = Lines(self.configuration.chip, [one.offset for one in wanted], flags)
            self.outlet.declare(Stream(f"{self.outlet.id}_state"))

    def run(self) -> None:
        self.outlet.clear()
        c, lines = self.configuration, self._lines
        if lines is None:
            self.outlet.stop.wait()
            return
        before: list[int] = []
        said = due = time.monotonic()
        while not self.outlet.stop.is_set():
            found, now = lines.read(), time.monotonic()
            if found != before or now - said >= c.hold.seconds:
                columns = {name: Column("bool", np.array([value], np.uint8))
                           for name, value in zip(self._inputs, found, strict=True)}  # fmt: skip
                when = np.array([clock.now()], np.int64)
                if not self.outlet.put(Records(f"{self.outlet.id}_state", when, columns)):
                    return
                before, said = found, now
            due = max(due + c.poll.seconds, time.monotonic())
            self.outlet.stop.wait(due - time.monotonic())

    def write(self, target: str, value: float) -> None:
        wanted = self._targets.get(target)
        if wanted is None:
            raise EdgeloopError(f"{target} has no line", where=self.outlet.id, mend="name it in `writes`")
        if value not in (0, 1):
            raise EdgeloopError(f"{value:g} cannot be written to {target}", why="a line is 0 or 1")
        with self._lock:
            held = self._outputs.get(target)
            if held is None:
                flags = [chip.OUTPUT | wanted.flags]
                self._outputs[target] = Lines(self.configuration.chip, [wanted.offset], flags, [int(value)])
            else:
                held.write([int(value)])

    def close(self) -> None:
        with self._lock:
            for lines in (*self._outputs.values(), *([self._lines] if self._lines else [])):
                lines.close()
            self._outputs.clear()
            self._lines = None


SOURCE = Gpio
