"""Which samples go up: the decision about one item, and when it can be made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edgeloop.clock import NS
from edgeloop.wire.batch import Batch, RecordBatch
from stream_upload.configuration import Capture

LATENCY: Final = 5 * NS
"""ns by which an alarm may be known later than its sample."""
_KEPT: Final = 500

Decision = Literal["yes", "no", "later"]


class Alarmed(msgspec.Struct, frozen=True, array_like=True):
    """An alarm was raised. time: ns UTC of the newest sample that decided."""

    stream: str
    monitor: str
    time: int


class Alarms:
    """The newest alarms."""

    def __init__(self, known: Iterable[Alarmed] = ()) -> None:
        self._alarms: deque[Alarmed] = deque(known, maxlen=_KEPT)

    def add(self, alarm: Alarmed) -> None:
        self._alarms.append(alarm)

    def between(self, stream: str, monitors: set[str], first: int, last: int) -> bool:
        return any(
            first <= alarm.time <= last and (alarm.monitor in monitors if monitors else alarm.stream == stream)
            for alarm in self._alarms
        )

    def kept(self) -> tuple[Alarmed, ...]:
        return tuple(self._alarms)


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one stream. `later` until nothing that may still come can change the answer."""

    capture: Capture
    alarms: Alarms

    def decide(self, item: Batch | RecordBatch, newest: int, held: int) -> Decision:
        """newest: ns UTC, newest sample of the stream; held: ns for which the item has been in hand."""
        words = self.capture.words
        if "all" in words:
            return "yes"
        first, last = extent(item)
        if "windows" in words and self._routine(first, last):
            return "yes"
        if "alarms" not in words:
            return "no"
        before, after = int(self.capture.before), int(self.capture.after)
        if self.alarms.between(item.stream, set(self.capture.monitors.split()), first - after, last + before):
            return "yes"
        known = held >= LATENCY and newest >= last + before + LATENCY
        return "no" if known or held >= LATENCY + before + after + LATENCY else "later"

    def _routine(self, first: int, last: int) -> bool:
        every = int(self.capture.every)
        return first % every < int(self.capture.length) or first // every != last // every


def extent(item: Batch | RecordBatch) -> tuple[int, int]:
    """ns UTC of the first and of the last sample."""
    if isinstance(item, Batch):
        return item.time, item.time_of(len(item) - 1)
    return int(item.times[0]), int(item.times[-1])
