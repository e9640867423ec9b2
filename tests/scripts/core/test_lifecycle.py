"""Real processes under a real core: environment, failures, dependants, ends."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.user import ComponentUser


def test_the_environment_is_a_nucleus_s(folder: Any, nucleus: str) -> None:
    show = "env; id -u; pwd; stat -c 'mode %a owner %u' .; python3 -c 'import sys; print(sys.version_info >= (3, 11))'"
    folder.component("t.A", f"{show}; exec sleep 100")
    folder.component("t.B", f"{show}; exec sleep 100", hard=("aws.greengrass.TokenExchangeService",))
    owner = ComponentUser.find().owner
    os.environ["EDGELOOP_TEST_SECRET"] = "do not pass on"
    core = folder.start(nucleus, thing_name="my-thing", region="eu-west-1")
    folder.deploy(core, "t.A", "t.B")
    text, exchanging = folder.said("t.A", "True"), folder.said("t.B", "True")
    for line in (
        "AWS_IOT_THING_NAME=my-thing", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "SVCUID=",
        f"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT={folder.root}/ipc.socket", f"{folder.root}/work/t.A\n",
        "GG_ROOT_CA_PATH=", f"mode 700 owner {owner[0] if owner else os.geteuid()}",
    ):  # fmt: skip
        assert line in text
    assert "SECRET" not in text
    assert "PYTHONPATH" not in text
    assert "\n0\n" not in text, "no component runs as root"
    assert ("AWS_CONTAINER_CREDENTIALS_FULL_URI" in text) == (nucleus == "classic")
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost:" in exchanging
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN=" in exchanging


def test_a_failure_starts_it_again_and_the_third_breaks_it(folder: Any, nucleus: str) -> None:
    folder.component("t.Well")
    said = '{"level": "error", "message": "about to fail"}\n'
    folder.component("t.Ill", "cat {artifacts:path}/said >&2; exit 7", artifacts={"said": said.encode()})
    core = folder.start(nucleus)
    versions = {"t.Well": "1.0.0", "t.Ill": "1.0.0"}
    folders = {"recipe_dir": folder.recipes, "artifact_dir": folder.artifacts}
    id_ = core.deploy(versions, failure="DO_NOTHING", **folders)
    with pytest.raises(ControlError, match="t.Ill: run exited with 7: about to fail") as failed:
        core.wait(id_, 30)
    assert failed.value.code == "deployment_failed"
    assert folder.log("t.Ill").count("about to fail") == 3
    assert (core.component("t.Ill").state, core.component("t.Ill").restarts) == ("BROKEN", 2)
    assert core.component("t.Well").state == "RUNNING"
    core.restart("t.Ill")
    if nucleus == "classic":
        assert (core.component("t.Ill").state, core.component("t.Ill").restarts) == ("BROKEN", 2)
        core.deploy({"t.Well": "1.0.0"}, failure="DO_NOTHING", **folders)
    folder.said("t.Ill", "about to fail", times=4)


def test_cleared_counters_let_it_live_on(folder: Any) -> None:
    folder.component("t.A")
    core = folder.start()
    folder.deploy(core, "t.A")
    for _ in range(5):
        pid = core.component("t.A").pid
        core.fault("kill", component="t.A")
        assert folder.gone(pid)
        assert core.wait_state("t.A").pid != pid
        core.clear_restart_counters()
    for _ in range(3):
        pid = core.wait_state("t.A").pid
        core.fault("kill", component="t.A")
        assert folder.gone(pid)
    assert core.wait_state("t.A", ["BROKEN"], 10).reason == "run was killed by SIGKILL"


def test_a_run_that_ends_is_finished(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "true")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    assert core.component("t.A").state == "FINISHED"


def test_sigterm_is_a_failure_to_classic_and_an_end_to_lite(folder: Any, nucleus: str) -> None:
    folder.component("t.A")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    core.fault("kill", component="t.A", signal=signal.SIGTERM)
    if nucleus == "lite":
        assert core.wait_state("t.A", ["FINISHED"]).restarts == 0
    else:
        end = time.monotonic() + 60
        while core.component("t.A").restarts == 0:
            assert time.monotonic() < end
        core.wait_state("t.A")


def test_hard_dependants_on_classic_wait_and_restart_with_it(folder: Any) -> None:
    folder.component("t.Base", install="sleep 0.5; echo installed")
    folder.component("t.Top", "test -e ../../base-is-there; echo top; exec sleep 100", hard=("t.Base",))
    folder.component("t.Loose", "echo loose; exec sleep 100", soft=("t.Base",))
    core = folder.start()
    id_ = core.deploy({"t.Top": "1.0.0", "t.Loose": "1.0.0"}, recipe_dir=folder.recipes)
    folder.said("t.Loose", "loose")
    assert "top" not in folder.log("t.Top"), "SOFT does not wait, HARD does"
    core.wait(id_)
    base, top, loose = (core.component(name).pid for name in ("t.Base", "t.Top", "t.Loose"))
    core.fault("kill", component="t.Base")
    assert folder.gone(base, top)
    core.wait_state("t.Top")
    folder.said("t.Top", "top", times=2)
    assert core.component("t.Loose").pid == loose


def test_hard_dependants_on_lite_die_with_it_and_stay_so(folder: Any) -> None:
    folder.component("t.Base")
    folder.component("t.Top", hard=("t.Base",))
    folder.component("t.Far", hard=("t.Top",))
    folder.component("t.Loose", soft=("t.Base",))
    core = folder.start("lite")
    folder.deploy(core, "t.Far", "t.Loose")
    loose = core.component("t.Loose").pid
    core.fault("kill", component="t.Base")
    for name in ("t.Top", "t.Far"):
        core.wait_state(name, ["FINISHED"], 5)
    core.wait_state("t.Base", timeout=5)
    assert "t.Base" in core.component("t.Top").reason
    assert core.component("t.Loose").pid == loose
    folder.deploy(core, "t.Loose")
    assert {entry.state for entry in core.components()} == {"RUNNING"}
    core.restart("t.Base")
    assert core.wait_state("t.Far").state == "RUNNING"


def test_lite_stops_what_is_bound_to_something_that_ended(folder: Any) -> None:
    folder.component("t.Once", "true")
    folder.component("t.Bound", hard=("t.Once",))
    folder.component("t.Umbrella", "true", hard=("t.Once", "t.Bound"))
    core = folder.start("lite")
    folder.deploy(core, "t.Umbrella")
    assert core.component("t.Bound").state == "FINISHED"
    assert core.component("t.Bound").pids == ()
    assert "t.Once is FINISHED" in core.component("t.Bound").reason


def test_lite_runs_after_all_installed_and_after_soft_dependencies(folder: Any) -> None:
    folder.component("t.Slow", "echo ran; exec sleep 100", install="sleep 0.4; touch installed")
    folder.component("t.Quick", "ls ../t.Slow; exec sleep 100")
    folder.component("t.Loose", "ls ../t.Slow; exec sleep 100", soft=("t.Slow",))
    core = folder.start("lite")
    folder.deploy(core, "t.Slow", "t.Quick", "t.Loose")
    assert "installed" in folder.said("t.Quick", "installed")
    assert "installed" in folder.said("t.Loose", "installed")


@pytest.mark.parametrize(("nucleus", "install", "reason"), [
    ("classic", "echo no room; exit 9", "install exited with 9: no room"),
    ("lite", "sleep 60", "install did not end in time"),
])  # fmt: skip
def test_an_install_that_fails(folder: Any, nucleus: Any, install: str, reason: str) -> None:
    def short(recipe: dict[str, Any]) -> None:
        recipe["Manifests"][0]["Lifecycle"]["install"]["Timeout"] = 0.2

    folder.component("t.A", "echo never", install=install, change=short)
    folder.component("t.B")
    core = folder.start(nucleus)
    id_ = core.deploy({"t.A": "1.0.0", "t.B": "1.0.0"}, recipe_dir=folder.recipes, failure="DO_NOTHING")
    with pytest.raises(ControlError, match=reason):
        core.wait(id_, 30)
    assert core.component("t.A").state == "BROKEN"
    assert core.component("t.B").state == "RUNNING"
    assert "never" not in folder.log("t.A")


def test_classic_steps(folder: Any) -> None:
    def skip(recipe: dict[str, Any]) -> None:
        recipe["Manifests"][0]["Lifecycle"]["install"]["Skipif"] = "onpath sh"

    folder.component("t.Start", None, startup="echo up", shutdown="echo down", recover="echo never")
    folder.component("t.Skip", install="echo installed", change=skip)
    folder.component("t.Recover", "echo failing; exit 1", recover="echo recovering")
    core = folder.start()
    folder.deploy(core, "t.Start", "t.Skip")
    assert core.component("t.Start").state == "RUNNING"
    assert "installed" not in folder.log("t.Skip")
    with pytest.raises(ControlError):
        folder.deploy(core, "t.Recover")
    assert folder.log("t.Recover").splitlines() == ["failing", "recovering", "failing", "recovering", "failing"]
    core.stop()
    assert folder.log("t.Start").splitlines() == ["up", "down"]


def test_nothing_of_a_group_outlives_its_leader(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "sleep 1000 & sleep 1000 & echo begun; exec sleep 1001")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    folder.said("t.A", "begun")
    leader, *children = core.component("t.A").pids
    assert len(children) == 2
    core.fault("kill", component="t.A")
    assert folder.gone(leader, *children)
    core.wait_state("t.A")
    pids = core.component("t.A").pids
    core.stop_component("t.A")
    assert folder.gone(*pids)
    assert core.component("t.A").state == "FINISHED"
    core.restart("t.A")
    assert core.wait_state("t.A").pid


def test_an_unprivileged_component_reaches_its_artifacts(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "exec python3 {artifacts:path}/hello.py", artifacts={"hello.py": b"print('hello', 6 * 7)"})
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    folder.said("t.A", "hello 42")
    held = folder.root / "packages" / "artifacts" / "t.A" / "1.0.0" / "hello.py"
    assert held.stat().st_mode & 0o777 == 0o400


def test_setenv_and_variables(folder: Any, nucleus: str) -> None:
    def setenv(recipe: dict[str, Any]) -> None:
        lifecycle = recipe["Manifests"][0]["Lifecycle"]
        lifecycle["Setenv"] = {"A": "1", "WHERE": "{work:path}"}
        lifecycle["run"]["Setenv"] = {"A": "2"}

    folder.component("t.A", 'echo "$A $WHERE {iot:thingName}"', change=setenv)
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    folder.said("t.A", f"2 {folder.root}/work/t.A{'/' if nucleus == 'lite' else ''} edgeloop-core")


