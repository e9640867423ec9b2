"""Local deployments: what they change, what they refuse, what they undo."""

from __future__ import annotations

import os
import re
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.core.control import ControlError


def versions(core: Any) -> dict[str, str]:
    return {entry.name: entry.version for entry in core.components() if not entry.name.startswith("aws.")}


def test_merge_reset_and_defaults(folder: Any, nucleus: str) -> None:
    folder.component("t.A", configuration={"rate": 5, "sources": {"one": {"x": 1}}, "accessControl": {"s": {"p": "1"}}})
    core = folder.start(nucleus)
    merge = {"t.A": {"rate": 7, "sources": {"two": {"x": 2}}}}
    folder.deploy(core, "t.A", merge=merge)
    one = "1" if nucleus == "lite" else 1
    expected = {"rate": 7, "sources": {"one": {"x": one}, "two": {"x": 2}}, "accessControl": {"s": {"p": "1"}}}
    assert core.component("t.A").configuration == expected
    pid = core.component("t.A").pid
    folder.component("t.A", configuration={"rate": 6, "fresh": "yes", "accessControl": {"s": {"p": "2", "q": "3"}}},
                     version="2.0.0")
    folder.deploy(core, components={"t.A": "2.0.0"})
    assert core.component("t.A").pid != pid
    kept = core.component("t.A").configuration
    assert (kept["rate"], kept["fresh"]) == (7, "yes")
    assert kept["accessControl"] == {"s": {"p": "1", "q": "3"}}, "a changed policy needs a new id"
    folder.deploy(core, reset={"t.A": ["/rate", "/sources/two"]}, merge={"t.A": {"own": True}})
    kept = core.component("t.A").configuration
    assert (kept["rate"], kept["sources"], kept["own"]) == ("6" if nucleus == "lite" else 6, {"one": {"x": one}}, True)
    folder.deploy(core, reset={"t.A": [""]})
    assert "own" not in core.component("t.A").configuration


def test_configuration_is_for_roots_on_classic_and_restarts_nothing(folder: Any, nucleus: str) -> None:
    folder.component("t.Top", soft=("t.Base",), install="echo installed")
    folder.component("t.Base", configuration={"rate": 5}, install="echo installed")
    core = folder.start(nucleus)
    folder.deploy(core, "t.Top")
    before = core.component("t.Base").pid, core.component("t.Top").pid
    status = core.wait(core.deploy(merge={"t.Base": {"rate": 7}}))
    after = core.component("t.Base").pid, core.component("t.Top").pid
    if nucleus == "classic":
        assert core.component("t.Base").configuration == {"rate": 5}
        assert "the configuration of t.Base is ignored, because it is no root component" in status.reason
        folder.deploy(core, "t.Base", merge={"t.Base": {"rate": 7}})
        after = core.component("t.Base").pid, core.component("t.Top").pid
    assert after == before
    assert folder.log("t.Base").count("installed") == 1
    assert core.component("t.Base").configuration == {"rate": 7}


def test_an_update_touches_only_what_changed(folder: Any, nucleus: str) -> None:
    folder.component("t.A")
    folder.component("t.B")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A", "t.B")
    a, b = core.component("t.A").pid, core.component("t.B").pid
    folder.component("t.A", version="1.1.0")
    folder.deploy(core, components={"t.A": "1.1.0"})
    assert versions(core) == {"t.A": "1.1.0", "t.B": "1.0.0"}
    assert core.component("t.A").pid != a
    assert core.component("t.B").pid == b
    folder.deploy(core, remove=["t.A"])
    assert versions(core) == {"t.B": "1.0.0"}
    assert core.component("t.B").pid == b
    folder.deploy(core, remove=["t.B"])
    assert versions(core) == {}
    assert folder.saved("configuration.json") == {}


def test_dependants_come_back_after_an_update_of_their_dependency(folder: Any, nucleus: str) -> None:
    folder.component("t.Base")
    folder.component("t.Top", hard=("t.Base",))
    core = folder.start(nucleus)
    folder.deploy(core, "t.Top", "t.Base")
    top = core.component("t.Top").pid
    folder.component("t.Base", version="1.1.0")
    folder.deploy(core, components={"t.Base": "1.1.0"})
    assert versions(core) == {"t.Base": "1.1.0", "t.Top": "1.0.0"}
    assert core.wait_state("t.Top").pid not in (None, top)


