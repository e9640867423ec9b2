"""How many faults are found and how many alarms are false, on seeds nobody tuned on; beside a trivial threshold.

    python tests/benchmarks/detection.py --seeds 100:120

The engine is driven as on a device, tick by tick, faster than real time. Two shapes: the demo's (60 s, learning 12 s,
a fault of 5 s every 9 s from 20 s on) and long runs (learning 60 s, a fault of 20 s every 60 s from 90 s on; and again
without any fault). A fault is found by an alarm of a fitting kind, raised on its machine between its start and 2 s
after its end; every other alarm is false, but for floods, which only count others.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.alarms import Alarm
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.faults import KINDS, Fault, Schedule
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Item, RecordBatch

Shape = Literal["demo", "long"]
BEGAN = 1_700_000_000 * NS
SLACK = 2 * NS
FITTING: dict[str, tuple[str, ...]] = {
    "outer_race": ("process",),
    "imbalance": ("process",),
    "drift": ("process",),
    "dropout": ("gap", "flat_line"),
    "clock_jump": ("clock",),
}
SHAPES: dict[Shape, dict[str, int]] = {
    "demo": {"learn": 12, "first": 20, "every": 9, "hold": 5, "length": 60},
    "long": {"learn": 60, "first": 90, "every": 60, "hold": 20, "length": 3600},
}
BEARING = {"outer_race": 3.585, "inner_race": 5.415, "rolling_element": 4.714}


def configuration(machine: str, learn: int, *, per: bool = True) -> Configuration:
    """The two monitors of a simulated machine."""
    common: dict[str, Any] = {
        "asset": machine, "when": f"{machine}_plc.running", "settle": "2 s", "learn": f"{learn} s",
        "budget": "1 alarm/week",
    }  # fmt: skip
    if per:
        common["per"] = f"{machine}_plc.product"
    vibration = {
        "input": f"{machine}_vib",
        "block": "200 ms",
        "severity": "high",
        "shaft": "29.95 Hz",
        "bearing": BEARING,
    }
    monitors = {f"{machine}_bearing": common | vibration, f"{machine}_process": common | {"input": f"{machine}_slow"}}
    return convert({"monitors": monitors}, Configuration)


@dataclass
class Tally:
    """Faults and alarms of some runs; `seconds` simulated after learning."""

    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    false: int = 0
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, faults: Sequence[Fault], alarms: Iterable[tuple[str, int, str]], note: str) -> None:
        """alarms: (kind or "any", ns after the start, text)."""
        raised = list(alarms)
        matched = [False] * len(raised)
        for fault in faults:
            self.faults[fault.kind] += 1
            times = []
            for i, (kind, at, _) in enumerate(raised):
                if fault.start <= at <= fault.end + SLACK and (kind == "any" or kind in FITTING[fault.kind]):
                    matched[i] = True
                    times.append(at)
            if times:
                self.found[fault.kind] += 1
                self.delays.append((min(times) - fault.start) / NS)
            else:
                form = f" {fault.form}" if fault.form else ""
                self.notes.append(
                    f"{note}: missed {fault.kind}{form} {fault.stream} {fault.channel} at {fault.start / NS:.1f} s, "
                    f"severity {fault.severity}"
                )
        for known, (kind, at, text) in zip(matched, raised, strict=True):
            if not known:
                self.false += 1
                self.notes.append(f"{note}: false {kind} at {at / NS:.1f} s: {text}")

    def report(self) -> dict[str, Any]:
        shares = {k: round(self.found[k] / n, 4) if n else None for k, n in self.faults.items()}
        delays = np.array(self.delays or [np.nan])
        return {
            "faults": dict(self.faults),
            "found": shares,
            "false_alarms": self.false,
            "false_alarms_per_hour": round(self.false / max(self.seconds / 3600, 1e-9), 3),
            "hours": round(self.seconds / 3600, 3),
            "delay_s": {
                "p50": round(float(np.quantile(delays, 0.5)), 2),
                "p90": round(float(np.quantile(delays, 0.9)), 2),
            },
        }


class Threshold:
    """The trivial rule: |z| of a vibration channel's RMS per 200 ms, or of a slow value, against the learning window's
    mean and spread, while the PLC says running. No settling; an alarm ends when nothing was beyond for 1 s."""

    def __init__(self, learn: int) -> None:
        self.learn = learn * NS
        self._window: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._normal: dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
        self._parts: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._running = True
        self.rows: list[tuple[int, float]] = []

    def take(self, items: Sequence[Item], at: int) -> None:
        for item in items:
            if isinstance(item, RecordBatch):
                self._running = bool(item.columns["running"].values[-1])
        for item in items:
            if not isinstance(item, Batch) or not self._running:
                continue
            for row in self._rows(item):
                if at <= self.learn:
                    self._window.setdefault(item.stream, []).append(row)
                    continue
                if item.stream not in self._normal:
                    window = np.array(self._window.get(item.stream, [row, row]))
                    self._normal[item.stream] = window.mean(axis=0), window.std(axis=0) + 1e-9
                mean, spread = self._normal[item.stream]
                self.rows.append((at, float(np.abs((row - mean) / spread).max())))

    def _rows(self, batch: Batch) -> Iterable[np.ndarray[Any, Any]]:
        values = np.asarray(batch.values(), dtype=np.float64)
        if batch.rate is None or batch.rate < 200:
            yield from values
            return
        parts = self._parts.setdefault(batch.stream, [])
        parts.append(values)
        if sum(map(len, parts)) >= batch.rate / 5:
            yield np.concatenate(parts).std(axis=0)
            parts.clear()

    def alarms(self, sigma: float) -> list[tuple[str, int, str]]:
        out: list[tuple[str, int, str]] = []
        until = -1
        for at, z in self.rows:
            if z > sigma:
                if at > until:
                    out.append(("any", at, f"{z:.1f} sigma"))
                until = at + NS
        return out


def one(
    seed: int,
    shape: Shape,
    *,
    seconds: int | None = None,
    faulty: bool = True,
    machine: str = "press1",
    per: bool = True,
) -> tuple[list[Fault], list[Alarm], Threshold, float]:
    """One machine of one seed: its faults, the alarms raised, the trivial rule's rows, the engine's share of a core."""
    s = SHAPES[shape]
    length = seconds or s["length"]
    faults = Schedule.seeded(seed, [machine], s["first"] * NS, length * NS, every=s["every"] * NS, hold=s["hold"] * NS)
    faults = faults if faulty else ()
    engine = Engine(configuration(machine, s["learn"], per=per))
    trivial = Threshold(s["learn"])
    alarms: list[Alarm] = []
    spent = 0.0
    for end, items in play([Machine(Spec(machine), seed, faults)], length * NS, began=BEGAN):
        begin = time.process_time()
        outcome = engine.process(*items, now=BEGAN + end)
        spent += time.process_time() - begin
        alarms += [a for a in outcome.alarms if a.state == "raised" and a.kind != "flood"]
        trivial.take(items, end)
    return list(faults), alarms, trivial, spent / length


def measure(
    seeds: Sequence[int], shape: Shape, *, seconds: int | None = None, faulty: bool = True, per: bool = True
) -> dict[str, Any]:
    """Figures over seeds: the engine's, the threshold's at 4 sigma, and that at its best on these very seeds."""
    engine = Tally()
    sigmas = [4.0, *np.geomspace(3, 40, 24)]
    trivial = [Tally() for _ in sigmas]
    shares = []
    length = (seconds or SHAPES[shape]["length"]) - SHAPES[shape]["learn"]
    for seed in seeds:
        faults, alarms, threshold, share = one(seed, shape, seconds=seconds, faulty=faulty, per=per)
        shares.append(share)
        engine.seconds += length
        engine.count(faults, [(a.kind, a.raised_at - BEGAN, a.text) for a in alarms], f"seed {seed}")
        for tally, sigma in zip(trivial, sigmas, strict=True):
            tally.seconds += length
            tally.count(faults, threshold.alarms(float(sigma)), f"seed {seed}")
    best = max(range(1, len(sigmas)), key=lambda i: sum(trivial[i].found.values()) - trivial[i].false)
    return {
        "engine": engine.report() | {"core_share": round(float(np.mean(shares)), 4)},
        "threshold_4_sigma": trivial[0].report(),
        "threshold_at_its_best": trivial[best].report() | {"sigma": round(float(sigmas[best]), 1)},
        "notes": engine.notes,
    }


def run(
    seeds: Sequence[int] = range(100, 120), hours: float = 1.0, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Both shapes; `hours` of long runs with and without faults, cut into one run per seed of at most an hour."""
    runs = max(1, round(hours))
    long = list(seeds)[:runs]
    seconds = round(hours * 3600 / runs)
    result: dict[str, Any] = {
        "ran_on": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        "seeds": [int(s) for s in seeds],
    }
    for name, chosen, shape, length, faulty in (
        ("demo", seeds, "demo", None, True),
        ("long", long, "long", seconds, True),
        ("healthy", long, "long", seconds, False),
    ):
        result[name] = measure(list(chosen), shape, seconds=length, faulty=faulty)  # type: ignore[arg-type]
        say(f"{name}: {json.dumps(result[name]['engine'])}")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="100:120", help="first:last, the last not included")
    parser.add_argument("--hours", type=float, default=1.0, help="simulated hours of the long runs")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--notes", action="store_true", help="every miss and every false alarm")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition(":")
    result = run(range(int(first), int(last or int(first) + 1)), arguments.hours, print)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)
    for name in ("demo", "long", "healthy"):
        for rule in ("threshold_4_sigma", "threshold_at_its_best"):
            print(f"{name}, {rule}: {json.dumps(result[name][rule])}")
        if arguments.notes:
            print(*result[name]["notes"], sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
