"""`deploy --local` with the nuclei's programs stood in for by small ones that keep state, and refusals in one line."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
import yaml

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import ARTIFACTS, RECIPES
from edgeloop_tools.fleet import local
from edgeloop_tools.nucleus import Deployment, classic, find, lite
from edgeloop_tools.nucleus.classic import Classic
from edgeloop_tools.nucleus.lite import Lite

INGEST = "io.edgeloop.SensorIngest"
UPLOAD = "io.edgeloop.StreamUpload"
UMBRELLA = "io.edgeloop.Edgeloop"
MERGE = {INGEST: {"sources": {"press1": {"type": "simulator", "seed": "7"}}}}
WORK = Deployment({INGEST: __version__}, MERGE, (), RECIPES, ARTIFACTS)

GREENGRASS_CLI = """#!{python}
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
state = json.loads((here / "state.json").read_text())
(here / "calls.jsonl").open("a").write(json.dumps(words) + "\\n")
if words[:2] == ["component", "list"]:
    for name, (version, what, configuration) in state["components"].items():
        print(f"Component Name: {{name}}\\n    Version: {{version}}\\n    State: {{what}}")
        print(f"    Configuration: {{json.dumps(configuration)}}")
elif words[:2] == ["deployment", "create"]:
    if state["refuse"]:
        sys.exit("Error: no permission to create")
    if "--artifactDir" in words:
        given = pathlib.Path(words[words.index("--artifactDir") + 1])
        found = sorted(str(p.relative_to(given)) for p in given.rglob("*") if p.is_file())
        (here / "given.json").write_text(json.dumps(found))
    if "--recipeDir" in words:
        shutil.copytree(words[words.index("--recipeDir") + 1], here / "recipes", dirs_exist_ok=True)
    for at, word in enumerate(words):
        if word == "--remove":
            state["components"].pop(words[at + 1], None)
    (here / "state.json").write_text(json.dumps(state))
    print("Local deployment submitted! Deployment Id: d-1")
else:
    print(f"d-1: {{state['answers'].pop(0)}}")
    (here / "state.json").write_text(json.dumps(state))