def test_the_same_version_with_another_artifact_goes_on(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "cat {artifacts:path}/data; exec sleep 100", artifacts={"data": b"first\n"})
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    pid = core.component("t.A").pid
    folder.component("t.A", "cat {artifacts:path}/data; exec sleep 100", artifacts={"data": b"second\n"})
    deployment = core.deploy({"t.A": "1.0.0"}, recipe_dir=folder.recipes, artifact_dir=folder.artifacts)
    assert "an artifact of t.A 1.0.0 changed, but the version did not" in core.wait(deployment).reason
    assert core.component("t.A").pid == pid
    core.restart("t.A")
    folder.said("t.A", "second")


def test_a_failed_update_is_rolled_back(folder: Any) -> None:
    folder.component("t.A", "echo one; exec sleep 100", configuration={"rate": 5})
    folder.component("t.B")
    core = folder.start()
    folder.deploy(core, "t.A", "t.B")
    b = core.component("t.B").pid
    folder.component("t.A", "echo two; exit 1", "2.0.0", configuration={"more": 1})
    folder.component("t.New")
    with pytest.raises(ControlError, match=r"t.A: run exited with 1: two; rolled back"):
        folder.deploy(core, "t.New", components={"t.A": "2.0.0"}, merge={"t.A": {"rate": 9}, "t.B": {"x": 1}})
    assert versions(core) == {"t.A": "1.0.0", "t.B": "1.0.0"}
    assert core.component("t.A").configuration == {"rate": 5}
    assert core.component("t.B").configuration == {}
    assert core.wait_state("t.A").state == "RUNNING"
    assert core.component("t.B").pid == b
    assert folder.log("t.A").splitlines()[-1] == "one"
    assert [status.status for status in core.deployments()] == ["FAILED", "SUCCEEDED"]


def test_lite_does_not_roll_back_and_tries_again_with_the_next_deployment(folder: Any) -> None:
    folder.component("t.A")
    folder.component("t.B")
    core = folder.start("lite")
    folder.deploy(core, "t.A")
    folder.component("t.A", "test -e ../../go && exec sleep 100; exit 1", "2.0.0")
    with pytest.raises(ControlError, match="t.A: run exited with 1"):
        folder.deploy(core, components={"t.A": "2.0.0"})
    assert (core.component("t.A").version, core.component("t.A").state) == ("2.0.0", "BROKEN")
    (folder.root / "go").touch()
    folder.deploy(core, "t.B")
    assert core.component("t.A").state == "RUNNING"


def test_a_broken_component_is_tried_again_by_the_next_deployment(folder: Any) -> None:
    folder.component("t.A", "test -e ../../go && exec sleep 100; exit 1")
    folder.component("t.B")
    core = folder.start()
    with pytest.raises(ControlError, match="t.A"):
        core.wait(core.deploy({"t.A": "1.0.0"}, recipe_dir=folder.recipes, failure="DO_NOTHING"))
    (folder.root / "go").touch()
    folder.deploy(core, "t.B")
    assert core.wait_state("t.A").state == "RUNNING"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown component": ({"components": {"t.Nope": "1.0.0"}}, "there is no component t.Nope"),
    "unknown version": ({"components": {"t.A": "9.0.0"}}, "no version of t.A fits.*there is 1.0.0"),
    "no version": ({"components": {"t.A": "one"}}, "'one' is no version requirement"),
    "unknown dependency": ({"components": {"t.Lost": "1.0.0"}}, "no component t.Away: t.Lost 1.0.0 wants"),
    "circle": ({"components": {"t.C": "1.0.0"}}, "circle.*t.C → t.D → t.C"),
    "malformed recipe": ({"components": {"t.Torn": "1.0.0"}}, r"t.Torn-1.0.0.yaml line \d+.*no YAML"),
    "missing artifact": ({"components": {"t.Hollow": "1.0.0"}}, "artifact of t.Hollow 1.0.0 is missing.*data.bin"),
    "remove what is not there": ({"remove": ["t.B"]}, "cannot remove t.B.*roots are: t.A"),
    "configure what is not there": ({"merge": {"t.B": {"x": 1}}}, "t.B is configured but not deployed"),
    "folder": ({"components": {"t.A": "1.0.0"}, "recipe_dir": "/nowhere"}, "there is no folder /nowhere"),
    "unknown variable": ({"components": {"t.Odd": "1.0.0"}}, r"\{configuration:/no\} stands for nothing.*t.Odd-1.0.0"),
}


