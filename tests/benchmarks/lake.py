"""The lake and its analyses on a simulated fleet with known truth: `python tests/benchmarks/lake.py`.

Two sites of five presses, two days at 1/6 Hz, in objects of half an hour; then compare and forecast over simulated
means of days. Processor time, so that other work on the machine counts little. Needs the packages of the extra
`analytics`."""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop_tools.analyse.definition import load
from edgeloop_tools.analyse.fleet import Fleet, upload
from edgeloop_tools.analyse.run import answered
from edgeloop_tools.extras import need
from edgeloop_tools.lake.compact import compact, parts

SIZE = Fleet(seed=1, sites=2, assets=5, days=2)
ROWS, FILES = 14_400, 48
"""Of a day of each press: a row every six seconds."""
SEEDS = 10


def run() -> dict[str, Any]:
    """Figures and goals."""
    need("analytics")
    with tempfile.TemporaryDirectory() as folder:
        figures = _lake(Path(folder))
    figures |= {"compare": _compare(), "forecast": _forecast(), "cluster": _cluster()}
    lake, compared, forecast = figures["lake"], figures["compare"], figures["forecast"]
    figures["goals"] = [
        {"goal": "objects of a table for each site and date", "figure": lake["objects_each"], "at_most": 1},
        {"goal": "processor time of the same question, objects over lake", "figure": lake["ratio"], "at_least": 5},
        {"goal": "memory of all that", "figure": lake["megabytes"], "at_most": 1000, "unit": "MB"},
        {"goal": "rows of the lake unlike the uploaded", "figure": lake["unlike"], "at_most": 0},
        {"goal": "5 % for 3 days, 10 fleets of 60: found", "figure": compared["change"], "at_least": 9},
        {"goal": "25 % always, 10 fleets of 60: found", "figure": compared["level"], "at_least": 9},
        {"goal": "false findings, 10 runs over healthy fleets", "figure": compared["false"], "at_most": 1},
        {"goal": "three families of 60 machines, least adjusted Rand index", "figure": figures["cluster"]["least"],
         "at_least": 0.9},
        {"goal": "forecast's 80 % interval covers", "figure": forecast["covers"], "at_least": 75, "at_most": 85,
         "unit": "%"},
        {"goal": "series without trend of which a day is said", "figure": forecast["false"], "at_most": 2, "unit": "%"},
    ]  # fmt: skip
    return figures


def _lake(folder: Path) -> dict[str, Any]:
    import duckdb

    means = SIZE.means()
    objects = upload(folder / "up", SIZE, means, rows=ROWS, files=FILES)
    began = time.process_time()
    done = compact(str(folder / "up"), folder)
    compacted = time.process_time() - began
    began = time.process_time()
    same = compact(str(folder / "up"), folder)
    unchanged = time.process_time() - began
    connection = duckdb.connect()
    connection.sql("SET TimeZone='UTC'; SET threads=2")
    source = "FROM read_parquet('{}', hive_partitioning=true) GROUP BY ALL ORDER BY ALL"
    question = "date_trunc('hour', time) AS hour, {} " + source
    raw = "SELECT stream, " + question.format("avg(x_rms)", folder / "up" / "raw" / "**" / "*.parquet")
    mean = "sum(mean * n) FILTER (indicator = 'rms') / sum(n) FILTER (indicator = 'rms')"
    lake = "SELECT stream, " + question.format(mean, folder / "lake" / "indicators_1m" / "**" / "*.parquet")
    connection.sql(lake).fetchall()
    spent, answers = [], []
    for query in (raw, lake):
        began = time.process_time()
        answers.append(connection.sql(query).fetchall())
        spent.append(time.process_time() - began)
    pairs = zip(*answers, strict=True)
    unlike = sum(a[:2] != b[:2] or abs(a[2] - b[2]) > 1e-6 for a, b in pairs)
    compare = load("compare")
    began = time.process_time()
    answered(compare, folder, compare.parameters([]))
    return {
        "lake": {
            "objects": objects, "rows": done.rows, "compact_s": compacted, "again_s": unchanged, "same_days": same.same,
            "raw_query_s": spent[0], "lake_query_s": spent[1], "ratio": spent[0] / spent[1], "unlike": unlike,
            "objects_each": len(parts(folder, "indicators_1m")) / (SIZE.sites * SIZE.days),
            "compare_s": time.process_time() - began,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    }  # fmt: skip


def _compare() -> dict[str, Any]:
    analysis = load("compare")
    own = analysis.parameters([])
    change = level = false = 0
    for seed in range(SEEDS):
        fleet = Fleet(seed)
        means = fleet.means()
        false += len(analysis.module.fit(fleet.frame(means), own).findings)
        means[7, 0, -3:] *= 1.05
        means[33, 1] *= 1.25
        answer = analysis.module.fit(fleet.frame(means), own)
        found = {(f.site, f.asset, f.indicator, f.kind) for f in answer.findings}
        change += (*fleet.name(7), "rms", "change") in found
        level += (*fleet.name(33), "velocity", "level") in found
    return {"change": change, "level": level, "false": false}


def _cluster() -> dict[str, Any]:
    from sklearn.metrics import adjusted_rand_score

    analysis = load("cluster")
    keys = ["type", "site", "device", "asset", "stream", "channel", "indicator", "unit"]
    found = []
    for seed in range(SEEDS // 2):
        fleet = Fleet(seed)
        means, family = fleet.means(), np.random.default_rng(seed).integers(0, 3, 60)
        means[:, 0] *= np.array([1, 1.25, 1.0])[family][:, None]
        means[:, 1] *= np.array([1, 1.1, 0.8])[family][:, None]
        days = fleet.frame(means).groupby(keys, as_index=False).value.agg(["mean", "std"])
        days = days.rename(columns={"mean": "level", "std": "spread"})
        rows = analysis.module.fit(days, analysis.parameters([])).rows
        group = {(row.site, row.asset): row.group for row in rows.itertuples()}
        found.append(adjusted_rand_score(family, [group[fleet.name(number)] for number in range(60)]))
    return {"seeds": len(found), "least": float(min(found)), "median": float(np.median(found))}


def _forecast() -> dict[str, Any]:
    analysis = load("forecast")
    own = analysis.parameters(["limit=0"])
    said = covered = false = 0
    errors: list[float] = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        days, phi, slope = int(random.integers(30, 90)), random.uniform(0, 0.7), random.uniform(0.05, 0.25)
        noise = random.standard_normal(days + 400)
        for day in range(1, len(noise)):
            noise[day] = phi * noise[day - 1] + np.sqrt(1 - phi * phi) * noise[day]
        limit = slope * days + random.uniform(2, slope * 70 + 3)
        met = np.flatnonzero(slope * np.arange(days, days + 400) + noise[days:] >= limit)
        truth = int(met[0]) + 1 if len(met) else 10**6
        found = analysis.module.outlook(np.arange(days), slope * np.arange(days) + noise[:days], limit, own)
        if found.said == "yes":
            said += 1
            covered += found.low <= truth <= found.high
            errors.append(abs(found.days - truth))
        false += analysis.module.outlook(np.arange(days), noise[:days], limit, own).said == "yes"
    return {"said": said, "of": 400, "covers": 100 * covered / said, "median_error_days": float(np.median(errors)),
            "false": false / 4}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