"""


def greengrass_cli(root: Path, components: dict[str, object], *answers: str, refuse: bool = False) -> Path:
    (root / "bin").mkdir(parents=True, exist_ok=True)
    path = root / "bin" / "greengrass-cli"
    path.write_text(GREENGRASS_CLI.format(python=sys.executable))
    path.chmod(0o755)
    state = {"components": components, "answers": answers or ["QUEUED", "SUCCEEDED"], "refuse": refuse}
    path.with_name("state.json").write_text(json.dumps(state))
    return path


def calls(path: Path, *first: str) -> list[list[str]]:
    found = [json.loads(line) for line in (path.parent / "calls.jsonl").read_text().splitlines()]
    return [words for words in found if words[: len(first)] == list(first)]


def nucleus(alias: str = "") -> dict[str, object]:
    return {"aws.greengrass.Nucleus": ("2.18.2", "RUNNING", {"iotRoleAlias": alias})}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classic, "_EVERY", 0.01)
    monkeypatch.setattr(lite, "_EVERY", 0.01)
    monkeypatch.setattr(local, "_EVERY", 0.01)
    monkeypatch.delenv("EDGELOOP_NUCLEUS", raising=False)


def test_the_greengrass_cli_gets_roots_and_the_whole_configuration_and_is_waited_for(tmp_path: Path) -> None:
    there = {**nucleus(), INGEST: (__version__, "RUNNING", {"sources": {"press1": {"type": "simulator", "seed": 7.0}}})}
    path = greengrass_cli(tmp_path, there, "QUEUED", "IN_PROGRESS", "SUCCEEDED")
    here = find(tmp_path)
    assert (here.kind, here.version) == ("classic", "2.18.2")
    said: list[str] = []
    assert here.deploy(WORK, 60, said.append).succeeded
    (words,) = calls(path, "deployment", "create")
    assert words[words.index("--failure-handling-policy") + 1] == "ROLLBACK"
    assert words[words.index("--merge") + 1] == f"{INGEST}={__version__}"
    update = json.loads(words[words.index("--update-config") + 1])
    assert update == {INGEST: {"RESET": [""], "MERGE": MERGE[INGEST]}}
    assert said == ["deployment d-1; packages may be installed first"]


def test_an_artifact_that_the_nucleus_has_is_not_handed_over_again(tmp_path: Path) -> None:
    path = greengrass_cli(tmp_path, nucleus())
    artifacts, held = tmp_path / "artifacts", tmp_path / "packages" / "artifacts"
    for folder in (artifacts, held):
        for name, content in (("a.A", "same"), ("a.B", str(folder))):
            (folder / name / "1.0.0").mkdir(parents=True)
            (folder / name / "1.0.0" / "x.pyz").write_text(content)
    work = Deployment({"a.A": "1.0.0"}, {}, (), RECIPES, artifacts)
    assert find(tmp_path).deploy(work, 60, print).succeeded
    (words,) = calls(path, "deployment", "create")
    given = json.loads((tmp_path / "bin" / "given.json").read_text())
    assert given == ["a.B/1.0.0/x.pyz"]
    (held / "a.B" / "1.0.0" / "x.pyz").write_text(str(artifacts))
    greengrass_cli(tmp_path, nucleus())
    assert find(tmp_path).deploy(work, 60, print).succeeded
    assert "--artifactDir" in words
    assert "--artifactDir" not in calls(path, "deployment", "create")[1]


def test_what_did_not_arrive_is_said(tmp_path: Path) -> None:
    there = {**nucleus(), INGEST: (__version__, "RUNNING", {"sources": {"press1": {"type": "simulator"}}})}
    greengrass_cli(tmp_path, there)
    said: list[str] = []
    assert find(tmp_path).deploy(WORK, 60, said.append).succeeded
    assert said[1].startswith(f"{INGEST}: sources.press1.seed did not arrive: ")


def test_a_failure_is_told_with_the_last_line_of_who_failed(tmp_path: Path) -> None:
    greengrass_cli(tmp_path, {**nucleus(), INGEST: ("0.1.0", "BROKEN", {})}, "IN_PROGRESS", "FAILED\nDetailed: BROKEN")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"{INGEST}.log").write_text("a line\nthe disk is gone\n")
    here, said = find(tmp_path), list[str]()
    assert local.told(here, here.deploy(WORK, 60, print), said.append) == 1
    assert said == ["deployment d-1: FAILED: Detailed: BROKEN", f"{INGEST} 0.1.0 is BROKEN: the disk is gone"]


def test_who_does_not_stay_well_is_a_failure(tmp_path: Path) -> None:
    greengrass_cli(tmp_path, {**nucleus(), INGEST: ("0.1.0", "RUNNING", {})})
    said: list[str] = []
    assert local.watched(find(tmp_path), 0.1, said.append) == 0
    assert said[0].startswith("SUCCEEDED, and well for 0.1 s")
    greengrass_cli(tmp_path, {**nucleus(), INGEST: ("0.1.0", "ERRORED", {})})
    assert local.watched(find(tmp_path), 30, said.append) == 1
    assert said[-1] == f"the deployment SUCCEEDED, but {INGEST} did not stay well"


def test_without_token_exchange_what_needs_it_is_left_out_and_said(tmp_path: Path) -> None:
    path = greengrass_cli(tmp_path, nucleus())
    said: list[str] = []
    work = local.possible(find(tmp_path), Deployment({UMBRELLA: "0.1.0"}), said.append)
    assert UMBRELLA not in work.roots
    assert UPLOAD not in work.roots
    assert {INGEST, "io.edgeloop.Runtime"} <= set(work.roots)
    assert "io.edgeloop.Console" not in work.roots, "a root of lines that ask for it"
    assert said == [
        "without io.edgeloop.ModelUpdate and io.edgeloop.StreamUpload, so without upload and new models: this nucleus "
        "has neither token exchange nor a role alias (iotRoleAlias)"
    ]
    path = greengrass_cli(tmp_path, nucleus("alias"))
    work = Deployment({UMBRELLA: "0.1.0"}, {}, (), RECIPES, ARTIFACTS)
    assert local.possible(find(tmp_path), work, said.append) == work
    assert find(tmp_path).deploy(work, 60, print).succeeded
    (written,) = (path.parent / "recipes").glob("aws.greengrass.*")
    assert yaml.safe_load(written.read_text())["ComponentName"] == "aws.greengrass.TokenExchangeService"
    assert len(said) == 1


def test_all_roots_that_are_there_come_along_and_are_taken_back(tmp_path: Path) -> None:
    old = ("0.0.9", "RUNNING", {})
    there = {**nucleus(), INGEST: old, UPLOAD: old, "a.B": old}
    path = greengrass_cli(tmp_path, there)
    assert local.with_roots_there(find(tmp_path), WORK).roots == {INGEST: __version__, UPLOAD: __version__}
    said: list[str] = []
    assert local.remove(find(tmp_path), 60, said.append) == 0
    (words,) = calls(path, "deployment", "create")
    assert [words[at + 1] for at, word in enumerate(words) if word == "--remove"] == [INGEST, UPLOAD]
    assert said[-1] == f"SUCCEEDED: removed {INGEST}, {UPLOAD}"
    assert local.remove(find(tmp_path), 60, said.append) == 0
    assert said[-1] == "nothing of Edgeloop was deployed here"


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    greengrass_cli(tmp_path, nucleus(), refuse=True)
    with pytest.raises(EdgeloopError, match="the nucleus refused .*: Error: no permission to create; sudo"):
        find(tmp_path).deploy(WORK, 60, print)
    with pytest.raises(EdgeloopError, match="the nucleus's program does not run"):
        Classic(tmp_path, str(tmp_path / "gone")).components()


TABLES = """
CREATE TABLE keyTable (keyid INTEGER PRIMARY KEY, keyvalue TEXT); CREATE TABLE relationTable (keyid INT, parentid INT);
CREATE TABLE valueTable (keyid INT, value TEXT, timeStamp INT);
"""


def state(root: Path, tree: dict[str, object]) -> None:
    """A config.db as nucleus lite keeps it."""
    (root / "config.db").unlink(missing_ok=True)
    base = sqlite3.connect(root / "config.db")
    base.executescript(TABLES)

    def add(name: str, value: object, parent: int) -> None:
        key = base.execute("INSERT INTO keyTable (keyvalue) VALUES (?)", (name,)).lastrowid or 0
        if parent:
            base.execute("INSERT INTO relationTable VALUES (?, ?)", (key, parent))
        if isinstance(value, dict):
            for below, deeper in value.items():
                add(below, deeper, key)
        else:
            base.execute("INSERT INTO valueTable VALUES (?, ?, 0)", (key, json.dumps(value)))

    for name, value in tree.items():
        add(name, value, 0)
    base.commit()
    base.close()


def tool(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a state, and the programs of a device that has nucleus lite."""
    bin = tmp_path / "bin"
    bin.mkdir()
    tool(bin, "ggl-cli", f'echo "$@" >>{tmp_path}/calls; for w; do [ -d "$w" ] && cp -r "$w" {tmp_path}/; done; '
                         'echo "I[ggl-cli] ggl-cli.c:1: Deployment id: 0-1." >&2')  # fmt: skip
    unit = f"ggl.{INGEST}.service"
    tool(bin, "systemctl", f'[ $1 = list-units ] && {{ echo "{unit} loaded active running x"; exit; }}\n'
                           f"echo Id={unit}; cat {tmp_path}/unit")  # fmt: skip
    tool(bin, "journalctl", f"cat {tmp_path}/journal")
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "unit").write_text("ActiveState=active\nSubState=running\nResult=success\n")
    (tmp_path / "journal").write_text("I[ggdeploymentd] x.c:1: Completed deployment processing and … SUCCEEDED.\n")
    return tmp_path


