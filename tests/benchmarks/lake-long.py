"""compare over 10⁸ rows of indicators, and 10⁴ small objects made few: `python tests/benchmarks/lake-long.py`.

Three sites of twenty presses, eight indicators, a row a minute; in a process of its own, two threads. Takes minutes and
2 GB of disk. Needs the extra `analytics`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop_tools.analyse.fleet import BEGAN, Fleet, upload
from edgeloop_tools.extras import need
from edgeloop_tools.lake.compact import LAKE, PART, compact, parts

EXTRAS = ("analytics",)
LONG: Final = True
SITES, ASSETS, INDICATORS, ROWS = 3, 20, 8, 1440
"""Rows: of a series a day."""
DAY: Final = SITES * ASSETS * INDICATORS * ROWS
SIZES: Final = (10**6, 10**7, 10**8)
SMALL: Final = Fleet(seed=1, sites=2, assets=5, days=2)
FILES: Final = 500


def run() -> dict[str, Any]:
    """Figures and goals."""
    need("analytics")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        lake, made = Path(folder), 0
        for size in SIZES:
            days = max(2, round(size / DAY))
            _write(lake, made, days)
            made = days
            asked = [sys.executable, str(Path(__file__)), str(lake)]
            figures[f"compare_{size:.0e}"] = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as folder:
        figures["small"] = _small(Path(folder))
    ten, hundred = figures[f"compare_{SIZES[1]:.0e}"], figures[f"compare_{SIZES[2]:.0e}"]
    growth = (hundred["cpu_s"] / hundred["rows"]) / (ten["cpu_s"] / ten["rows"])
    figures["goals"] = [
        {"goal": "compare over 10⁸ rows", "figure": hundred["s"], "at_most": 60, "unit": "s"},
        {"goal": "its memory", "figure": hundred["megabytes"], "at_most": 500, "unit": "MB"},
        {"goal": "processor time a row, 10⁸ over 10⁷", "figure": growth, "at_most": 1.2},
        {"goal": "objects of a table for each site and date, of 10⁴", "figure": figures["small"]["each"], "at_most": 1},
        {"goal": "memory of that", "figure": figures["small"]["megabytes"], "at_most": 1000, "unit": "MB"},
    ]  # fmt: skip
    return figures


def _write(out: Path, first: int, days: int) -> None:
    """Days of the table that compare reads, as the lake has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(first)
    series = ASSETS * INDICATORS
    assets = [f"press{k // INDICATORS + 1}" for k in range(series)]
    words = {
        "asset": assets, "stream": [f"{a}_vib_indicators" for a in assets], "channel": ["x"] * series,
        "indicator": [f"i{k % INDICATORS}" for k in range(series)],
    }  # fmt: skip
    number = pa.array(np.repeat(np.arange(series, dtype=np.int32), ROWS))
    named = {key: pa.DictionaryArray.from_arrays(number, pa.array(names)).cast(pa.string())
             for key, names in words.items()}  # fmt: skip
    count = series * ROWS
    same = {key: pa.repeat(value, count) for key, value in
            (("device", "core"), ("type", "press"), ("clock", "synced"), ("unit", "mm/s"))}  # fmt: skip
    for day in range(first, days):
        begin = BEGAN // 1000 + day * 86_400 * 10**6
        times = pa.array(np.tile(begin + np.arange(ROWS) * 60 * 10**6, series)).cast(pa.timestamp("us", "UTC"))
        for site in range(SITES):
            level = np.repeat(0.1 * random.standard_normal(series), ROWS)
            values = pa.array((4 + level + 0.1 * random.standard_normal(count)).round(3))
            measured = {"n": pa.repeat(60, count), "mean": values, "min": values, "max": values}
            columns = {"time": times, **named, **same, **measured}
            path = out / LAKE / "indicators_1h" / f"site=site{site}" / f"date={_date(day)}" / PART
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path, compression="zstd")
            other = out / LAKE / "indicators_1m" / path.relative_to(out / LAKE / "indicators_1h")
            if not day:
                other.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table(columns).slice(0, 1), other)


def _date(day: int) -> str:
    from edgeloop.layout import date

    return date(BEGAN + day * 86_400 * 10**9)


def _asked(lake: Path) -> dict[str, Any]:
    """In this process: seconds and memory of compare."""
    from edgeloop_tools.analyse.definition import load
    from edgeloop_tools.analyse.run import answered

    compare = load("compare")
    began, spent = time.monotonic(), time.process_time()
    answer, assets = answered(compare, lake, compare.parameters([]))
    return {
        "rows": len(parts(lake, "indicators_1h")) * ASSETS * INDICATORS * ROWS, "s": time.monotonic() - began,
        "cpu_s": time.process_time() - spent, "assets": len(assets), "answer": len(answer.rows),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _small(folder: Path) -> dict[str, Any]:
    objects = upload(folder / "up", SMALL, SMALL.means(), rows=FILES * 20, files=FILES)
    program = "import sys; from pathlib import Path; from edgeloop_tools.lake.compact import compact; " \
        "import resource; compact(sys.argv[1], Path(sys.argv[2])); " \
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"  # fmt: skip
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, str(folder / "up"), str(folder)], check=True,
                          capture_output=True)  # fmt: skip
    took = time.monotonic() - began
    again = compact(str(folder / "up"), folder)
    each = len(parts(folder, "indicators_1m")) / (SMALL.sites * SMALL.days)
    return {"objects": objects, "s": took, "same": again.same, "each": each, "megabytes": float(done.stdout)}


if __name__ == "__main__":
    print(json.dumps(_asked(Path(sys.argv[1])) if len(sys.argv) > 1 else run(), indent=2))
