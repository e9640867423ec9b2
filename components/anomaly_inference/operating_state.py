"""When a monitor's machine runs, and in which context."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.results import State
from edgeloop.join import Condition, Latest

Lookup = Callable[[str, str, str], tuple[Latest, int]]
"""(stream, column, reader) → the column, and by how many ns its stream's clock is ahead of the reader's."""


@dataclass(frozen=True, slots=True)
class OperatingState:
    """What may be done with a span of samples: scored where live, in a context such as the product."""

    state: State
    motion: Literal["runs", "stands", "unknown"]
    context: str = ""


UNKNOWN, STANDS = OperatingState("settling", "unknown"), OperatingState("idle", "stands")
STARTS, RUNS = OperatingState("settling", "runs"), OperatingState("live", "runs")


class OperatingStates:
    """By `when`, `per` and `settle` of a monitor, as of the times of its stream."""

    def __init__(self, config: configuration.Monitor, lookup: Lookup) -> None:
        self._when = Condition.parse(config.when) if config.when else None
        self._per = Condition.parse(config.per) if config.per else None
        self._settle, self._lookup = config.settle, lookup
        self._stream = config.input.split()[0]
        self.idle_until = 0

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(stream, column) that must be looked up."""
        return tuple((c.stream, c.column) for c in (self._when, self._per) if c)

    def spans(self, times: NDArray[np.int64]) -> Iterator[tuple[int, int, OperatingState]]:
        """(first, end, state) of rows (ns UTC each) that belong together."""
        if self._when is None and self._per is None:
            yield 0, len(times), RUNS
            return
        a, before = 0, None
        for i, time in enumerate(times.tolist()):
            now = self.of(time, time)
            if before is not None and now != before:
                yield a, i, before
                a = i
            before = now
        if before is not None:
            yield a, len(times), before

    def of(self, start: int, end: int) -> OperatingState:
        """Of the samples in [start, end], ns UTC."""
        if self._when is not None:
            latest, ahead = self._lookup(self._when.stream, self._when.column, self._stream)
            before, after = latest.at(start + ahead), latest.at(end + ahead)
            if before is None or after is None:
                return UNKNOWN
            if not (self._when.holds(before) and self._when.holds(after)):
                self.idle_until = end + self._settle
                return STANDS
            since = latest.since(end + ahead)
            if since is not None and not self._when.operator and since + self._settle > start + ahead:
                return STARTS
            if self._when.operator and self.idle_until > start:
                return STARTS
        if self._per is None:
            return RUNS
        latest, ahead = self._lookup(self._per.stream, self._per.column, self._stream)
        value, since = latest.at(end + ahead), latest.since(end + ahead)
        if value is None or since is None or since + self._settle > start + ahead:
            return STARTS
        return OperatingState("live", "runs", str(value)[:64])
