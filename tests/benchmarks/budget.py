"""Alarms of a healthy simulated machine against the budget: `python tests/benchmarks/budget.py [--full]`.

The process values of a simulated machine at 1 Hz, with its planned stops and changes of product, which are the
monitor's conditions, through the component's engine. --full: ten machines (seeds) for 30 days each at a budget of one
alarm a day, a quarter of an hour; without it two machines for 3 days each at ten times that budget."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.machine import PLC, SLOW, Machine
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Column, RecordBatch
from edgeloop_tools.evaluate.metrics import poisson

DAY = 86_400
BEGAN = 1_700_000_000 * NS
BLOCK = 640
"""Rows handed over at once; no score depends on it."""
KINDS = ("process", "event")
WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class Extent:
    """days of each machine; a_day: the budget, alarms a day."""

    seeds: tuple[int, ...]
    days: int
    a_day: int

    @property
    def allowed(self) -> int:
        """Alarms of one machine."""
        return self.days * self.a_day


SHORT, FULL = Extent((0, 1), 3, 10), Extent(tuple(range(10)), 30, 1)


def run(extent: Extent = SHORT) -> dict[str, Any]:
    """Alarms by kind of each machine and of all; `of_budget`: their number over the budget, with its interval of
    confidence (95 %, Poisson). Each kind has the whole budget."""
    counts = [_alarms(seed, extent) for seed in extent.seeds]
    machines = [_row(str(seed), count, extent.allowed) for seed, count in zip(extent.seeds, counts, strict=True)]
    total = sum(counts, Counter[str]())
    allowed = extent.allowed * len(extent.seeds)
    what = f"alarms over budget, healthy, {len(extent.seeds)} x {extent.days} days, {extent.a_day} a day"
    return {
        "goals": [
            {"goal": f"{what}, {kind}", "at_least": 1 / WITHIN, "at_most": WITHIN,
             "figure": round(total[kind] / allowed, 2)}
            for kind in KINDS
        ],
        "machines": machines,
        **{kind: _share(total[kind], allowed) for kind in KINDS},
        "both": _share(sum(total.values()), allowed),
    }  # fmt: skip


def _row(seed: str, count: Counter[str], allowed: int) -> dict[str, Any]:
    shares = {f"{kind}_of_budget": _share(count[kind], allowed)["of_budget"] for kind in KINDS}
    return {"seed": seed, "budget": allowed, **{kind: count[kind] for kind in KINDS}, **shares}


def _share(count: int, allowed: int) -> dict[str, Any]:
    low, high = poisson(count)
    return {
        "alarms": count,
        "budget": allowed,
        "of_budget": round(count / allowed, 2),
        "from": round(low / allowed, 2),
        "to": round(high / allowed, 2),
    }


def _alarms(seed: int, extent: Extent) -> Counter[str]:
    monitor = {
        "asset": "press1", "input": f"press1_{SLOW}", "when": f"press1_{PLC}.running", "per": f"press1_{PLC}.product",
        "settle": "2 s", "learn": "10 min", "budget": f"{extent.a_day} alarms/day",
    }  # fmt: skip
    alarms = {"group": "0 s", "most": 10_000, "chatter": 1000, "within": "1 s"}
    engine = Engine(convert({"monitors": {"process": monitor}, "alarms": alarms}, Configuration))
    raised: Counter[str] = Counter()
    for items in _rows(seed, extent.days * DAY):
        raised.update(a.kind for a in engine.process(*items).alarms if a.state == "raised")
    return raised


def _rows(seed: int, n: int) -> Iterator[tuple[RecordBatch, Batch]]:
    spec = Spec("press1", slow_rate=Fraction(1), plc_rate=Fraction(1))
    machine = Machine(spec, seed)
    for a in range(0, n, BLOCK):
        rows = min(BLOCK, n - a)
        t = np.arange(a, a + rows, dtype=np.float64)
        columns = {
            "running": Column("bool", machine.timeline.running(t).astype(np.uint8)),
            "product": Column("enum", machine.timeline.product(t), labels=spec.products),
        }
        times = BEGAN + np.arange(a, a + rows, dtype=np.int64) * NS
        values = machine.slow(a, rows)
        yield (
            RecordBatch(f"press1_{PLC}", 1, a, times, columns),
            Batch(f"press1_{SLOW}", 1, a, int(times[0]), spec.slow_channels, values, rate=spec.slow_rate),
        )


if __name__ == "__main__":
    print(json.dumps(run(FULL if "--full" in sys.argv[1:] else SHORT), indent=1))
