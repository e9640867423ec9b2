"""What the demo deploys: the configuration of the components, and what the harness must know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeloop import __version__
from edgeloop.clock import NS
from edgeloop_tools.core.builtin import RECIPES, STREAM_MANAGER
from edgeloop_tools.harness.judge import Fault
from edgeloop_tools.harness.trivial import Watched

UMBRELLA = "io.edgeloop.Edgeloop"
RUNTIME = "io.edgeloop.Runtime"
INGEST = "io.edgeloop.SensorIngest"
ANOMALY = "io.edgeloop.AnomalyInference"
CAMERA = "io.edgeloop.CameraInference"
MODELS = "io.edgeloop.ModelUpdate"
UPLOAD = "io.edgeloop.StreamUpload"
CONSOLE = "io.edgeloop.Console"

SHAFT = 29.95
BEARING = {"outer_race": 3.585, "inner_race": 5.415, "rolling_element": 4.714}
"""6205-2RS, times the shaft's frequency; the recordings of Case Western Reserve University are of this bearing."""

SETTLE, LEARN, FIRST, EVERY, HOLD = 2, 8, 20, 9, 5
"""Seconds: after a start, to learn what is normal, to the first fault, between faults, of a fault."""

PROFILES = ("core", "vision", "upload")
INSTALLED = (*PROFILES, "console")
BUCKET = "edgeloop-demo"
SITE = "demo"
CAPTURE = {"policy": "windows alarms", "length": "2 s", "every": "10 s", "before": "2 s", "after": "2 s"}
"""Of what is faster than 100 Hz, these go up."""
GATE, MODEL = "gate", "visual_inspection"
TAUGHT = "taught"
"""Model of a camera of one's own."""
STANDS = 5
"""Seconds that a machine stands after a stop by command."""
PARTS = 4
"""Parts a second on the simulated conveyor."""

KINDS = ("outer_race", "imbalance", "drift", "dropout", "clock_jump")


@dataclass(slots=True)
class Plan:
    """sources, monitors, rules: the components' own configuration, by id. truth: what recordings are known to hold.
    told: lines about them, for people. listen: the page's address and port; without one the line has no page."""

    sources: dict[str, Any] = field(default_factory=dict)
    monitors: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    cameras: dict[str, Any] = field(default_factory=dict)
    watched: list[Watched] = field(default_factory=list)
    truth: list[Fault] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    listen: str = ""

    @property
    def simulated(self) -> bool:
        return bool(self.machines)

    @property
    def inspected(self) -> bool:
        """Whether parts go by, each with a verdict of the default model's successor."""
        return any(camera["policy"] == "every" for camera in self.cameras.values())

    @property
    def models(self) -> set[str]:
        """That cameras name."""
        return {str(camera["model"]) for camera in self.cameras.values() if camera.get("model")}

    @property
    def more(self) -> list[str]:
        """Profiles of the Runtime that a camera of one's own needs."""
        network = any(str(camera["uri"]).startswith(("rtsp", "http")) for camera in self.cameras.values())
        return ["video"] if network else []

    @property
    def roots(self) -> dict[str, str]:
        """What a fleet's deployment names: Stream Manager is a line of its own."""
        return {UMBRELLA: __version__, STREAM_MANAGER: str(RECIPES[STREAM_MANAGER].version)}

    def merge(self) -> dict[str, dict[str, Any]]:
        """Component → configuration to merge."""
        return {
            RUNTIME: {"profiles": " ".join([*(INSTALLED if self.listen else PROFILES), *self.more])},
            INGEST: {"site": SITE, "sources": self.sources},
            ANOMALY: {
                "site": SITE,
                "alarms": {"group": f"{HOLD // 2} s"},
                "monitors": self.monitors,
                **({"rules": self.rules} if self.rules else {}),
            },
            CAMERA: {"site": SITE, "cameras": self.cameras},
            MODELS: {"probation": {"inferences": 3 * PARTS, "time": "3 s"}},
            UPLOAD: {"site": SITE, "bucket": BUCKET, "every": "10 s", "fast": dict(CAPTURE)},
            **({CONSOLE: {"site": SITE, "listen": self.listen}} if self.listen else {}),
        }


def machines(names: Sequence[str], seed: int, *, arm: bool = False) -> Plan:
    """Simulated machines with seeded faults, two monitors each, and a rule that stops the first."""
    plan = Plan(machines=list(names))
    for number, name in enumerate(names):
        plan.sources[name] = {
            "type": "simulator",
            "seed": seed + number,
            "restart": f"{STANDS} s",
            "faults": {
                "first": f"{FIRST} s",
                "every": f"{EVERY} s",
                "hold": f"{HOLD} s",
                "kinds": " ".join(KINDS),
            },
            "actions": {
                "stop": {"range": "0..1", "armed": arm},
                "reject": {"range": "0..1", "armed": False, "every": "50 ms"},
            },
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


def conveyor(plan: Plan, seed: int) -> None:
    """Adds a simulated conveyor whose rejects go to the first machine."""
    plan.cameras[GATE] = {
        "uri": f"simulator:?seed={seed}&rate={PARTS}",
        "asset": GATE,
        "policy": "every",
        "deadline": "2 s",
        "queue": 16,
        "reject": {"source": plan.machines[0], "target": "reject"},
    }


def camera(plan: Plan, uri: str) -> None:
    """Adds a camera of one's own: the newest frame; its first pictures are what is good (see `Acts`)."""
    plan.cameras[GATE] = {"uri": uri, "asset": GATE, "policy": "latest", "rate": "10 Hz", "model": TAUGHT}
