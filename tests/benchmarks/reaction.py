"""From a sample to the action it causes, 1 kHz x 8 channels: `python tests/benchmarks/reaction.py`.

A program writes 8 channels at 1 kHz, in which a fault begins at known samples. SensorIngest and AnomalyInference run on
a local core at a tick of 15 ms; a rule stops a simulated machine, armed. Once with every sample scored by itself
(`block: 0`; the fault is a level), once in blocks of 256 samples (the fault is a vibration), at the same time.
The action ends when the machine has been written to."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import __version__
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.bench.suite import show
from edgeloop_tools.demo.plan import ANOMALY, INGEST, RUNTIME
from edgeloop_tools.demo.run import CHECKOUT, demo_root
from edgeloop_tools.harness.documents import AlarmEvent
from edgeloop_tools.harness.line import Line

RATE, CHANNELS = 1000, 8
TICK = "15 ms"
LEARN = 10.0
SECONDS = 45.0
INSTALL = 900.0
GOAL = 40.0
SLACK = 20_000_000
"""ns by which a time stamp may be off: the source counts samples and follows their arrival."""
STEP = 8.0
"""Height of a fault in standard deviations of a sample."""
CASES = {"rows": (0.0, 0.42, 0.15), "blocks": (120.0, 4.0, 1.5)}
"""Hz of what a fault adds (0: a level); seconds from one's onset to the next's, on average, and of a fault."""
MACHINE = "press1"

PROGRAM = """
import json, sys, time
import numpy as np
seed, tone, every, hold, learn, began = int(sys.argv[1]), *map(float, sys.argv[2:6]), sys.argv[6]
rng = np.random.default_rng(seed)
names = {f"c{i}": "1" for i in range(CHANNELS)}
out = sys.stdout.buffer
out.write(json.dumps({"rate": RATE, "dtype": "<f4", "channels": names}).encode() + b"\\n")
start, done, onsets, next_at = time.time_ns(), 0, [], round(learn * RATE)
while True:
    due = (time.time_ns() - start) * RATE // 10**9
    if due > done:
        rows = rng.normal(0, 1, (due - done, CHANNELS)).astype("<f4")
        while next_at < due:
            onsets.append(next_at)
            next_at += round(every * RATE * rng.uniform(0.75, 1.25))
            with open(began, "w") as file:
                json.dump([start, onsets], file)
        for onset in onsets[-2:]:
            a, b = max(onset, done), min(onset + round(hold * RATE), due)
            if b > a:
                rows[a - done : b - done, onset % CHANNELS] += STEP * np.cos(2 * np.pi * tone * np.arange(a, b) / RATE)
        out.write(rows.tobytes())
        out.flush()
        done = due
    time.sleep(0.002)
