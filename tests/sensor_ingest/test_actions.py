from __future__ import annotations

import contextlib
import json
import resource
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Full
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from sensor_ingest.actions import WAITING, Actions
from sensor_ingest.sources.base import Target

NOW = 1_800_000_000 * NS


class Machine:
    connections = 1

    def __init__(self, armed: bool = True) -> None:
        self.written: list[tuple[str, float]] = []
        self.armed, self.fails = armed, False
        self.wait: Callable[[float], object] = lambda seconds: None

    def targets(self) -> Mapping[str, Target]:
        return {"stop": Target(range="0..1", armed=self.armed), "speed": Target(range="-5.5 .. 1e3", armed=True)}

    def write(self, target: str, value: float) -> None:
        self.wait(10)
        if self.fails:
            raise EdgeloopError("the line is busy")
        self.written.append((target, value))


class Desk:
    def __init__(self, folder: Path, machine: Machine) -> None:
        self.time, self.machine, self.path = NOW, machine, folder / "actions.jsonl"
        self.published: list[dict[str, Any]] = []
        self.actions = Actions(self.path, {"press1": machine}.get, self.published.append, lambda: self.time)

    def do(self, id: str = "a", source: str = "press1", **more: Any) -> tuple[str, str]:
        document = {"schema": 1, "id": id, "target": "stop", "value": 1, "issued": NOW, "expires": NOW + 2 * NS,
                    "armed": True, "cause": {"alarm": "x"}, **more}  # fmt: skip
        result = self.actions.execute(source, json.dumps(document).encode())
        return result["outcome"], result["reason"]

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, Machine())


def test_an_action_armed_on_both_sides_is_done_and_audited(desk: Desk) -> None:
    assert desk.do() == ("done", "")
    assert desk.machine.written == [("stop", 1.0)]
    assert [a["outcome"] for a in desk.audit()] == ["accepted", "done"]
    assert desk.audit()[0]["cause"] == {"alarm": "x"}
    assert desk.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("configured", "commanded"), [(False, True), (True, False), (False, False)])
def test_anything_else_is_a_dry_run(tmp_path: Path, configured: bool, commanded: bool) -> None:
    desk = Desk(tmp_path, Machine(armed=configured))
    assert desk.do(armed=commanded) == ("dry_run", "")
    assert desk.machine.written == []
    assert [a["outcome"] for a in desk.audit()] == ["dry_run"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": "press9"}, "no source press9"),
        ({"target": "explode"}, "no target"),
        ({"value": 1.01}, "outside of 0..1"),
        ({"value": -1}, "outside"),
        ({"value": 1e400}, "no action|outside"),
        ({"expires": NOW - 1}, "expired"),
        ({"issued": NOW - 3 * NS, "expires": 0}, "expired"),
        ({"issued": NOW - 3 * NS, "expires": 2 * NS}, "expired"),
        ({"issued": NOW + 5 * NS, "expires": NOW + 9 * NS}, "future"),
        ({"id": ""}, "no id"),
        ({"value": "much"}, "no action"),
        ({"issued": None}, "no action"),
    ],
)
def test_what_is_not_in_order_is_refused(desk: Desk, changed: dict[str, Any], why: str) -> None:
    outcome, reason = desk.do(**changed)
    assert outcome == "refused"
    assert any(w in reason for w in why.split("|"))
    assert desk.machine.written == []


def test_an_action_addressed_to_another_source_is_refused(desk: Desk) -> None:
    document = {"id": "a", "source": "press2", "target": "stop", "value": 1, "issued": NOW, "armed": True}
    assert "addressed" in desk.actions.execute("press1", json.dumps(document).encode())["reason"]


def test_an_id_is_executed_once_also_after_a_restart(desk: Desk, tmp_path: Path) -> None:
    assert desk.do("one")[0] == "done"
    desk.time += 3 * NS
    assert desk.do("one", issued=desk.time, expires=desk.time + NS) == ("refused", "it was received before")
    desk.actions.close()
    again = Desk(tmp_path, desk.machine)
    assert again.do("one")[1] == "it was received before"
    assert "less than 1 s ago" in again.do("two")[1]
    again.time += 5 * NS
    assert again.do("three", issued=again.time, expires=NS)[0] == "done"


def test_actions_follow_each_other_no_faster_than_configured(desk: Desk) -> None:
    assert desk.do("1")[0] == "done"
    desk.time += NS // 2
    assert "less than 1 s ago" in desk.do("2")[1]
    assert desk.do("3", target="speed", value=999)[0] == "done"
    desk.time += NS // 2
    assert desk.do("4")[0] == "done"


def test_a_machine_that_refuses_is_reported(desk: Desk) -> None:
    desk.machine.fails = True
    assert desk.do() == ("refused", "the line is busy")
    assert [a["outcome"] for a in desk.audit()] == ["accepted", "refused"]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, payload: bytes) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"), Machine())
    result = desk.actions.execute("press1", payload)
    desk.actions.close()
    assert result["outcome"] == "refused"
    json.dumps(result)


def test_a_torn_line_of_the_audit_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "actions.jsonl").write_bytes(b'{"id":"old","x":1}\n{"id":"to')
    desk = Desk(tmp_path, Machine())
    assert desk.do("old")[1] == "it was received before"
    assert desk.do("new", armed=False)[0] == "dry_run"
    desk.actions.close()
    assert Desk(tmp_path, Machine()).do("new")[1] == "it was received before"


def test_what_cannot_be_audited_is_not_done(desk: Desk, tmp_path: Path) -> None:
    desk.path.mkdir()
    outcome, reason = desk.do("a")
    assert outcome == "refused"
    assert reason.startswith("the audit file cannot be written")
    assert desk.machine.written == []
    desk.path.rmdir()
    desk.time += 2 * NS
    assert desk.do("b", issued=desk.time, expires=desk.time + NS)[0] == "done"


def test_a_full_disk_leaves_whole_lines_behind(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    desk = Desk(tmp_path, Machine())
    assert desk.do("a")[0] == "done"
    resource.setrlimit(resource.RLIMIT_FSIZE, (desk.path.stat().st_size + 20, limits[1]))
    try:
        assert desk.do("b", target="speed")[0] == "refused"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    desk.time += NS
    assert desk.do("c")[0] == "done"
    desk.actions.close()
    lines = desk.path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "a", "c", "c"]


def test_a_bug_in_a_driver_is_a_refusal(desk: Desk) -> None:
    def broken(seconds: float) -> None:
        raise ZeroDivisionError("no zero")

    desk.machine.wait = broken
    assert desk.do() == ("refused", "the source press1 failed unexpectedly: ZeroDivisionError: no zero")


def test_the_bus_never_waits(tmp_path: Path) -> None:
    released = threading.Event()
    machine = Machine()
    machine.wait = released.wait
    desk = Desk(tmp_path, machine)
    desk.actions.start()
    document = {"id": "a", "target": "stop", "value": 1, "issued": NOW, "armed": True}
    received = 0
    with contextlib.suppress(Full):
        for received in range(2 * WAITING):
            desk.actions.receive("edgeloop/actions/press1", json.dumps({**document, "id": f"a{received}"}).encode())
    assert WAITING <= received <= WAITING + 1
    released.set()
    desk.actions.close()
    assert desk.published[0]["outcome"] == "done"
    assert len(desk.published) >= WAITING
