"""What nobody is to see is made unrecognisable before a picture is kept, shown or sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from camera_inference.frame import Pixels
from camera_inference.verdict import MOST, Box
from camera_inference.zones import Zone
from edgeloop.errors import EdgeloopError
from edgeloop.models import optional

WIDER: Final = 0.15
"""Share of a box by which it is widened on each side."""
BLOCKS: Final = 6
"""Squares that are left across the longer side."""


class Redaction:
    """Labels of boxes, and areas, that are never shown."""

    def __init__(self, labels: str, zones: Sequence[Zone]) -> None:
        self._labels = frozenset(labels.replace(",", " ").split())
        self._zones = tuple(zones)

    def applied(self, image: Pixels, boxes: Sequence[Box], *, located: bool) -> Pixels:
        """A copy. located: whether the model says where things are.

        Raises EdgeloopError where what is to be hidden is not known to have been found: such a picture is not kept.
        """
        if self._labels and not located:
            raise EdgeloopError("the picture may show what is to be redacted", why="its model locates nothing",
                                mend="take a detector, or name zones")  # fmt: skip
        if self._labels and len(boxes) >= MOST:
            raise EdgeloopError("the picture may show what is to be redacted", why=f"{MOST} things and more are on it")
        shown = np.ascontiguousarray(image).copy()
        height, width = shown.shape[:2]
        for box in boxes:
            if box.label in self._labels:
                dx, dy = WIDER * box.width, WIDER * box.height
                left, right = int(max(0.0, box.x - dx) * width), round(min(1.0, box.x + box.width + dx) * width)
                top, bottom = int(max(0.0, box.y - dy) * height), round(min(1.0, box.y + box.height + dy) * height)
                if right > left and bottom > top:
                    shown[top:bottom, left:right] = _coarse(shown[top:bottom, left:right])
        for zone in self._zones:
            inside = zone.mask(height, width)
            if inside.any():
                rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
                part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                shown[part][inside[part]] = _coarse(shown[part])[inside[part]]
        return shown


def _coarse(part: Pixels) -> Pixels:
    """A few even squares."""
    cv: Any = optional.load("cv2", "redacting pictures")
    rows, columns = part.shape[:2]
    step = max(1, -(-max(rows, columns) // BLOCKS))
    few = cv.resize(part, (max(1, columns // step), max(1, rows // step)), interpolation=cv.INTER_AREA)
    return np.asarray(cv.resize(few, (columns, rows), interpolation=cv.INTER_NEAREST)).reshape(part.shape)
