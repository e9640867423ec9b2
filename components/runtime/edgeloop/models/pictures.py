"""What a picture is like, in five numbers, and what those of a training or of a camera are usually like.

Measured on the pixels that a model is given (8 bits, after cutting and resizing, before its scale and mean), so that
the numbers of training and camera compare whatever the resolution of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeloop.models.head import COLUMNS, LINES, Pictures, Spread

Pixels = NDArray[np.uint8]
ROWS: Final = 48
"""Rows that are looked at."""
LEAST: Final = 1e-4
NAMES: Final = ("brightness", "contrast", "sharpness", "grain", "likeness")


class Measures(msgspec.Struct, frozen=True):
    """brightness (mean), contrast (deviation), sharpness (99th percentile of the difference of neighbours): shares of
    full scale. grain: what neighbours have not in common, 0 smooth to 1 noise. scene: brightness of 8 × 6 fields, row
    by row, mean 0 and length 1; all 0 where there is no contrast."""

    brightness: float
    contrast: float
    sharpness: float
    grain: float
    scene: tuple[float, ...]


def usual(measured: Sequence[Measures]) -> Pictures:
    """What at least one picture is like: extremes, and the median."""
    scenes = np.array([m.scene for m in measured], np.float64)
    scene = scenes.mean(axis=0)
    scene /= max(float(np.linalg.norm(scene)), LEAST)
    likeness = scenes @ scene
    columns = {name: np.array([getattr(m, name) for m in measured]) for name in NAMES[:4]} | {"likeness": likeness}
    spreads = {
        name: Spread(*(round(float(f(values)), 5) for f in (np.min, np.median, np.max)))
        for name, values in columns.items()
    }
    return Pictures(count=len(measured), scene=tuple(round(float(v), 4) for v in scene), **spreads)


def measure(pixels: Pixels) -> Measures:
    """pixels: (height, width) or (height, width, 3).

    >>> grey = measure(np.full((40, 50), 51, np.uint8))
    >>> grey.brightness, grey.contrast, grey.grain
    (0.2, 0.0, 0.0)
    >>> round(measure(np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)).grain, 1)
    1.0
    """
    height = len(pixels)
    rows = pixels[np.linspace(0, height - 1, min(ROWS, height)).astype(np.intp)]
    full = 255.0
    whole = rows.astype(np.int16) if rows.ndim == 2 else rows[:, :, 0].astype(np.int16)
    if rows.ndim == 3:
        whole += rows[:, :, 1]
        whole += rows[:, :, 2]
        full *= 3
    values = whole.astype(np.float32)
    mean = float(values.mean())
    variance = max(0.0, float(np.vdot(values, values)) / values.size - mean * mean)
    steps = np.abs(whole[:, 1:] - whole[:, :-1]).ravel()
    power, sharp = 0.0, 0.0
    if steps.size:
        counts = np.bincount(steps)
        sharp = float(np.searchsorted(np.cumsum(counts), 0.99 * steps.size))
        power = float(np.dot(counts, np.arange(len(counts), dtype=np.float64) ** 2)) / steps.size
    return Measures(
        brightness=round(mean / full, 5), contrast=round(variance**0.5 / full, 5), sharpness=round(sharp / full, 5),
        grain=round(min(1.0, power / (2 * variance)), 5) if variance > 1e-3 else 0.0, scene=_scene(values),
    )  # fmt: skip


def _scene(values: NDArray[np.float32]) -> tuple[float, ...]:
    lines, columns = values.shape
    if lines < LINES or columns < COLUMNS:
        return (0.0,) * (LINES * COLUMNS)
    down = np.add.reduceat(values, np.arange(LINES) * lines // LINES, axis=0)
    fields = np.add.reduceat(down, np.arange(COLUMNS) * columns // COLUMNS, axis=1)
    heights = np.diff(np.append(np.arange(LINES) * lines // LINES, lines))
    widths = np.diff(np.append(np.arange(COLUMNS) * columns // COLUMNS, columns))
    fields = fields / (heights[:, None] * widths[None, :])
    fields = fields - fields.mean()
    length = float(np.linalg.norm(fields))
    if length < LEAST:
        return (0.0,) * (LINES * COLUMNS)
    return tuple(round(float(v), 4) for v in (fields / length).ravel())


def strangeness(seen: Measures, known: Pictures) -> tuple[float, str]:
    """How far a picture is from those that are known, and in what most: 0 like their middle, 1 at their edge.

    Where what is known hardly varies the edge is a factor 1.6 from the middle (3 of grain, 0.15 of likeness), so that
    a few pictures, all alike, do not make every other one strange.
    """
    worst, name = 0.0, "brightness"
    for each in NAMES[:4]:
        spread: Spread = getattr(known, each)
        value = np.log(max(LEAST, getattr(seen, each)) / max(LEAST, spread.middle))
        edge = spread.high if value > 0 else spread.low
        room = max(abs(float(np.log(max(LEAST, edge) / max(LEAST, spread.middle)))), _ROOM[each])
        if (far := abs(float(value)) / room) > worst:
            worst, name = far, each
    like = float(np.dot(seen.scene, known.scene))
    room = max(known.likeness.middle - known.likeness.low, _UNLIKE)
    if (far := (known.likeness.middle - like) / room) > worst:
        worst, name = far, "likeness"
    return worst, name


_ROOM: Final = dict.fromkeys(NAMES, float(np.log(1.6))) | {"grain": float(np.log(3.0))}
_UNLIKE: Final = 0.15
