"""The house: rows that come alone, events, the way of a sample, memory, what the first use takes, lines of code.

The suite's own length is no figure of this: `.ci/run` prints it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from camera_inference.spots import components
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.join.asof import columns
from edgeloop.wire.batch import Batch, Channel, row_times
from edgeloop_tools import extras
from edgeloop_tools.bench.suite import load, show
from edgeloop_tools.demo.run import CHECKOUT, Options, measure
from requirements import MEGABYTE, Lock

TAGS, ALONE, LEARNED, TOGETHER = 40, 3000, 1000, 100
"""Channels of a row; rows that come one by one, of which so many are learned first; rows that are timed at once."""
SECONDS = 45.0
BEFORE = 53_300
"""Lines of the product when this was begun."""
CORE = 9000


def run() -> dict[str, Any]:
    """Times are of the processor, the least of rounds; a ratio is against the bare limit of the same run."""
    events, pipeline = (load(Path(__file__).with_name(f"{name}.py")) for name in ("events", "pipeline"))
    value = events._measure(20, 256)["us_per_value"]
    names = [f"press{n + 1}" for n in range(pipeline.MACHINES)]
    ticks = pipeline.made(names)
    way = max((pipeline._round(names, ticks) for _ in range(pipeline.ROUNDS)), key=lambda f: float(f["of_bare"]))
    rows = {f"{rate} Hz": alone(rate) for rate in (1, 10)}
    report = _demo()
    tools = Lock.merge((extras.LOCKS / "tools.txt").read_text())
    lines = {name: _lines(CHECKOUT / name) for name in ("components", "scripts", "scripts/edgeloop_tools/core")}
    product = lines["components"] + lines["scripts"]
    goals = [
        ("row of 40 tags, alone", "at_most", 300, max(rows.values()), "µs"),
        ("events, 20 channels in blocks of 256, a value", "at_most", 0.15, round(value, 3), "µs"),
        ("source → journal → score, over bare bytes + bare spectra", "at_least", 0.10, round(way["of_bare"], 3), ""),
        ("all five components, PSS", "at_most", 300, report["pss_mb_together"], "MB"),
        ("first use: tools, on disk", "at_most", 300, round(tools.disk / MEGABYTE), "MB"),
        ("first use: tools, to download", "at_most", 90, round(tools.download / MEGABYTE), "MB"),
        ("lines of the product", "at_most", BEFORE, product, ""),
        ("lines of edgeloop_tools/core", "at_most", CORE, lines["scripts/edgeloop_tools/core"], ""),
    ]
    return {
        "goals": [
            {"goal": goal, bound: limit, "figure": figure, "unit": unit} for goal, bound, limit, figure, unit in goals
        ],
        "row of 40 tags, alone, us": rows,
        "batch of 1,280 rows, us": _batch(),
        "full map of 518 x 518, ms": _timed(lambda: components(np.ones((518, 518), dtype=bool)), 3) * 1e3,
        "values_per_s": way["values_per_s"],
        "pss_mb": {name: c["pss_mb"] for name, c in report["components"].items() if c["pss_mb"]},
        "lines": lines,
    }  # fmt: skip


def alone(rate: int, tags: int = TAGS) -> float:
    """µs of a row through the whole engine, input to result, by a monitor as a person would first write it."""
    monitor = {"asset": "oven", "input": "plc", "learn": "20 s", "gap": "0 s"}
    engine = Engine(convert({"monitors": {"m": monitor}}, Configuration))
    channels = tuple(Channel(f"t{i}") for i in range(tags))
    values = np.random.default_rng(1).normal(10, 1, (ALONE, tags)).round(2)
    batches = [
        Batch("plc", 1, i, 1_790_000_000 * NS + i * NS // rate, channels, values[i : i + 1], rate=Fraction(rate))
        for i in range(ALONE)
    ]
    for batch in batches[:LEARNED]:
        engine.process(batch)
    found = []
    for at in range(LEARNED, ALONE, TOGETHER):
        begun = time.process_time_ns()
        for batch in batches[at : at + TOGETHER]:
            engine.process(batch)
        found.append((time.process_time_ns() - begun) / TOGETHER / 1e3)
    return round(min(found), 1)


def _batch() -> dict[str, float]:
    batch = Batch("a", 1, 0, 0, (Channel("x"),), np.zeros((1280, 1), np.int16), rate=Fraction(25_600))
    return {
        "row_times": _timed(lambda: row_times(batch), 200) * 1e6,
        "columns": _timed(lambda: columns(batch, "x"), 200) * 1e6,
    }


def _timed(call: Callable[[], object], rounds: int) -> float:
    """s of the processor, the least."""
    found = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        call()
        found.append((time.process_time_ns() - begun) / 1e9)
    return min(found)


def _demo() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report, _ = measure(Options(duration=SECONDS, report=Path(folder) / "report.json", quiet=True))
    return report


def _lines(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py"))


if __name__ == "__main__":
    print(show(run()))
