"""What the demo deploys: the configuration of the components, and what the harness must know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeloop.clock import NS
from edgeloop_tools.harness.judge import Fault
from edgeloop_tools.harness.trivial import Watched

UMBRELLA = "io.edgeloop.Edgeloop"
RUNTIME = "io.edgeloop.Runtime"
INGEST = "io.edgeloop.SensorIngest"
ANOMALY = "io.edgeloop.AnomalyInference"

SHAFT = 29.95
BEARING = {"outer_race": 3.585, "inner_race": 5.415, "rolling_element": 4.714}
"""6205-2RS, times the shaft's frequency; the recordings of Case Western Reserve University are of this bearing."""

SETTLE, LEARN, FIRST, EVERY, HOLD = 2, 10, 20, 9, 5
"""Seconds: after a start, to learn what is normal, to the first fault, between faults, of a fault."""

KINDS = ("outer_race", "imbalance", "drift", "dropout", "clock_jump")


@dataclass(slots=True)
class Plan:
    """sources, monitors, rules: the components' own configuration, by id. truth: what recordings are known to hold."""

    sources: dict[str, Any] = field(default_factory=dict)
    monitors: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    watched: list[Watched] = field(default_factory=list)
    truth: list[Fault] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)

    @property
    def simulated(self) -> bool:
        return bool(self.machines)

    def merge(self) -> dict[str, dict[str, Any]]:
        """Component → configuration to merge."""
        anomaly = {"site": "demo", "monitors": self.monitors, **({"rules": self.rules} if self.rules else {})}
        return {INGEST: {"site": "demo", "sources": self.sources}, ANOMALY: anomaly}


def machines(names: Sequence[str], seed: int, *, arm: bool = False) -> Plan:
    """Simulated machines with seeded faults, two monitors each, and a rule that stops the first."""
    plan = Plan(machines=list(names))
    for number, name in enumerate(names):
        plan.sources[name] = {
            "type": "simulator",
            "seed": seed + number,
            "faults": {
                "first": f"{FIRST} s",
                "every": f"{EVERY} s",
                "hold": f"{HOLD} s",
                "kinds": " ".join(KINDS),
            },
            "actions": {"stop": {"range": "0..1", "armed": arm}},
        }
        common = {
            "asset": name,
            "when": f"{name}_plc.running",
            "settle": f"{SETTLE} s",
            "learn": f"{LEARN} s",
            "budget": "1 alarm/week",
        }
        plan.monitors[f"{name}_bearing"] = {
            **common,
            "input": f"{name}_vib",
            "block": "200 ms",
            "severity": "high",
            "shaft": f"{SHAFT} Hz",
            "bearing": dict(BEARING),
        }
        plan.monitors[f"{name}_process"] = {**common, "input": f"{name}_slow", "per": f"{name}_plc.product"}
        for stream in (f"{name}_vib", f"{name}_slow"):
            plan.watched.append(Watched(name, stream, f"{name}_plc", LEARN * NS, SETTLE * NS))
    first = names[0]
    plan.rules[f"stop_{first}"] = {
        "monitor": f"{first}_bearing",
        "source": first,
        "target": "stop",
        "value": 1,
        "expires": "2 s",
        "armed": arm,
    }
    return plan
