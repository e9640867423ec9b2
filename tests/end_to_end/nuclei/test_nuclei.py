"""What the components rely on, of the local core in both modes and of a real nucleus: the same tests, unchanged.

Each deploys probes with the nucleus's own program and reads what they wrote in their work folders. conftest.py says how
a real one is named.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.nucleus import Deployment

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]


def only(device: Any, kind: str) -> None:
    if device.kind != kind:
        pytest.skip(f"a matter of the {kind} nucleus")


def long(device: Any, kind: str) -> None:
    """On the core of this kind with EDGELOOP_LONG=1 alone; always on a real one."""
    if device.kind == kind and not device.real and not os.environ.get("EDGELOOP_LONG"):
        pytest.skip("a long form: EDGELOOP_LONG=1 asks for it")


def test_what_the_world_kills_outlives_the_limit_of_three(device: Any) -> None:
    long(device, "lite")
    assert device.deploy(A={}).succeeded
    for number in range(1, 4):
        device.until(lambda n=number: len(device.said("A", "start")) >= n)
        os.kill(device.said("A", "start")[-1]["pid"], signal.SIGKILL)
    device.until(lambda: len(device.said("A", "start")) >= 4)
    assert len({line["parent"] for line in device.said("A", "start")}) == 1, "one parent, in one unit"
    assert device.component("A").state == "RUNNING"


def test_a_third_fault_of_ours_breaks_it_and_only_a_deployment_revives_it(device: Any) -> None:
    device.deploy(A={"run": f"echo x >>begun; sleep {2 if device.real else 0.3}; exit 3"})
    device.until(lambda: device.component("A").state == "BROKEN")
    begun = device.work("A") / "begun"
    assert begun.read_text().count("x") == 3
    if device.kind == "classic":
        device.restart("A")
        time.sleep(2 if device.real else 0.2)
        assert device.component("A").state == "BROKEN"
        assert begun.read_text().count("x") == 3
    assert device.deploy(A={}, B={"run": "exec sleep 1000"}).succeeded or device.kind == "classic"
    device.until(lambda: begun.read_text().count("x") > 3 or device.alive("A"))


def test_a_newer_version_comes_and_everything_goes(device: Any) -> None:
    assert device.deploy(A={}).succeeded
    device.until(lambda: device.said("A", "start"))
    assert device.deploy(A={"version": "1.0.1"}).succeeded
    device.until(lambda: device.component("A").version == "1.0.1" and device.component("A").state == "RUNNING")
    device.until(lambda: len(device.said("A", "start")) == 2)
    first, second = (line["pid"] for line in device.said("A", "start"))
    device.until(lambda: not Path("/proc", str(first)).exists())
    device.nucleus.deploy(Deployment({}, remove=["io.edgeloop.contract.A"]), 300, print)
    device.until(lambda: not Path("/proc", str(second)).exists())
    assert device.component("A").state == ""


def test_configuration_arrives_in_place_and_what_becomes_of_numbers(device: Any) -> None:
    follow = {"wish": {"follow": True}}
    assert device.deploy(A={**follow, "configuration": {"n": 3, "on": True, "text": "x"}}).succeeded
    device.until(lambda: any(line["values"].get("text") == "x" for line in device.said("A", "configuration")))
    (first,) = device.said("A", "start")
    values = device.said("A", "configuration")[-1]["values"]
    assert values["site"] == "plant"
    assert repr(values["n"]) == "3.0" if device.kind == "classic" else str(values["n"]) == "3"
    assert values["on"] is True or values["on"] == "true"
    assert device.deploy(A={**follow, "configuration": {"n": 4, "on": True, "text": "y"}}).succeeded
    device.until(lambda: any(line["values"].get("text") == "y" for line in device.said("A", "configuration")))
    assert [line["pid"] for line in device.said("A", "start")] == [first["pid"]], "the same process"


@pytest.mark.parametrize("failure", ["ROLLBACK", "DO_NOTHING"])
def test_a_version_that_fails(device: Any, failure: str) -> None:
    """Going back is asked for on classic; lite never does, and what ran before is deployed again."""
    if failure == "ROLLBACK":
        only(device, "classic")
    long(device, "lite")
    assert device.deploy(A={}).succeeded
    device.until(lambda: device.said("A", "start"))
    fails = {"version": "1.0.1", "run": "echo this cannot run >&2; exit 1"}
    assert device.deploy(failure, A=fails).state == "FAILED"
    if device.kind == "classic" and failure == "ROLLBACK":
        device.until(lambda: device.component("A").version == "1.0.0" and device.alive("A"))
        return
    assert device.component("A").version == "1.0.1"
    device.until(lambda: device.component("A").state == "BROKEN")
    assert not device.alive("A")
    assert device.deploy(A={}).succeeded
    device.until(lambda: device.component("A").version == "1.0.0" and device.alive("A"))


def test_what_a_dead_hard_dependency_does(device: Any) -> None:
    """On lite its dependants stay dead until the next deployment: ours depend SOFT on the Runtime."""
    needed = {"run": "echo $$ >pid; exec sleep 1000"}
    parts = {"A": needed, "B": {"needs": {"A": "HARD"}}, "C": {"needs": {"A": "SOFT"}}}
    assert device.deploy(**parts).succeeded
    device.until(lambda: device.alive("B") and device.alive("C"))
    before = device.alive("C")
    os.kill(int((device.work("A") / "pid").read_text()), signal.SIGKILL)
    if device.kind == "classic":
        device.until(lambda: len(device.said("B", "start")) == 2)
    else:
        device.until(lambda: not device.alive("B"))
        device.until(lambda: device.component("A").state == "RUNNING")
        assert len(device.said("B", "start")) == 1
    assert device.alive("C") == before


def test_a_run_that_has_ended_is_started_by_each_start_of_who_wants_it(device: Any) -> None:
    """On lite, and a fourth time in the hour is its end: Runtime's run stays."""
    long(device, "classic")
    quick = f"[ -e n2 ] && exec sleep 1000; [ -e n1 ] && : >n2; : >n1; sleep {2 if device.real else 0.3}; exit 1"
    parts = {"A": {"run": "echo x >>begun"}, "B": {"needs": {"A": "SOFT"}, "run": quick}}
    device.deploy(**parts)
    begun = device.work("A") / "begun"
    device.until(lambda: device.component("B").state in ("BROKEN", "RUNNING") and (device.work("B") / "n2").exists())
    if device.kind == "classic":
        assert begun.read_text().count("x") == 1
        assert device.component("A").state == "FINISHED"
    else:
        device.until(lambda: begun.read_text().count("x") == 3)


