"""Which segments of a ring go up: all, those around events, or those of a time of the day."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from edgeloop.clock import NS
from edgeloop.ring import Segment
from edgeloop.video.settings import Video

SLACK: Final = 5 * NS
"""ns that an event may be told late."""
_DAY: Final = 24 * 60
_MOST: Final = 1000
"""Spans that are remembered."""


class Choice:
    """`offer` segments as they come and `event` as they happen, then `take`. Not thread-safe.

    Times are of the pictures, ns UTC; nothing waits by the device's clock.
    """

    def __init__(self, video: Video, spans: list[tuple[int, int]] | None = None) -> None:
        self._video = video
        self._waiting: OrderedDict[str, Segment] = OrderedDict()
        self._spans: list[tuple[int, int]] = list(spans or ())
        self._newest = 0

    def offer(self, name: str, segment: Segment) -> None:
        if name not in self._waiting:
            self._waiting[name] = segment
            self._newest = segment.end

    def event(self, time: int) -> None:
        """Something happened."""
        begin, end = time - int(self._video.before), time + int(self._video.after)
        if self._spans and begin <= self._spans[-1][1] and end >= self._spans[-1][0]:
            last = self._spans[-1]
            self._spans[-1] = min(last[0], begin), max(last[1], end)
        else:
            self._spans.append((begin, end))
            del self._spans[:-_MOST]

    @property
    def spans(self) -> list[tuple[int, int]]:
        return list(self._spans)

    def take(self) -> tuple[list[tuple[str, Segment]], str]:
        """Those that go up, oldest first, each once; and the name up to which all is decided."""
        taken, decided = [], ""
        for name, segment in list(self._waiting.items()):
            if self._wanted(segment):
                taken.append((name, segment))
                del self._waiting[name]
            elif self._over(segment):
                del self._waiting[name]
            else:
                break
            decided = name
        self._spans = [span for span in self._spans if span[1] > self._newest - 2 * SLACK - int(self._video.before)]
        return taken, decided

    def _wanted(self, segment: Segment) -> bool:
        when = self._video.when
        if when == "always":
            return True
        if when == "schedule":
            return any(within(self._video, moment) for moment in (segment.begin, segment.end))
        return any(segment.end >= begin and segment.begin <= end for begin, end in self._spans)

    def _over(self, segment: Segment) -> bool:
        """Whether no event to come can reach it."""
        if self._video.when == "schedule":
            return True
        return segment.end < self._newest - int(self._video.before) - SLACK or segment.begin > self._newest


def within(video: Video, time: int) -> bool:
    """Whether a moment (ns UTC) is of the schedule, by the clock and the zone of the device.

    >>> within(Video(when="schedule", schedule="mon-sun 00:00-24:00"), 1_700_000_000 * NS)
    True
    """
    local = datetime.fromtimestamp(time // NS).astimezone()
    minute, day = local.hour * 60 + local.minute, local.weekday()
    for days, begin, end in video.windows:
        if begin < end and day in days and begin <= minute < end:
            return True
        if begin >= end and ((day in days and minute >= begin) or ((day - 1) % 7 in days and minute < end % _DAY)):
            return True
    return False
