"""What a row costs in the event detector, by channels and rows a call: `python tests/benchmarks/events.py`.

Beside it a z-score of the same rows against a fixed mean and spread, as many rows a call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edgeloop.detect.events import EventDetector, EventSettings

CASES = ((1, 4096), (1, 256), (1, 1), (20, 256), (20, 1))
"""Channels, and rows a call."""
ROUNDS = 4
VALUES = 409_600
"""A tenth of them where rows come one at a time."""


def run() -> dict[str, Any]:
    """µs of processor time a row and a value; `times_bare` is how often the bare z-score fits in."""
    figures = {f"{channels} x {rows} rows": _measure(channels, rows) for channels, rows in CASES}
    row, value = figures["1 x 256 rows"]["us_per_row"], figures["20 x 256 rows"]["us_per_value"]
    return {
        "goals": [
            {"goal": "events, a row of 1 channel", "at_most": 5, "unit": "µs", "figure": round(row, 2)},
            {"goal": "events, a value of 20 channels, blocks of 256", "at_most": 0.15, "unit": "µs",
             "figure": round(value, 3)},
        ],
        **figures,
    }  # fmt: skip


def _measure(channels: int, rows: int) -> dict[str, float]:
    n = VALUES // channels // (10 if rows == 1 else 1) // rows * rows
    data = np.random.default_rng(1).normal(size=(n, channels))
    bare = min(_timed(lambda: _bare(data, rows)) for _ in range(ROUNDS))
    whole = min(_timed(lambda: _score(data, rows)) for _ in range(ROUNDS))
    return {
        "us_per_row": whole / n * 1e6,
        "us_per_value": whole / n / channels * 1e6,
        "bare_us_per_row": bare / n * 1e6,
        "times_bare": whole / bare,
    }


def _bare(data: np.ndarray, rows: int) -> None:
    for begin in range(0, len(data), rows):
        np.abs((data[begin : begin + rows] - 0.1) / 1.1)


def _score(data: np.ndarray, rows: int) -> None:
    detector = EventDetector(data.shape[1], EventSettings(step=1.0))
    for begin in range(0, len(data), rows):
        detector.update(data[begin : begin + rows])


def _timed(call: Callable[[], object]) -> float:
    begun = time.process_time_ns()
    call()
    return (time.process_time_ns() - begun) / 1e9


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
