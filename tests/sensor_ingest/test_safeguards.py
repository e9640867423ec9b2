"""Interlock, fail-safe, limits and the audit's bounds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeloop
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch
from sensor_ingest.actions import Actions
from sensor_ingest.audit import Audit
from sensor_ingest.interlock import Interlocks
from sensor_ingest.sources.base import Target

NOW = 1_800_000_000 * NS


def target(**options: Any) -> Target:
    return convert({"range": "0..100", "armed": True, "every": "0 s", **options}, Target)


class Machine:
    def __init__(self, **options: Any) -> None:
        self.target = target(**options)
        self.written: list[float] = []
        self.connections = 1
        self.reachable = True

    def targets(self) -> Mapping[str, Target]:
        return {"speed": self.target}

    def write(self, name: str, value: float) -> None:
        if not self.reachable:
            raise EdgeloopError("the machine does not answer")
        self.written.append(value)


class Desk:
    """Actions with clocks that stand until they are told to go on."""

    def __init__(self, folder: Path, machine: Machine | None) -> None:
        self.at, self.machine, self.folder = 0.0, machine, folder
        self.published: list[dict[str, Any]] = []
        self.number = 0
        self.actions = Actions(
            folder / "actions.jsonl", lambda id: self.machine if id == "press1" else None, self.published.append,
            lambda: NOW + round(self.at * NS), lambda: self.at,
        )  # fmt: skip

    def do(self, value: float, *, armed: bool = True) -> str:
        """The reason of a refusal, else the outcome."""
        self.number += 1
        now = NOW + round(self.at * NS)
        document = {"id": f"{now}-{self.number}", "target": "speed", "value": value, "issued": now, "armed": armed}
        result = self.actions.execute("press1", json.dumps(document).encode())
        return str(result["reason"] or result["outcome"])

    def later(self, seconds: float) -> float | None:
        self.at += seconds
        return self.actions.guard()

    def audit(self) -> list[tuple[str, float, str]]:
        lines = (self.folder / "actions.jsonl").read_text().splitlines()
        return [(r["outcome"], r["value"], r["reason"]) for r in map(json.loads, lines)]


def records(running: bool, mode: int = 0) -> RecordBatch:
    columns = {
        "running": Column("bool", np.array([not running, running], np.uint8)),
        "mode": Column("enum", np.array([1, mode], np.int32), ("auto", "hand")),
    }
    return RecordBatch("plc", 1, 0, np.array([1, 2], np.int64), columns)


def speeds(*values: float) -> Batch:
    return Batch(
        "slow", 1, 0, 1, (Channel("speed"),), np.array(values, np.float32)[:, None], times=np.arange(len(values))
    )


def test_an_interlock_refuses_unless_all_conditions_hold_now(tmp_path: Path) -> None:
    machine = Machine(interlock="plc.running == false and slow.speed < 10 and plc.mode = auto", fresh="3 s")
    desk = Desk(tmp_path, machine)
    watching = desk.actions.interlocks
    watching.watch([machine.target])
    assert desk.do(1) == "its interlock does not hold: plc.running is not known"
    watching.see(records(running=True))
    assert desk.do(1) == "its interlock does not hold: plc.running is True"
    watching.see(records(running=False))
    assert desk.do(1) == "its interlock does not hold: slow.speed is not known"
    watching.see(speeds(3, 12))
    assert desk.do(1, armed=False) == "its interlock does not hold: slow.speed is 12"
    watching.see(speeds(12, float("nan")))
    assert desk.do(1) == "its interlock does not hold: slow.speed is nan"
    watching.see(speeds(12, 3))
    assert desk.do(1) == "done"
    watching.see(records(running=False, mode=1))
    assert desk.do(1) == "its interlock does not hold: plc.mode is hand"
    watching.see(records(running=False))
    desk.later(3.5)
    assert desk.do(1) == "its interlock does not hold: plc.running was last seen 3.5 s ago"
    assert machine.written == [1]


def test_only_what_is_watched_is_kept() -> None:
    interlocks = Interlocks()
    watched = target(interlock="plc.running")
    interlocks.watch([watched])
    interlocks.see(speeds(1))
    interlocks.see(records(running=True))
    assert interlocks.refusal(watched) == ""
    interlocks.watch([target(interlock="slow.speed > 0")])
    interlocks.watch([watched])
    assert "not known" in interlocks.refusal(watched)


def test_what_is_not_renewed_goes_back_to_its_safe_value(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Machine(fail_safe={"after": "10 s", "value": 0}))
    machine = desk.machine
    assert machine is not None
    assert desk.actions.guard() is None
    assert desk.do(50) == "done"
    assert desk.later(9) == 0.25
    assert desk.do(60) == "done"
    desk.later(9)
    assert machine.written == [50, 60]
    assert desk.later(1) is None
    assert machine.written == [50, 60, 0]
    assert desk.published[-1]["outcome"] == "done"
    assert desk.published[-1]["cause"]["fail_safe"] == "it was not renewed in time"
    assert desk.audit()[-1] == ("done", 0, "")
    assert desk.do(70) == desk.do(0) == "done"
    assert desk.later(100) is None
    assert machine.written == [50, 60, 0, 70, 0]


def test_a_new_connection_gets_the_safe_value_as_soon_as_it_takes_it(tmp_path: Path) -> None:
    machine = Machine(fail_safe={"after": "1 h", "value": 7})
    desk = Desk(tmp_path, machine)
    assert desk.do(50) == "done"
    machine.connections, machine.reachable = 2, False
    for _ in range(20):
        desk.later(0.25)
    assert [r["reason"] for r in desk.published] == ["the machine does not answer"], "told once"
    machine.reachable = True
    desk.later(60)
    assert machine.written == [50, 7]
    assert desk.published[-1]["cause"]["fail_safe"] == "the source has connected anew"


def test_a_target_that_was_disarmed_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(fail_safe={"after": "5 s", "value": 0})
    desk = Desk(tmp_path, machine)
    assert desk.do(50) == "done"
    machine.target = target(armed=False, fail_safe={"after": "5 s", "value": 0})
    assert desk.later(6) is None
    assert machine.written == [50]
    assert "no longer armed" in desk.audit()[-1][2]


def test_an_end_in_order_leaves_the_safe_value(tmp_path: Path) -> None:
    machine = Machine(fail_safe={"after": "1 h", "value": 0})
    desk = Desk(tmp_path, machine)
    desk.actions.start()
    assert desk.do(50) == "done"
    desk.actions.close()
    assert machine.written == [50, 0]
    assert Desk(tmp_path, machine).actions.guard() is None


KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from edgeloop import clock
from edgeloop.config.load import convert
from sensor_ingest.actions import Actions
from sensor_ingest.sources.base import Target

class Machine:
    connections = 1
    def targets(self):
        return {"speed": convert({"range": "0..100", "armed": True, "fail_safe": {"after": "1 h", "value": 0}}, Target)}
    def write(self, target, value):
        os.kill(os.getpid(), signal.SIGKILL)

actions = Actions(Path(sys.argv[1]), lambda id: Machine(), lambda document: None)
document = {"id": "x", "target": "speed", "value": 50, "issued": clock.now(), "armed": True}
actions.execute("press1", json.dumps(document).encode())
"""


