"""A day of 25.6 kHz × 3, sample by sample through the page's own history, then a hundred ways from it to a second."""

from __future__ import annotations

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from console.signals import query
from console.signals.pyramid import Pyramid, trim
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, Channel
from edgeloop_tools.bench.suite import show

EXTRAS = ("console",)
LONG = True
RATE, CHANNELS, HOURS, WAYS = 25_600, 3, 24, 100
BUDGET = 512 << 20
"""Bytes of history, the component's default."""
START = 1_772_323_200 * NS
POINTS = 1_500


def recorded(folder: Path) -> dict[str, Any]:
    """Seconds as the journal has them, int16 with a scale; written out every ten as the component does."""
    channels = tuple(Channel(name, "m/s2", scale=1 / 1024) for name in "xyz")
    noise = np.random.default_rng(2).normal(0, 900, (64, RATE, CHANNELS)).astype(np.int16)
    pyramid = Pyramid(folder / "vib")
    began = time.perf_counter()
    for second in range(HOURS * 3600):
        samples = noise[second % len(noise)]
        if second == HOURS * 1800:
            samples = samples.copy()
            samples[1000, 0] = 30_000
        pyramid.add(Batch("vib", 1, second * RATE, START + second * NS, channels, samples, rate=Fraction(RATE)))
        if second % 10 == 9:
            pyramid.flush()
        if second % 300 == 299:
            trim(folder, BUDGET)
    spent = time.perf_counter() - began
    size = trim(folder, BUDGET) / 1e6
    return {"processor_percent": round(100 * spent / (HOURS * 3600), 2), "history_mb": round(size)}


def zoomed(folder: Path) -> dict[str, Any]:
    """From the day down to a second by thirds, towards random moments; the first step sees the day's only peak."""
    dice = np.random.default_rng(3)
    day, taken = HOURS * 3600 * NS, []
    for way in range(WAYS):
        centre = START + (day // 2 if way == 0 else int(dice.integers(0, day)))
        span = day
        while span >= NS:
            low = min(max(START, centre - span // 2), START + day - span)
            began = time.perf_counter()
            found = query.points(folder, folder, "vib", low, low + span, POINTS, raw=False)
            taken.append((time.perf_counter() - began) * 1e3)
            if not found["times"]:
                raise EdgeloopError("no points", where=f"a span of {span / NS:g} s")
            if way == 0 and max(found["high"][0]) < 29:
                raise EdgeloopError("the day's only peak is not on the chart", where=f"a span of {span / NS:g} s")
            span //= 3
    return {"steps": len(taken), "median_ms": round(float(np.median(taken)), 1),
            "p99_ms": round(float(np.quantile(taken, 0.99)), 1), "slowest_ms": round(max(taken), 1)}  # fmt: skip


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgeloop-", dir="/var/tmp") as place:
        folder = Path(place)
        history, steps = recorded(folder), zoomed(folder)
    goals = [{"goal": "a step of zoom over a day of 25.6 kHz × 3, the slowest", "unit": "ms", "at_most": 100,
              "figure": steps["slowest_ms"]}]  # fmt: skip
    return {"goals": goals, "history": history, "zoom": steps}


if __name__ == "__main__":
    sys.stdout.write(show(run()) + "\n")
