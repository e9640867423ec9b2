"""A fleet of three sites: what its analyses find before the edge does: `python tests/benchmarks/fleet.py`.

60 presses over 90 days, an indicator of two channels each hour; twelve wear so slowly that the edge's baseline
follows. The edge is the shipped engine by backtest over the same rows; of its alarms those count that it does not raise
over the rows without the fault. The cloud looks once a day. Needs the extra `analytics`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS, rfc3339
from edgeloop_tools.analyse.definition import load
from edgeloop_tools.analyse.fleet import Fleet
from edgeloop_tools.backtest.count import alarms
from edgeloop_tools.backtest.recording import read
from edgeloop_tools.backtest.replay import replay
from edgeloop_tools.extras import need

EXTRAS = ("analytics",)
DAYS: Final = 90
WORN: Final = 12
AHEAD: Final = 7
"""Days before the edge's alarm that a finding has to be there."""
FIRST: Final = 25
"""Day of the first look."""
HOURS: Final = 24


def run() -> dict[str, Any]:
    """Figures and goals."""
    need("analytics")
    found = _fleet(11)
    return found | {
        "goals": [
            {"goal": f"slow faults found {AHEAD} days and more before an alarm of the edge's that only they cause",
             "figure": found["ahead_of_any"], "at_least": 80, "unit": "%"},
            {"goal": f"slow faults found {AHEAD} days and more before the edge alarms beyond its budget",
             "figure": found["ahead"], "at_least": 80, "unit": "%"},
            {"goal": "false findings an asset and year", "figure": found["false_a_year"], "at_most": 1},
        ]
    }  # fmt: skip


def _fleet(seed: int) -> dict[str, Any]:
    fleet = Fleet(seed, days=DAYS)
    means = fleet.means()
    random = np.random.default_rng(seed)
    well = means.copy()
    worn = random.choice(len(means), WORN, replace=False)
    onset = random.integers(25, 45, WORN)
    for at, number in enumerate(worn):
        grown = np.maximum(0, np.arange(DAYS) - onset[at])
        means[number, at % 2] += fleet.level * random.uniform(0.002, 0.004) * grown
    first, raised = _cloud(fleet, means)
    sooner, any_sooner, lead, edge_days, usual_alarms, missed = 0, 0, [], [], 0, 0
    for at, number in enumerate(worn.tolist()):
        noise = 0.02 * random.standard_normal((2, DAYS * HOURS))
        usual = _edge(well[number], fleet, noise)
        heard = [day for day in _edge(means[number], fleet, noise) if day >= onset[at]]
        caused = [day for day in heard if day not in usual]
        alarm = _beyond(heard)
        usual_alarms += len(usual)
        cloud = first.get(number, DAYS)
        after = cloud >= onset[at]
        missed += number not in first
        sooner += after and number in first and alarm - cloud >= AHEAD
        any_sooner += after and number in first and min(caused, default=DAYS) - cloud >= AHEAD
        edge_days.append(alarm - int(onset[at]))
        lead.append(cloud - int(onset[at]))
    healthy = set(range(len(means))) - set(worn.tolist())
    false = sum(raised.get(number, 0) for number in healthy)
    years = len(healthy) * (DAYS - FIRST) / 365
    return {
        "worn": WORN, "ahead": 100 * sooner / WORN, "ahead_of_any": 100 * any_sooner / WORN,
        "the_edges_alarms_a_week_without_faults": usual_alarms / WORN / (DAYS / 7), "not_found": missed,
        "days_from_onset_to_finding": float(np.median(lead)),
        "days_from_onset_to_the_edges_alarm": float(np.median(edge_days)),
        "edge_silent_until_the_end": int(sum(d + int(o) >= DAYS for d, o in zip(edge_days, onset, strict=True))),
        "false_findings": false, "false_a_year": false / years,
    }  # fmt: skip


def _cloud(fleet: Fleet, means: NDArray[np.float64]) -> tuple[dict[int, int], dict[int, int]]:
    """By asset: the day of its first finding, and how many appeared that were not there the day before."""
    analysis = load("anomaly")
    own = analysis.parameters([])
    frame = fleet.frame(means).rename(columns={"value": "level"}).assign(hours=HOURS, unrest=0.07, wave=0.1)
    numbers = {fleet.name(number): number for number in range(len(means))}
    days = sorted(frame.day.unique())
    first: dict[int, int] = {}
    raised: dict[int, int] = {}
    before: set[tuple[str, str, str, str]] = set()
    for day in range(FIRST, DAYS):
        part = frame[frame.day <= days[day]]
        answer = analysis.module.fit(part, own)
        now = {(f.site, f.asset, f.indicator, f.kind) for f in answer.findings}
        for site, asset, _, _ in now - before:
            number = numbers[site, asset]
            first.setdefault(number, day)
            raised[number] = raised.get(number, 0) + 1
        before = now
    return first, raised


def _beyond(days: list[int]) -> int:
    """The day on which two weeks have had seven alarms: at one a week by chance that comes once in two hundred."""
    for at in range(len(days)):
        if at >= 6 and days[at] - days[at - 6] < 14:
            return days[at]
    return DAYS


def _edge(means: NDArray[np.float64], fleet: Fleet, noise: NDArray[np.float64]) -> list[int]:
    """Days of alarms."""
    hours = np.arange(DAYS * HOURS)
    middle = np.arange(DAYS) * HOURS + HOURS / 2
    wave = 0.1 * np.sin(2 * np.pi * hours / HOURS)
    rows = np.array([np.interp(hours, middle, line) for line in means]) + wave + noise
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "press.csv"
        times = [rfc3339(fleet.began + int(hour) * 3600 * NS) for hour in hours]
        lines = [f"{t},{a:.5f},{b:.5f}" for t, a, b in zip(times, *rows.tolist(), strict=True)]
        path.write_text("\n".join(["time,x_rms,x_velocity", *lines, ""]))
        return [row // HOURS for row in alarms(replay(read(path)))]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