def test_the_largest_message(device: Any) -> None:
    sizes = [7_000, 15_000_000 * 3 // 4] if device.kind == "classic" else [7_000, 8_000]
    assert device.deploy(A={"wish": {"size": sizes}}).succeeded
    device.until(lambda: len(device.said("A", "message")) == 2)
    assert [line["arrived"] for line in device.said("A", "message")] == (
        sizes if device.kind == "classic" else [7_000, 0]
    )


def test_a_classic_nucleus_that_is_killed_leaves_its_children_and_starts_a_second_set(device: Any) -> None:
    """Their standard input hangs up; on lite it is no pipe."""
    install = "echo x >>installed"
    assert device.deploy(A={"install": install}).succeeded
    device.until(lambda: device.said("A", "start"))
    (first,) = device.said("A", "start")
    assert first["pipe"] is (device.kind == "classic")
    only(device, "classic")
    device.kill_nucleus()
    device.until(lambda: device.said("A", "hung up"))
    assert device.said("A", "hung up")[0]["pid"] == first["pid"]
    device.until(lambda: len(device.said("A", "start")) == 2)
    device.until(lambda: not Path("/proc", str(first["pid"])).exists())
    device.until(lambda: device.component("A").state == "RUNNING")
    installed = device.work("A") / "installed"
    assert installed.read_text().count("x") == 2, "install runs again at the start of the nucleus"
    assert device.deploy(B={"run": "exec sleep 1000"}).succeeded
    device.until(lambda: installed.read_text().count("x") == 3, what="a Timeout is a change after a new begin")
    device.until(lambda: device.component("A").state == "RUNNING")


def test_a_subscription_at_iot_core_is_unanswered_while_offline(device: Any) -> None:
    """The classic nucleus answers once it is online; one that was never provisioned refuses at once."""
    only(device, "classic")
    device.offline(True)
    assert device.deploy(A={"wish": {"cloud": "contract/cloud"}}).succeeded
    device.until(lambda: device.said("A", "asked"))
    time.sleep(12 if device.real else 1)
    answers = device.said("A", "answered")
    if answers and device.real and answers[0]["code"].endswith("ServiceError"):
        pytest.skip("this nucleus was never provisioned")
    assert answers == []
    device.offline(False)
    if not device.real:
        (answer,) = device.until(lambda: device.said("A", "answered"))
        assert (answer["kind"], answer["code"]) == (0, "")
