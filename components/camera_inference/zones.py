"""Places in a picture, in shares of its width and height: areas, and lines that things cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import optional

Point = tuple[float, float]
MOST: Final = 64
"""Corners."""


@dataclass(frozen=True, slots=True)
class Zone:
    """points: corners of an area, or the two or more ends of a line. form: polygon or line."""

    form: str
    points: tuple[Point, ...]

    @classmethod
    def parse(cls, text: str) -> Zone:
        """
        >>> Zone.parse("line 0.1,0.5 0.9,0.5")
        Zone(form='line', points=((0.1, 0.5), (0.9, 0.5)))
        >>> Zone.parse("polygon 0,0 1,0 1,1").holds((0.8, 0.5)), Zone.parse("polygon 0,0 1,0 1,1").holds((0.2, 0.5))
        (True, False)
        """
        form, *words = text.split()
        try:
            points = tuple((float(x), float(y)) for x, y in (word.split(",") for word in words))
        except ValueError:
            raise ValueError(f'{text!r} is no place (such as "polygon 0.1,0.2 0.5,0.2 0.3,0.9")') from None
        least = {"polygon": 3, "line": 2}.get(form)
        if least is None:
            raise ValueError(f"{form!r} is neither polygon nor line")
        if not least <= len(points) <= MOST:
            raise ValueError(f"a {form} has {least} to {MOST} points, not {len(points)}")
        if not all(0 <= value <= 1 for point in points for value in point):
            raise ValueError(f"{text!r} is not within the picture, 0..1")
        return cls(form, points)

    def holds(self, point: Point) -> bool:
        """Whether a point is inside of an area (even-odd rule)."""
        x, y = point
        inside = False
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                inside = not inside
        return inside

    def crossed(self, before: Point, after: Point) -> int:
        """Of a line, seen from its first to its last point: 1 from left to right, -1 from right to left, 0 not at all.

        >>> line = Zone.parse("line 0,0.5 1,0.5")
        >>> line.crossed((0.5, 0.4), (0.5, 0.6)), line.crossed((0.5, 0.6), (0.4, 0.4)), line.crossed((0, 0), (1, 0.4))
        (1, -1, 0)
        """
        for start, end in zip(self.points, self.points[1:], strict=False):
            one, other = _side(start, end, before), _side(start, end, after)
            if (one > 0) != (other > 0) and (_side(before, after, start) > 0) != (_side(before, after, end) > 0):
                return 1 if other > 0 else -1
        return 0

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """(height, width): true inside of the area."""
        cv: Any = optional.load("cv2", "places in pictures")
        drawn = np.zeros((height, width), np.uint8)
        corners = np.array([[round(x * width), round(y * height)] for x, y in self.points], np.int32)
        cv.fillPoly(drawn, [corners], 1)
        return drawn.astype(bool)


def _side(start: Point, end: Point, point: Point) -> float:
    """Positive to the right of a line, in a picture whose y goes down."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
