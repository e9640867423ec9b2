"""From samples to a machine that is held where a rule put it, until its alarm is over or nobody says so any more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.alarms import Acknowledge
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from sensor_ingest.actions import Actions
from sensor_ingest.sources.base import Target

BEGAN = 1_700_000_000 * NS
TICK = NS // 20
CONFIGURATION = {
    "monitors": {
        "bearing": {
            "asset": "press1", "input": "press1_vib", "settle": "1 s", "learn": "4 s", "shaft": "29.95 Hz",
            "bearing": {"outer_race": 3.585},
        }
    },
    "rules": {
        "slow": {
            "monitor": "bearing", "source": "press1", "target": "speed", "value": 40, "renew": "1 s", "armed": True,
        }
    },
}  # fmt: skip


class Press:
    """A machine that runs at 100 and goes back to it two seconds and a half after the last word."""

    connections = 1

    def __init__(self) -> None:
        self.speed = 100.0
        self.target = convert(
            {"range": "0..100", "armed": True, "every": "500 ms", "fail_safe": {"after": "2.5 s", "value": 100}}, Target
        )

    def targets(self) -> Mapping[str, Target]:
        return {"speed": self.target}

    def write(self, target: str, value: float) -> None:
        self.speed = value


class Plant:
    """The engine, its actions handed to SensorIngest's, and the machine; all by one simulated clock."""

    def __init__(self, folder: Path, *faults: Fault) -> None:
        self.engine = Engine(convert(CONFIGURATION, Configuration))
        self.press, self.results = Press(), list[dict[str, Any]]()
        self.now = BEGAN
        self.actions = Actions(
            folder / "actions.jsonl", lambda source: self.press, self.results.append,
            lambda: self.now, lambda: (self.now - BEGAN) / NS,
        )  # fmt: skip
        self.items = iter(play([Machine(Spec("press1", stops=False), 3, faults)], 30 * NS, began=BEGAN))
        self.speeds: list[tuple[float, float]] = []

    def run(self, until: float, *, deciding: bool = True) -> None:
        """deciding: False while nobody looks at the samples, as AnomalyInference does not run."""
        while (self.now - BEGAN) / NS < until:
            end, items = next(self.items)
            self.now = BEGAN + end
            if deciding:
                for action in self.engine.process(*items, now=self.now).actions:
                    self.results.append(self.actions.execute(action.source, action.document()))
            self.actions.guard()
            if not self.speeds or self.speeds[-1][1] != self.press.speed:
                self.speeds.append((end / NS, self.press.speed))


def fault(start: float, end: float) -> Fault:
    return Fault("f", "outer_race", "press1", "z", int(start * NS), int(end * NS), 0.8, stream="vib")


def test_a_machine_is_held_while_the_alarm_lasts_and_let_go_after_it(tmp_path: Path) -> None:
    plant = Plant(tmp_path, fault(9, 18))
    plant.run(13)
    (alarm,) = plant.engine.book.open
    plant.engine.command(Acknowledge(id=alarm.id, reason="true"), plant.now)
    plant.run(28)
    assert [speed for _, speed in plant.speeds] == [100, 40, 100]
    again = plant.speeds[-1][0]
    done = [r for r in plant.results if r["outcome"] == "done" and "fail_safe" not in r["cause"]]
    assert [r["cause"]["renewal"] for r in done] == list(range(len(done)))
    assert len({r["id"] for r in done}) == len(done) >= 7
    assert all(r["outcome"] == "done" for r in plant.results)
    cleared = done[-1]["time"]
    assert 2.4 < again - (cleared - BEGAN) / NS < 2.7
    assert 18 < (cleared - BEGAN) / NS < 22
    assert not plant.engine.book.open


def test_a_machine_is_let_go_when_nobody_decides_any_more_and_held_again_after_a_restart(tmp_path: Path) -> None:
    plant = Plant(tmp_path, fault(9, 28))
    plant.run(14)
    assert plant.press.speed == 40
    plant.run(18, deciding=False)
    assert plant.press.speed == 100
    plant.run(20)
    assert plant.press.speed == 40
    assert not [r for r in plant.results if r["outcome"] == "refused"]