def test_the_safe_value_is_written_by_the_process_after_a_killed_one(tmp_path: Path) -> None:
    library = Path(edgeloop.__file__).parents[1]
    code = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "actions.jsonl"), str(library), str(library.parent)],
        env={**os.environ, "PYTHONPATH": ""}, check=False,
    ).returncode  # fmt: skip
    assert code == -signal.SIGKILL
    desk = Desk(tmp_path, None)
    desk.later(5)
    assert desk.published == [], "the source is not there yet"
    desk.machine = machine = Machine(fail_safe={"after": "1 h", "value": 0})
    assert desk.later(1) is None
    assert machine.written == [0]
    assert desk.published[-1]["cause"] == {"fail_safe": "the process that wrote it has ended", "action": "x"}
    assert Desk(tmp_path, machine).later(1) is None
    assert machine.written == [0]


def test_a_safe_value_that_cannot_be_remembered_is_a_refusal(tmp_path: Path) -> None:
    machine = Machine(fail_safe={"after": "1 h", "value": 0})
    desk = Desk(tmp_path, machine)
    (tmp_path / "fail_safe.json").mkdir()
    (tmp_path / "fail_safe.json" / "x").touch()
    assert "cannot be written" in desk.do(50)
    assert machine.written == []


def test_no_more_within_an_hour_than_configured_also_after_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Machine(most=2))
    assert [desk.do(1), desk.do(2), desk.do(3)] == ["done", "done", "there were 2 within an hour"]
    again = Desk(tmp_path, desk.machine)
    again.later(3000)
    assert again.do(4) == "there were 2 within an hour"
    again.later(700)
    assert again.do(4) == "done"


@pytest.mark.parametrize("lines", [1, 99])
def test_the_audit_is_bounded_and_remembers_across_its_files(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "actions.jsonl"
    audit = Audit(path, largest=500, kept=3)
    for number in range(lines):
        audit.write({"id": str(number), "text": "x" * 40})
    audit.close()
    assert len(list(tmp_path.iterdir())) == min(lines, 4)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 4 * 600
    found = [r["id"] for r in Audit(path, largest=500, kept=3).recent(12)]
    assert found == [str(n) for n in range(max(0, lines - 12), lines)]