"""


def run() -> dict[str, Any]:
    """ms by case, p50 and p99 (`of`: actions): from the sample that decided, and from the onset of the fault."""
    from edgeloop_tools.build import build

    build()
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    folder.chmod(0o777)
    try:
        with Line(demo_root("classic")) as line:
            _deploy(line, folder)
            deadline = time.monotonic() + LEARN + SECONDS
            while time.monotonic() < deadline:
                line.poll()
                time.sleep(0.5)
            cpu = {name.rpartition(".")[2]: round(usage.cpu_percent, 1) for name, usage in line.meter.usage.items()}
            audit = (line.root / "work" / INGEST / "actions.jsonl").read_bytes().splitlines()
            done = {a["cause"]["alarm"]: a["time"] for a in map(json.loads, audit) if a["outcome"] == "done"}
            raised = {r.event.id: r.event for r in line.recording.alarms if r.event.state == "raised"}
        figures = {name: _case(folder / name, name, raised, done) for name in CASES}
    finally:
        shutil.rmtree(folder)
    goals = [
        {"goal": f"{name} → action, 1 kHz x 8, tick {TICK}, p99", "at_most": GOAL, "unit": "ms",
         "figure": figures["rows"][f"{name}_to_action_ms"]["p99"]}
        for name in ("sample", "onset")
    ]  # fmt: skip
    return {"goals": goals, **figures, "cpu_percent": cpu}


def _deploy(line: Line, folder: Path) -> None:
    python = line.root / "work" / RUNTIME / "venv" / "bin" / "python"
    program = folder / "program.py"
    program.write_text(f"CHANNELS, RATE, STEP = {CHANNELS}, {RATE}, {STEP}\n{PROGRAM}")
    sources: dict[str, Any] = {
        name: {
            "type": "process",
            "command": f"{python} -u {program} {seed} {tone} {every} {hold} {LEARN} {folder / name}",
        }
        for seed, (name, (tone, every, hold)) in enumerate(CASES.items())
    }
    sources[MACHINE] = {
        "type": "simulator", "stops": False, "restart": "0 s",
        "actions": {"stop": {"range": "0..1", "armed": True, "every": "0 s"}},
    }  # fmt: skip
    common = {"learn": f"{LEARN / 2.5:g} s", "budget": "1 alarm/week"}
    monitors = {
        "rows": {**common, "asset": "rows", "input": "rows", "block": "0 s", "detect": "conditions"},
        "blocks": {**common, "asset": "blocks", "input": "blocks"},
    }
    rules = {
        name: {"monitor": name, "source": MACHINE, "target": "stop", "most": 3600, "armed": True} for name in monitors
    }
    alarms = {"group": "0 s", "most": 10_000, "chatter": 1000, "within": "1 s"}
    merge: dict[str, dict[str, Any]] = {
        RUNTIME: {"profiles": "core"},
        INGEST: {"tick": TICK, "sources": sources},
        ANOMALY: {"monitors": monitors, "rules": rules, "alarms": alarms},
    }
    roots = dict.fromkeys(merge, __version__)
    deployment = line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", roots, merge)
    line.core.wait(deployment, timeout=INSTALL)
    line.poll()


def _case(began: Path, name: str, raised: Mapping[str, AlarmEvent], done: Mapping[str, int]) -> dict[str, Any]:
    """An action belongs to the last onset before the sample that decided; the first one of each counts.

    done: alarm → ns UTC at which its action was executed, as the audit has it.
    """
    if not began.exists():
        raise EdgeloopError("the program wrote no fault", where=name)
    start, onsets = json.loads(began.read_text())
    times = np.array([start + index * NS // RATE for index in onsets])
    decided: list[float] = []
    alarmed: list[float] = []
    acted: dict[int, float] = {}
    stray = 0
    for id, alarm in raised.items():
        if alarm.monitor != name or id not in done or alarm.sample_time is None:
            continue
        before = times[times <= alarm.sample_time + SLACK]
        if not len(before) or alarm.sample_time - before[-1] > CASES[name][2] * NS:
            stray += 1
            continue
        decided.append((done[id] - alarm.sample_time) / 1e6)
        alarmed.append(((alarm.raised_at or 0) - alarm.sample_time) / 1e6)
        acted.setdefault(int(before[-1]), (done[id] - int(before[-1])) / 1e6)
    return {
        "sample_to_action_ms": _quantiles(decided),
        "of_which_to_alarm_ms": _quantiles(alarmed),
        "onset_to_action_ms": _quantiles(list(acted.values())),
        "faults": len(onsets),
        "acted_on": len(acted),
        "stray_actions": stray,
    }


def _quantiles(values: list[float]) -> dict[str, Any]:
    if not values:
        raise EdgeloopError("no action was executed", mend="see the components' logs in the demo's folder")
    p50, p99 = (round(float(q), 1) for q in np.quantile(values, (0.5, 0.99)))
    return {"p50": p50, "p99": p99, "most": round(max(values), 1), "of": len(values)}


if __name__ == "__main__":
    sys.stdout.write(show(run()) + "\n")