def services(**configuration: object) -> dict[str, object]:
    ingest = {"version": __version__, "configArn": ["0-1"], "configuration": configuration}
    service = {"thingGroupsToRootComponents": {"LOCAL_DEPLOYMENTS": {INGEST: __version__}}}
    status = {"version": "2.6.0"}
    return {"services": {INGEST: ingest, "DeploymentService": service, "FleetStatusService": status}}


def test_lite_gets_the_line_in_recipes_and_its_state_tells_the_outcome(on_lite: Path) -> None:
    state(on_lite, services(site="plant", sources={"press1": {"type": "simulator", "seed": "7"}, "old": {"seed": "1"}}))
    here, said = find(on_lite), list[str]()
    assert (here.kind, here.version, here.roots()) == ("lite", "2.6.0", [INGEST])
    assert here.deploy(WORK, 60, said.append).succeeded
    assert said[0] == "deployment 0-1; packages may be installed first"
    assert said[1].startswith(f"{INGEST} keeps what the line no longer has (sources.old.seed)")
    call = (on_lite / "calls").read_text().split()
    assert call[call.index("--add-component") + 1] == f"{INGEST}={__version__}"
    (folder,) = on_lite.glob("edgeloop-deploy-*")
    recipe = yaml.safe_load((folder / f"{INGEST}-{__version__}.yaml").read_text())
    given = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    assert given["sources"] == MERGE[INGEST]["sources"]
    assert given["accessControl"]
    ((component,)) = here.components()
    assert (component.name, component.state) == (INGEST, "RUNNING")


