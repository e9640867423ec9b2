"""Publishing through gdk: a program of that name stands in for it, and does what the real one does in its folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop import __version__
from edgeloop_tools.build.components import UMBRELLA
from edgeloop_tools.cli import ROOT
from edgeloop_tools.fleet.project import umbrella
from edgeloop_tools.harness.aws import Cloud

Run = Callable[..., tuple[int, str, str]]
GDK = """\
#!{python}
import json, os, pathlib, shutil, subprocess, sys

here = pathlib.Path(".")
(name, entry), = json.loads((here / "gdk-config.json").read_text())["component"].items()
artifacts = here / "greengrass-build" / "artifacts" / name / entry["version"]
with open(os.environ["GDK_LOG"], "a") as log:
    log.write(json.dumps([str(here.resolve()), name, entry["version"], sys.argv[1:]]) + "\\n")
if sys.argv[1:] == ["component", "build"]:
    shutil.rmtree("greengrass-build", ignore_errors=True)
    artifacts.mkdir(parents=True)
    (here / "greengrass-build" / "recipes").mkdir()
    subprocess.run(entry["build"]["custom_build_command"], check=True)
    sys.exit()
if name in os.environ.get("GDK_FAILS", ""):
    sys.exit("[ERROR] - Failed to publish: an injected Error")
import boto3

bucket = sys.argv[sys.argv.index("--bucket") + 1]
recipe = (here / "greengrass-build" / "recipes" / "recipe.yaml").read_text()
s3 = boto3.client("s3")
for file in artifacts.iterdir():
    s3.upload_file(str(file), bucket, f"{{name}}/{{entry['version']}}/{{file.name}}")
where = f"s3://{{bucket}}/{{name}}/{{entry['version']}}/"
recipe = recipe.replace("s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/", where)
boto3.client("greengrassv2").create_component_version(inlineRecipe=recipe)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    program = tmp_path / "bin" / "gdk"
    program.parent.mkdir()
    program.write_text(GDK.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GDK_LOG", str(tmp_path / "log"))
    return lambda: [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_gdk_builds_and_publishes_each_project(
    cloud: Cloud, run: Run, tmp_path: Path, log: Callable[[], list[Any]]
) -> None:
    words = ("publish", "runtime", "stream_upload", "--bucket", "parts", "--out", tmp_path / "projects")
    code, _, err = run(*words)
    assert (code, err) == (0, "")
    publishing = ["component", "publish", "--bucket", "parts-eu-central-1-123456789012", "--region", "eu-central-1"]
    assert [line[1:] for line in log()] == [
        [name, __version__, said]
        for name in ("io.edgeloop.Runtime", "io.edgeloop.StreamUpload")
        for said in (["component", "build"], publishing)
    ]
    recipe = cloud.state.components["io.edgeloop.StreamUpload"][__version__].recipe
    assert recipe["Manifests"][0]["Artifacts"][0]["Digest"]
    _, out, _ = run(*words, "--with", "boto3")
    assert out.count("published already") == 2


def test_a_gdk_that_fails_half_way_is_completed(
    cloud: Cloud, run: Run, tmp_path: Path, log: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("publish", "runtime", "stream_upload", "--bucket", "parts", "--out", tmp_path / "projects")
    monkeypatch.setenv("GDK_FAILS", "io.edgeloop.StreamUpload")
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (1, 1)
    assert "gdk component publish failed" in err
    assert "an injected Error" in err
    monkeypatch.delenv("GDK_FAILS")
    before = len(log())
    assert run(*words)[0] == 0
    assert {line[1] for line in log()[before:]} == {"io.edgeloop.StreamUpload"}


def test_the_projects_are_what_gdk_takes(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    run("publish", "--dry-run", "--bucket", "parts", "--out", tmp_path, "--with", "boto3")
    for folder in tmp_path.iterdir():
        config = json.loads((folder / "gdk-config.json").read_text())
        assert set(config) == {"component", "gdk_version"}
        ((name, entry),) = config["component"].items()
        assert set(entry) == {"author", "version", "build", "publish"}
        assert entry["build"]["build_system"] == "custom"
        assert entry["publish"] == {"bucket": "parts", "region": "eu-central-1"}
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        assert (recipe["ComponentName"], recipe["ComponentVersion"]) == (name, entry["version"])
        named = [a["Uri"].rpartition("/")[2] for m in recipe["Manifests"] for a in m.get("Artifacts", ())]
        assert sorted(named) == sorted(path.name for path in (folder / "artifacts").iterdir())


def test_without_gdk_it_cannot_be_asked_for(
    cloud: Cloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run("publish", "--with", "gdk")
    assert code == 1
    assert "gdk is not installed: none on PATH; install it, or use --with boto3" in err


def test_the_umbrella_is_laid_out_at_the_top(tmp_path: Path) -> None:
    umbrella(tmp_path, laid_out=True)
    text = (tmp_path / "recipe.yaml").read_text()
    assert yaml.safe_load(text)["ComponentName"] == UMBRELLA
    assert (tmp_path / "greengrass-build" / "recipes" / "recipe.yaml").read_text() == text
    assert (tmp_path / "greengrass-build" / "artifacts" / UMBRELLA / __version__).is_dir()
    config = json.loads((ROOT / "gdk-config.json").read_text())["component"][UMBRELLA]
    assert config["build"]["custom_build_command"] == ["./scripts/edgeloop", "build", "--gdk"]