def test_what_is_refused_changes_nothing(folder: Any, nucleus: str) -> None:
    folder.component("t.A")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A")
    folder.component("t.B")
    folder.component("t.Lost", soft=("t.Away",))
    folder.component("t.C", hard=("t.D",))
    folder.component("t.D", hard=("t.C",))
    folder.component("t.Hollow", artifacts={"data.bin": b""})
    (folder.artifacts / "t.Hollow" / "1.0.0" / "data.bin").unlink()
    folder.component("t.Odd", "echo {configuration:/no}")
    (folder.recipes / "t.Torn-1.0.0.yaml").write_text("ComponentName: [t.Torn\n")
    pid, before = core.component("t.A").pid, folder.saved("deployments.json")
    held = sorted(path.name for path in (folder.root / "packages").rglob("*"))
    for name, (request, line) in BAD.items():
        with pytest.raises(ControlError) as error:
            core.deploy(**{"recipe_dir": folder.recipes, "artifact_dir": folder.artifacts, **request})
        assert re.search(line, str(error.value)), (name, str(error.value))
        assert "\n" not in str(error.value)
    folder.deploy(core, "t.A")
    assert core.component("t.A").pid == pid
    assert folder.saved("deployments.json")["roots"] == before["roots"]
    assert sorted(path.name for path in (folder.root / "packages").rglob("*")) == held


@pytest.mark.parametrize(("merge", "line"), [
    ({"text": "x" * 1100}, "t.A.text.*1102 bytes.*1024"),
    ({f"k{n}": n for n in range(100)}, "100 keys"),
])  # fmt: skip
def test_lite_limits_of_a_configuration(folder: Any, merge: dict[str, Any], line: str) -> None:
    folder.component("t.A")
    core = folder.start("lite")
    with pytest.raises(ControlError, match=line):
        core.deploy({"t.A": "1.0.0"}, {"t.A": merge}, recipe_dir=folder.recipes)


def test_digests_and_archives_on_classic(folder: Any, tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("inside.txt", "from the archive")

    def unarchive(recipe: dict[str, Any]) -> None:
        recipe["Manifests"][0]["Artifacts"][0]["Unarchive"] = "ZIP"

    def digest(recipe: dict[str, Any]) -> None:
        recipe["Manifests"][0]["Artifacts"][0] |= {"Digest": "AAAA", "Algorithm": "SHA-256"}

    folder.component("t.A", "cat {artifacts:decompressedPath}/x/inside.txt", artifacts={"x.zip": archive.read_bytes()},
                     change=unarchive)
    folder.component("t.B", artifacts={"y": b"y"}, change=digest)
    core = folder.start()
    folder.deploy(core, "t.A")
    folder.said("t.A", "from the archive")
    with pytest.raises(ControlError, match="its digest is .*, not AAAA"):
        folder.deploy(core, "t.B")


def test_deployments_queue_up(folder: Any) -> None:
    folder.component("t.A", install="sleep 0.3")
    folder.component("t.B")
    core = folder.start()
    first = core.deploy({"t.A": "1.0.0"}, recipe_dir=folder.recipes)
    second = core.deploy({"t.B": "1.0.0"}, recipe_dir=folder.recipes)
    assert core.wait(second).status == "SUCCEEDED"
    assert core.wait(first).status == "SUCCEEDED"
    assert versions(core) == {"t.A": "1.0.0", "t.B": "1.0.0"}


def test_a_deployment_that_a_crash_interrupts_is_undone(folder: Any, nucleus: str) -> None:
    folder.component("t.A", configuration={"rate": 5})
    core = folder.start(nucleus)
    folder.deploy(core, "t.A", merge={"t.A": {"rate": 6}})
    folder.component("t.A", "exec sleep 100", "2.0.0", install="echo installing; sleep 15")
    deployment = core.deploy({"t.A": "2.0.0"}, {"t.A": {"rate": 7}}, recipe_dir=folder.recipes)
    folder.said("t.A", "installing")
    os.kill(core.status()["pid"], signal.SIGKILL)
    core.close()
    core = folder.start(nucleus)
    entry = core.wait_state("t.A")
    assert (entry.version, entry.configuration) == ("1.0.0", {"rate": 6})
    found = {status.id: status for status in core.deployments()}
    assert found[deployment].status == "FAILED"
    assert "the core ended before" in found[deployment].reason


def test_waiting_has_an_end(folder: Any) -> None:
    folder.component("t.A", install="sleep 60")
    core = folder.start()
    deployment = core.deploy({"t.A": "1.0.0"}, recipe_dir=folder.recipes)
    began = time.monotonic()
    with pytest.raises(ControlError) as late:
        core.wait(deployment, 0.3)
    assert late.value.code == "timeout"
    assert time.monotonic() - began < 40
    with pytest.raises(ControlError, match="no deployment"):
        core.wait("nothing")
    with pytest.raises(ControlError, match="no component t.B"):
        core.wait_state("t.B", timeout=1)
