"""What the condition detector costs, beside a bare numpy z-score: `python tests/benchmarks/conditions.py`.

20 channels in blocks of 256 rows, and 8 channels row by row; processor time of this process, the median of rounds.
"""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Any

import numpy as np

from edgeloop.detect.states import ConditionDetector, ConditionSettings

LEARN = 400
ROUNDS = 120


def cost(channels: int, block: int, rounds: int) -> dict[str, float]:
    """µs of a block of rows: the detector's, and that of (rows - mean) / deviation."""
    rows = np.random.default_rng(1).normal(20.0, 3.0, (LEARN + block * rounds, channels))
    detector = ConditionDetector(channels, ConditionSettings(step=1.0, learn=LEARN))
    detector.update(rows[:LEARN])
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    own, bare = [], []
    for at in range(LEARN, len(rows), block):
        part = rows[at : at + block]
        begun = time.process_time_ns()
        detector.update(part)
        between = time.process_time_ns()
        np.abs((part - mean) / deviation)
        own.append(between - begun)
        bare.append(time.process_time_ns() - between)
    return {"own": median(own) / 1000, "bare": median(bare) / 1000}


def run() -> dict[str, Any]:
    """µs per value in blocks and per row; `times_bare` is the ratio to the z-score of the same run."""
    blocks, single, lone = cost(20, 256, ROUNDS), cost(8, 1, 20 * ROUNDS), cost(1, 256, ROUNDS)
    values = 20 * 256
    return {
        "goals": [
            {"goal": "conditions, a row of 1 channel", "at_most": 5, "unit": "µs",
             "figure": round(lone["own"] / 256, 2)},
            {"goal": "conditions, a value of 20 channels, blocks of 256", "at_most": 0.15, "unit": "µs",
             "figure": round(blocks["own"] / values, 3)},
        ],
        "20 channels, blocks of 256": {
            "us_per_value": round(blocks["own"] / values, 4),
            "bare_us_per_value": round(blocks["bare"] / values, 4),
            "times_bare": round(blocks["own"] / blocks["bare"], 1),
        },
        "8 channels, row by row": {
            "us_per_row": round(single["own"], 1),
            "bare_us_per_row": round(single["bare"], 1),
            "times_bare": round(single["own"] / single["bare"], 1),
        },
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
