"""What belongs together and must not be torn apart by a split: one part, one moment, near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import optional
from edgeloop.teach.backbone import Pixels
from edgeloop_tools.label.dataset import Item

SIDE: Final = 48
ALIKE: Final = 0.985
"""Correlation of two pictures without what is smooth in them."""
MOMENT: Final = 1_000_000_000
"""ns within which pictures of one camera show the same, where they are of no parts."""


def print_of(pixels: Pixels) -> NDArray[np.float32]:
    """What two copies of a picture have in common however they were stored: 48 × 48, nothing smooth, length 1."""
    cv = optional.load("cv2", "comparing pictures")
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    small = cv.resize(np.ascontiguousarray(grey, np.float32), (SIDE, SIDE), interpolation=cv.INTER_AREA)
    rough = small - cv.blur(small, (7, 7))
    length = float(np.linalg.norm(rough))
    return np.asarray(rough.ravel() / max(length, 1e-6), np.float32)


def groups_of(items: Sequence[Item], prints: NDArray[np.float32]) -> NDArray[np.intp]:
    """A number for each item."""
    parent = list(range(len(items)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[Any, int] = {}
    for k, item in enumerate(items):
        about = item.about
        camera = about.get("camera", "")
        keys: list[Any] = []
        if about.get("part"):
            keys.append(("part", about.get("device", ""), camera, about["part"]))
        elif isinstance(about.get("time"), int):
            keys.append(("time", about.get("device", ""), camera, about["time"] // MOMENT))
        for key in keys:
            parent[root(k)] = root(first.setdefault(key, k))
    for start in range(0, len(items), 512):
        alike = prints[start : start + 512] @ prints.T
        for row, column in zip(*np.nonzero(alike > ALIKE), strict=True):
            if row + start < column:
                parent[root(int(column))] = root(int(row) + start)
    return np.array([root(k) for k in range(len(items))], np.intp)


def leaked(prints: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pictures are among those that are known, or copies of them."""
    if not len(known):
        return np.zeros(len(prints), bool)
    return np.concatenate([(prints[s : s + 512] @ known.T).max(axis=1) > ALIKE for s in range(0, len(prints), 512)])