def test_lite_s_failure_and_units_that_systemd_gave_up(on_lite: Path) -> None:
    state(on_lite, services() | {"other": 1})
    (on_lite / "journal").write_text(
        "I[ggdeploymentd] x.c:1: Processing\nE[ggdeploymentd] x.c:2: the component failed\n"
        "W[ggdeploymentd] x.c:3: Completed deployment processing and reporting job as FAILED.\n"
    )
    (on_lite / "unit").write_text("ActiveState=failed\nSubState=failed\nResult=start-limit-hit\n")
    here, said = find(on_lite), list[str]()
    outcome = here.deploy(Deployment({INGEST: "9.9.9"}, {}, (), RECIPES, ARTIFACTS), 60, print)
    assert (outcome.state, outcome.why) == ("FAILED", "the component failed")
    assert local.told(here, outcome, said.append) == 1
    assert said[1].startswith(f"{INGEST} {__version__} is BROKEN: ")
    assert said[2] == "nucleus lite does not go back by itself: deploy the version before again"


def test_lite_without_a_state_to_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="cannot read the nucleus's state"):
        Lite(tmp_path, "ggl-cli").components()


def test_programs_on_the_path_come_before_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.delenv("EDGELOOP_CORE_ROOT", raising=False)
    monkeypatch.setattr(sys.modules[find.__module__], "CLASSIC", tmp_path / "nowhere")
    assert find().kind == "core"
    assert find(tmp_path).kind == "core"
    (tmp_path / "none").mkdir()
    tool(tmp_path / "none", "ggl-cli", "exit 1")
    assert find().kind == "lite"
    monkeypatch.setenv("EDGELOOP_NUCLEUS", str(tmp_path))
    assert find().kind == "core"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "reader"
    plain.write_text("not to be executed")
    sources = {
        "a": {"type": "process", "command": "/nowhere/read-adc --rate 48000"},
        "b": {"type": "process", "command": "sh"},
        "c": {"type": "process", "command": "./reader", "folder": str(tmp_path)}, "d": {"type": "simulator"},
    }  # fmt: skip
    assert local.programs_lacking({INGEST: {"sources": sources}}) == [
        "sources.a: /nowhere/read-adc is not on this machine: install it, or correct `command`",
        f"sources.c: {tmp_path}/reader is no program that can be executed: install it, or correct `command`",
    ]
    assert local.programs_lacking(MERGE) == []


def test_without_a_line_the_umbrella() -> None:
    assert local.roots(None) == {UMBRELLA: __version__}


def test_arguments_of_the_command() -> None:
    from edgeloop_tools.fleet import deploying

    parser = argparse.ArgumentParser()
    deploying.register(parser.add_subparsers())
    arguments = parser.parse_args(["deploy", "--local", "--remove", "--watch", "5"])
    assert (arguments.remove, arguments.watch) == (True, 5.0)
