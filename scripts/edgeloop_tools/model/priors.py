"""Prior boxes of detectors that are often exported without their last step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgeloop.models.decoders.ssd import priors_of
from edgeloop.models.head import Head

Sizes = tuple[tuple[tuple[float, float], ...], ...]


def _squares(*levels: tuple[float, ...]) -> Sizes:
    return tuple(tuple((side, side) for side in level) for level in levels)


def _ssd300() -> Sizes:
    """Liu et al., 2016: a square, the one between it and the next, and rectangles of 2 (and 3) to 1 both ways."""
    sides = (30.0, 60.0, 111.0, 162.0, 213.0, 264.0, 315.0)
    levels = []
    for k, ratios in enumerate(((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))):
        own = [(sides[k], sides[k]), (math.sqrt(sides[k] * sides[k + 1]),) * 2]
        for ratio in ratios:
            root = math.sqrt(ratio)
            own += [(sides[k] * root, sides[k] / root), (sides[k] / root, sides[k] * root)]
        levels.append(tuple((float(w), float(h)) for w, h in own))
    return tuple(levels)


def fitting(count: int, width: int, height: int) -> Iterator[tuple[Head, str]]:
    """Heads of decoder `ssd` that have so many priors at this size."""
    known: list[tuple[str, tuple[int, ...], Sizes]] = [
        ("of light face detectors", (8, 16, 32, 64), _squares((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))),
        ("of RetinaFace", (8, 16, 32), _squares((16, 32), (64, 128), (256, 512))),
        ("of SSD300", (8, 16, 32, 64, 100, 300), _ssd300()),
    ]
    for words, strides, sizes in known:
        head = Head(decoder="ssd", strides=strides, sizes=sizes)
        if len(priors_of(head, width, height)) == count:
            yield head, words
