"""`deploy --local` with the nuclei's programs stood in for by a recorder, and refusals in one line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import ARTIFACTS, RECIPES
from edgeloop_tools.fleet import local

INGEST = "io.edgeloop.SensorIngest"
MERGE = {INGEST: {"sources": {"press1": {"type": "simulator", "seed": "7"}}}}
WORK = local.Work({INGEST: __version__}, MERGE, RECIPES, ARTIFACTS)
RECORDER = """#!{python}
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
(here / "calls.jsonl").open("a").write(json.dumps(sys.argv[1:]) + "\\n")
words = sys.argv[1:]
if "--recipe-dir" in words:
    shutil.copytree(words[words.index("--recipe-dir") + 1], here / "recipes")
{body}
"""


def program(folder: Path, name: str, body: str = "print('Local deployment submitted!')") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(RECORDER.format(python=sys.executable, body=body))
    path.chmod(0o755)
    return path


def calls(path: Path) -> list[list[str]]:
    return [json.loads(line) for line in (path.parent / "calls.jsonl").read_text().splitlines()]


def test_the_greengrass_cli_gets_roots_and_the_whole_configuration(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "greengrass-cli")
    assert local.find(tmp_path) == ("greengrass-cli", str(path))
    said: list[str] = []
    local.with_greengrass_cli(str(path), WORK, said.append)
    (words,) = calls(path)
    assert words[:2] == ["deployment", "create"]
    assert words[words.index("--merge") + 1] == f"{INGEST}={__version__}"
    update = json.loads(words[words.index("--update-config") + 1])
    assert update == {INGEST: {"RESET": [""], "MERGE": MERGE[INGEST]}}
    assert said == ["Local deployment submitted!"]


def test_ggl_cli_gets_the_configuration_in_recipes_of_its_own(tmp_path: Path) -> None:
    path = program(tmp_path, "ggl-cli")
    said: list[str] = []
    local.with_ggl_cli(str(path), WORK, said.append)
    (words,) = calls(path)
    assert words[words.index("--add-component") + 1] == f"{INGEST}={__version__}"
    assert words[words.index("--artifacts-dir") + 1] == str(ARTIFACTS)
    recipe = yaml.safe_load((tmp_path / "recipes" / f"{INGEST}-{__version__}.yaml").read_text())
    given = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    assert given["sources"] == MERGE[INGEST]["sources"]
    assert given["accessControl"]
    assert "keeps the configuration" in said[-1]


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    path = program(tmp_path, "greengrass-cli", "sys.exit('Error: no permission to create')")
    with pytest.raises(EdgeloopError, match="the nucleus refused .*: Error: no permission to create; sudo"):
        local.with_greengrass_cli(str(path), WORK, print)
    with pytest.raises(EdgeloopError, match="cannot deploy"):
        local.with_ggl_cli(str(tmp_path / "gone"), WORK, print)


def test_programs_on_the_path_come_before_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(local, "CLASSIC", tmp_path / "nowhere")
    assert local.find(None) == ("core", "")
    assert local.find(tmp_path) == ("core", "")
    path = program(tmp_path / "none", "ggl-cli")
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    assert local.find(None) == ("ggl-cli", str(path))


def test_without_a_line_the_umbrella() -> None:
    assert local.roots(None) == {"io.edgeloop.Edgeloop": __version__}
