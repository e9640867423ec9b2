"""Messages on `edgeloop/actions/<source>` and what they leave on the disk: nothing of it ends the process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgeloop.clock import NS
from edgeloop_tools.harness.hostile import BEYOND, BINARY, ODD, mutations
from sensor_ingest.actions import Action, Actions
from sensor_ingest.sources.base import Target

NOW = 1_800_000_000 * NS


class Machine:
    connections = 1
    written: tuple[float, ...] = ()

    def targets(self) -> Mapping[str, Target]:
        return {"stop": Target(range="0..1", armed=True)}

    def write(self, target: str, value: float) -> None:
        self.written += (value,)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.machine = Machine()
        self.published: list[dict[str, Any]] = []
        self.path = folder / "actions.jsonl"
        self.actions = Actions(self.path, {"press1": self.machine}.get, self.published.append, lambda: NOW)


def good(id: str = "a", **more: Any) -> bytes:
    document = {"id": id, "target": "stop", "value": 1, "issued": NOW, "armed": True, "cause": {}, **more}
    return json.dumps(document).encode()


DEEP = good().replace(b'"cause": {}', b'"cause": ' + b'{"a":' * 990 + b"1" + b"}" * 990)


def test_nested_1000_deep_on_the_bus_is_refused_and_the_next_action_is_done(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.actions.start()
    for hostile in (*BEYOND.values(), *BINARY.values(), DEEP, good(issued=10**400)):
        desk.actions.receive("edgeloop/actions/press1", hostile)
    desk.actions.receive("edgeloop/actions/press1", good())
    desk.actions.close()
    assert {result["outcome"] for result in desk.published[:-1]} == {"refused"}
    assert desk.published[-1]["outcome"] == "done"
    assert desk.machine.written == (1.0,)


def test_a_cause_nested_990_deep_is_not_written_and_one_in_the_audit_is_passed_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.actions.execute("press1", DEEP)["outcome"] == "refused"
    assert not desk.path.exists()
    lines = [good("old"), DEEP, *BEYOND.values()]
    desk.path.write_bytes(b"\n".join(line[: 1 << 18] for line in lines) + b"\n")
    again = Desk(tmp_path)
    assert again.actions.execute("press1", good("old"))["reason"] == "it was received before"
    assert again.actions.execute("press1", good("new"))["outcome"] == "done"


@pytest.mark.parametrize("issued", [10**400, -(10**400), 2**64, 1e300, "9" * 400])
def test_issued_10_to_the_400_is_refused(tmp_path: Path, issued: Any) -> None:
    desk = Desk(tmp_path)
    assert desk.actions.execute("press1", good(issued=issued))["outcome"] == "refused"
    assert desk.machine.written == ()


def test_any_bytes_are_answered_and_only_a_whole_action_moves_the_machine(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    seeds = [good(), good("b", expires=5), *ODD.values()]
    for data in [*BEYOND.values(), *ODD.values(), *mutations(seeds, 1500)]:
        before = len(desk.machine.written)
        result = desk.actions.execute("press1", data)
        assert json.dumps(result)
        assert (len(desk.machine.written) > before) == (result["outcome"] == "done")
    assert len(desk.machine.written) < 200


def test_an_error_of_our_own_is_an_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    monkeypatch.setattr(Action, "deadline", property(lambda self: 1 // 0))
    desk.actions.start()
    desk.actions.receive("edgeloop/actions/press1", good())
    desk.actions.close()
    assert "ZeroDivisionError" in desk.published[0]["reason"]
