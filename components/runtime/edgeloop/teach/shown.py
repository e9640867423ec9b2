"""Pictures that are shown: whether each can be learned from, and the size that they are looked at in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.models import optional
from edgeloop.models.pictures import Measures, measure
from edgeloop.teach.backbone import STRIDE, Pixels

LEAST: Final = 12
"""Usable pictures."""
LONGEST: Final = 640
"""Pixels of the longer side of what a taught model is given."""
ENLARGED: Final = 2.0
"""At most, where the camera's picture is smaller."""
DARK, BRIGHT, CONTRAST, NOISE = 0.02, 0.98, 0.01, 0.75
"""As of a camera's own gate, `pictures` in its configuration."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture that is shown. pixels: (rows, columns, 3), RGB, cut to the region that the camera uses."""

    name: str
    pixels: Pixels


@dataclass(slots=True)
class Judged:
    """What became of one. refused: why it was not learned from; hint: why a person should look at it."""

    name: str
    bad: bool = False
    refused: str = ""
    hint: str = ""
    score: float = 0.0


def working_size(width: int, height: int) -> tuple[int, int]:
    """What a picture of so many pixels is looked at as: the longer side LONGEST, not enlarged more than ENLARGED.

    >>> working_size(320, 240), working_size(1920, 1080), working_size(200, 200), working_size(640, 640)
    ((640, 480), (640, 352), (400, 400), (640, 640))
    """
    scale = min(ENLARGED, LONGEST / max(width, height))
    sides = (max(4 * STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
    across, down = sides
    return across, down


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """As a camera's frames are brought to a model's size."""
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    cv = optional.load("cv2", "resizing pictures")
    way = cv.INTER_AREA if pixels.shape[1] > width else cv.INTER_LINEAR
    return np.asarray(cv.resize(np.ascontiguousarray(pixels), (width, height), interpolation=way))


def usual_size(shown: Sequence[Shown]) -> tuple[int, int]:
    sizes = [each.pixels.shape[:2] for each in shown]
    height, width = max(set(sizes), key=lambda size: (sizes.count(size), size))
    return width, height


def sifted(
    shown: Sequence[Shown], width: int, height: int, bad: bool = False
) -> tuple[list[Judged], list[tuple[str, Pixels]], list[Measures]]:
    judged, kept, measures = [], [], []
    seen: dict[bytes, str] = {}
    for each in shown:
        verdict = Judged(each.name, bad)
        judged.append(verdict)
        digest = hashlib.sha256(each.pixels.tobytes()).digest()
        if digest in seen:
            verdict.refused = f"the same picture as {seen[digest]}"
            continue
        seen[digest] = each.name
        pixels = resized(each.pixels, width, height)
        measured = measure(pixels)
        verdict.refused = "" if bad else _shows_nothing(measured)
        if not verdict.refused:
            kept.append((each.name, pixels))
            measures.append(measured)
    return judged, kept, measures


def _shows_nothing(seen: Measures) -> str:
    if seen.brightness < DARK:
        return f"dark: {seen.brightness:.1%} of full scale"
    if seen.brightness > BRIGHT:
        return f"overexposed: {seen.brightness:.1%} of full scale"
    if seen.contrast < CONTRAST:
        return f"shows nothing: contrast {seen.contrast:.2%} of full scale"
    if seen.grain > NOISE:
        return "nothing but noise"
    return ""


def enough(judged: Sequence[Judged], usable: int) -> None:
    if usable >= LEAST:
        return
    first = next((f"{j.name}: {j.refused}" for j in judged if j.refused), "")
    why = f"{usable} of {len(judged)} are usable, {LEAST} are needed" + (f"; {first}" if first else "")
    raise EdgeloopError("too few pictures to be taught from", why=why, mend="show 30 good parts, as they usually come")
