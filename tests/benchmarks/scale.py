"""What a value costs in the engine, from one stream to many: `python tests/benchmarks/scale.py`."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from typing import Any

import numpy as np

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel, Column, Item, RecordBatch

STREAMS = (1, 8, 64)
BEGAN = 1_700_000_000 * NS
TICK = NS // 20
FLAT = 1.25
"""Growth of the cost of a value that is measurement, not growth."""
SHAPES: dict[str, tuple[int, int, int]] = {"vibration": (25_600, 3, 64), "values": (10, 4, 1024)}
"""Rate in Hz, channels, and ticks of 50 ms times streams that are measured."""


def cost(streams: int, rate: int, channels: int, ticks: int) -> float:
    """ns for each value of live monitors, one on each stream, each with a condition on a stream of its own."""
    common: dict[str, Any] = {"asset": "press", "learn": "4 s", "settle": 0}
    if rate > 200:
        common |= {"shaft": "29.95 Hz", "bearing": {"outer_race": 3.585}}
    names = [f"s{i}" for i in range(streams)]
    monitors = {n: common | {"input": n, "when": f"{n}_plc.running"} for n in names}
    engine = Engine(convert({"monitors": monitors}, Configuration))
    rng = np.random.default_rng(1)
    n = max(1, rate // 20)
    noise = rng.normal(0, 1, (n * 20, channels)).astype(np.float32)
    named = tuple(Channel(f"c{i}") for i in range(channels))
    every = max(TICK, NS // rate)
    learn = 100 if rate > 200 else 120

    def tick(k: int) -> list[Item]:
        part, at = noise[k % 20 * n : (k % 20 + 1) * n], BEGAN + k * every
        items: list[Item] = []
        for name in names:
            running = {"running": Column("bool", np.ones(1, dtype=np.uint8))}
            items.append(RecordBatch(f"{name}_plc", 1, k, np.array([at]), running))
            items.append(Batch(name, 1, k * n, at, named, part, rate=Fraction(rate)))
        return items

    for k in range(learn):
        engine.process(*tick(k))
    rounds = max(8, ticks // streams)
    due = [tick(learn + k) for k in range(rounds)]
    begun = time.process_time_ns()
    for items in due:
        engine.process(*items)
    return (time.process_time_ns() - begun) / (rounds * streams * n * channels)


def run() -> dict[str, Any]:
    """ns of processor time for each value, by kind of stream and number of streams; `growth` is most over fewest."""
    result: dict[str, Any] = {"goals": []}
    for name, (rate, channels, ticks) in SHAPES.items():
        costs = {str(n): round(cost(n, rate, channels, ticks), 1) for n in STREAMS}
        growth = round(costs[str(STREAMS[-1])] / costs[str(STREAMS[0])], 2)
        result[name] = {"ns_per_value": costs, "growth": growth}
        goal = f"cost of a value, {STREAMS[-1]} streams over {STREAMS[0]}, {name}"
        result["goals"].append({"goal": goal, "at_most": FLAT, "figure": growth})
    return result


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
