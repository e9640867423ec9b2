"""What good pictures look like, place by place: a memory of patches that lie far from each other."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeloop.teach.backbone import Floats

SIZE: Final = 2000
"""Patches of a memory."""
POOL: Final = 20
"""Times as many patches are chosen from."""
PROJECTED: Final = 48
"""Numbers that patches are compared by while they are chosen (Johnson and Lindenstrauss, 1984)."""
_ROWS: Final = 4096


def spread(patches: Floats, size: int = SIZE, seed: int = 0) -> Floats:
    """Of patches (n, d) those that the farthest-first walk meets (Gonzalez, 1985)."""
    rng = np.random.default_rng(seed)
    if len(patches) > POOL * size:
        patches = patches[np.sort(rng.choice(len(patches), POOL * size, replace=False))]
    if len(patches) <= size:
        return patches
    flat = patches
    if patches.shape[1] > PROJECTED:
        flat = patches @ rng.normal(size=(patches.shape[1], PROJECTED)).astype(np.float32)
    squares = np.square(flat).sum(axis=1)
    chosen = [0]
    away = np.full(len(flat), np.inf, np.float32)
    while len(chosen) < size:
        last = chosen[-1]
        np.minimum(away, squares + squares[last] - 2 * (flat @ flat[last]), out=away)
        chosen.append(int(away.argmax()))
    return np.ascontiguousarray(patches[np.sort(chosen)])


def distances(patches: Floats, memory: Floats) -> Floats:
    """Of each patch of length 1 to the nearest of the memory, 0..2."""
    found = [
        (patches[start : start + _ROWS] @ memory.T).max(axis=1) for start in range(0, len(patches), _ROWS)
    ]  # fmt: skip
    alike = np.concatenate(found) if found else np.zeros(0, np.float32)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * alike, 0)), np.float32)
