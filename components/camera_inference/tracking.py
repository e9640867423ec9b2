"""Things followed from picture to picture, and what they do: lines crossed, zones entered and left.

Boxes are joined to what is followed by their overlap with where it should be by now, the surest first, then the rest
(after ByteTrack, Zhang et al. 2022, without a Kalman filter: a constant velocity that is smoothed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_inference.verdict import Box
from camera_inference.zones import Point, Zone
from edgeloop import clock

LEAST: Final = 0.2
"""Overlap (intersection over union) of a box with where a thing should be."""
BORN: Final = 3
"""Pictures that a thing is seen in before it counts."""
LOST: Final = 1_500_000_000
"""ns after which a thing that is not seen any more is gone."""
SURE: Final = 0.6
"""Score from which a box may begin a new thing, or goes first."""
MOST: Final = 200
"""Things followed at once."""
EDGE: Final = 0.02
"""Share of the picture that a thing has to be beyond a line, or inside a zone, so that trembling counts nothing."""

Kind = Literal["crossed", "entered", "left"]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a thing did. way: in or out of a line, "in" being from its left to its right. dwell: s, of what left."""

    kind: Kind
    zone: str
    track: int
    label: str
    time: int
    way: str = ""
    dwell: float = 0.0


@dataclass(slots=True)
class _Thing:
    id: int
    label: str
    box: NDArray[np.float64]
    """left, top, right, bottom: shares of the picture."""
    time: int
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))
    seen: int = 1
    point: Point | None = None
    """Where it stood when it was last looked at for lines and zones."""
    inside: dict[str, int] = field(default_factory=dict)

    def at(self, time: int) -> NDArray[np.float64]:
        return self.box + self.velocity * min(1.0, (time - self.time) / clock.NS)

    def foot(self) -> Point:
        return float(self.box[0] + self.box[2]) / 2, float(self.box[3])


class Tracker:
    """`update` with the boxes of each picture in turn; zones by name."""

    def __init__(self, zones: Mapping[str, Zone]) -> None:
        self._areas = {name: zone for name, zone in zones.items() if zone.form == "polygon"}
        self._lines = {name: zone for name, zone in zones.items() if zone.form == "line"}
        self._things: list[_Thing] = []
        self._count = 0

    @property
    def inside(self) -> dict[str, int]:
        """How many things are in each zone now."""
        return {name: sum(name in thing.inside for thing in self._things) for name in self._areas}

    def update(self, boxes: Sequence[Box], time: int) -> tuple[tuple[Box, ...], list[Event]]:
        """The boxes with the numbers of the things they show, 0 where that is not known yet; and what happened.
        time: ns UTC of the picture."""
        corners = np.array([[b.x, b.y, b.x + b.width, b.y + b.height] for b in boxes], np.float64).reshape(-1, 4)
        numbers = [0] * len(boxes)
        left = set(range(len(boxes)))
        free = list(self._things)
        for high in (True, False):
            wanted = [k for k in left if (boxes[k].score >= SURE) == high]
            for k, thing in _pairs(boxes, corners, wanted, free, time):
                self._seen(thing, corners[k], time)
                numbers[k] = thing.id if thing.seen >= BORN else 0
                left.discard(k)
                free.remove(thing)
        for k in sorted(left):
            if len(self._things) < MOST:
                self._count += 1
                self._things.append(_Thing(self._count, boxes[k].label, corners[k], time))
        events: list[Event] = []
        for thing in list(self._things):
            if time - thing.time > LOST:
                self._things.remove(thing)
                events += [self._left(thing, name, thing.time) for name in [*thing.inside]]
            elif thing.time == time and thing.seen >= BORN:
                events += self._moved(thing, time)
        named = (msgspec.structs.replace(box, track=number) for box, number in zip(boxes, numbers, strict=True))
        return tuple(named), events

    # -- inside --------------------------------------------------------------------------------------------------------

    @staticmethod
    def _seen(thing: _Thing, box: NDArray[np.float64], time: int) -> None:
        past = max(1, time - thing.time) / clock.NS
        thing.velocity = 0.6 * thing.velocity + 0.4 * (box - thing.box) / past
        thing.box, thing.time, thing.seen = box, time, thing.seen + 1

    def _moved(self, thing: _Thing, time: int) -> list[Event]:
        here, before = thing.foot(), thing.point
        events: list[Event] = []
        for name, area in self._areas.items():
            inside = area.holds(here)
            if inside and name not in thing.inside:
                thing.inside[name] = time
                events.append(Event("entered", name, thing.id, thing.label, time))
            elif not inside and name in thing.inside and not _near(area, here):
                events.append(self._left(thing, name, time))
        if before is not None and abs(here[0] - before[0]) + abs(here[1] - before[1]) < EDGE:
            return events
        for name, line in self._lines.items() if before is not None else ():
            assert before is not None
            if way := line.crossed(before, here):
                events.append(Event("crossed", name, thing.id, thing.label, time, "in" if way > 0 else "out"))
        thing.point = here
        return events

    @staticmethod
    def _left(thing: _Thing, name: str, time: int) -> Event:
        dwell = round((time - thing.inside.pop(name)) / clock.NS, 3)
        return Event("left", name, thing.id, thing.label, time, dwell=dwell)


def _near(area: Zone, point: Point) -> bool:
    """Whether a point is so near that trembling might bring it back inside."""
    x, y = point
    return any(area.holds((x + dx, y + dy)) for dx in (-EDGE, EDGE) for dy in (-EDGE, EDGE))


def _pairs(
    boxes: Sequence[Box], corners: NDArray[np.float64], wanted: Sequence[int], things: Sequence[_Thing], time: int
) -> list[tuple[int, _Thing]]:
    """Boxes and the things they show, the largest overlaps first. A thing is where it should be by now, or still where
    it was: pictures that come in a burst have times that say little of speed."""
    if not wanted or not things:
        return []
    shown = corners[list(wanted)]
    overlap = np.maximum(
        _overlap(shown, np.stack([thing.at(time) for thing in things])),
        _overlap(shown, np.stack([thing.box for thing in things])),
    )
    for row, k in enumerate(wanted):
        for column, thing in enumerate(things):
            if thing.label != boxes[k].label:
                overlap[row, column] = 0.0
    found: list[tuple[int, _Thing]] = []
    while overlap.size and overlap.max() >= LEAST:
        row, column = divmod(int(overlap.argmax()), len(things))
        found.append((wanted[row], things[column]))
        overlap[row, :] = overlap[:, column] = 0.0
    return found


def _overlap(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each with each: left, top, right, bottom."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(each[:, 2:] - each[:, :2], 1e-9, None), axis=1) for each in (ones, others)]
    return np.asarray(common / (areas[0][:, None] + areas[1][None, :] - common))
