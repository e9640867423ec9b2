from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml
from msgspec import Meta

from edgeloop import __version__
from edgeloop.config.declaration import Declaration, Dependency
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import build, model, recipe, recipes, tables
from edgeloop_tools.build.components import RUNTIME


class Lamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lamp."""

    colour: Annotated[str, Meta(title="Colour", description="What it shines; red | green.")] = "red"
    watts: Annotated[int, Meta(title="Watts", ge=1, le=60)] = 5


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A blinker."""

    period: Annotated[Duration, Meta(title="Period", description="Between two flashes.")] = Duration("50 ms")
    lamps: Annotated[dict[str, Lamp], Meta(title="Lamps")] = {}


BLINKER = Declaration(
    name="io.edgeloop.Blinker",
    description="Blinks",
    package="blinker",
    configuration=Configuration,
    publishes=("edgeloop/blinks",),
    subscribes=("edgeloop/commands/blink",),
    dependencies={"io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0")},
)


def parsed(declaration: Declaration[Any]) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(recipe.dump(recipe.recipe(declaration)))
    return value


def test_a_component_waits_for_its_environment_and_says_so(tmp_path: Path) -> None:
    script = parsed(BLINKER)["Manifests"][0]["Lifecycle"]["run"]["Script"]
    script = script.replace("{kernel:rootPath}", str(tmp_path)).replace("{artifacts:path}", str(tmp_path))
    python = tmp_path / "work" / RUNTIME / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3.11")
    short = script.replace(str(recipe.WAIT), "1")
    done = subprocess.run(["sh", "-c", short], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    first, second, *_ = done.stderr.splitlines()
    assert first == f"waiting for {RUNTIME}: {python} is not there yet, or its Python was removed"
    assert second == f"{RUNTIME} has made no environment in 1 s: look at its log, deploy it again"

    with subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith(f"waiting for {RUNTIME}")
        python.unlink()
        fresh = python.with_name("fresh")
        fresh.write_text('#!/bin/sh\necho "started $2"\nexit 3\n')
        fresh.chmod(0o755)
        fresh.rename(python)
        assert waiting.communicate(timeout=60)[0] == f"started {tmp_path}/blinker.pyz\n"


def test_a_recipe_says_what_the_declaration_says() -> None:
    document = parsed(BLINKER)
    defaults = document["ComponentConfiguration"]["DefaultConfiguration"]
    assert (defaults["period"], defaults["lamps"]) == ("50 ms", {})
    assert document["ComponentDependencies"] == {
        "io.edgeloop.Runtime": {"VersionRequirement": ">=0.1.0 <0.2.0", "DependencyType": "SOFT"}
    }
    (manifest,) = document["Manifests"]
    assert manifest["Platform"] == {"os": "linux", "runtime": "*"}
    assert manifest["Artifacts"] == [{"Uri": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/blinker.pyz"}]
    script = manifest["Lifecycle"]["run"]["Script"]
    assert re.findall(r"\{.*?\}", script) == ["{kernel:rootPath}", "{artifacts:path}", "{kernel:rootPath}"]
    assert '"$python" -u "{artifacts:path}/blinker.pyz" --root "{kernel:rootPath}" <&3 3<&- &' in script


def test_policies_name_each_topic_and_their_ids_are_never_used_again() -> None:
    policies = recipe.access_control(BLINKER)["aws.greengrass.ipc.pubsub"]
    assert {name: policy["resources"] for name, policy in policies.items()} == {
        "io.edgeloop.Blinker:pubsub:1": ["edgeloop/blinks", "edgeloop/health/Blinker", "edgeloop/ping/Blinker"],
        "io.edgeloop.Blinker:pubsub:2": ["edgeloop/commands/blink", "edgeloop/ping/Blinker"],
    }
    changed = Declaration(
        name=BLINKER.name, description="", package="blinker", configuration=Configuration,
        publishes=("edgeloop/other",), policy=2,
    )  # fmt: skip
    assert not set(policies) & set(recipe.access_control(changed)["aws.greengrass.ipc.pubsub"])


def test_who_uses_no_bus_gets_no_policy() -> None:
    silent = Declaration(name="io.edgeloop.Silent", description="", package="silent", configuration=Configuration)
    assert "accessControl" not in parsed(silent)["ComponentConfiguration"]["DefaultConfiguration"]


def test_the_umbrella_needs_every_component() -> None:
    document = recipe.umbrella([BLINKER])
    assert document["ComponentDependencies"] == {
        "io.edgeloop.Blinker": {"VersionRequirement": f"={__version__}", "DependencyType": "HARD"}
    }
    assert document["Manifests"][0]["Lifecycle"] == {"run": {"Script": "true"}}


def test_the_checkouts_recipes_are_the_same_twice() -> None:
    assert recipes() == recipes()
    assert "io.edgeloop.Edgeloop-0.1.0.yaml" in recipes()


@pytest.mark.parametrize(
    "row",
    [
        "| `period` | duration | `50 ms` |  | Between two flashes. |",
        "| `lamps.<id>.colour` | text | `red` |  | What it shines; red \\| green. |",
        "| `lamps.<id>.watts` | integer | `5` | 1 to 60 | Watts |",
    ],
)
def test_a_table_has_a_row_per_field(row: str) -> None:
    assert row in tables.rows(Configuration).splitlines()


def test_a_table_replaces_what_is_between_its_markers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "README.md"
    monkeypatch.setattr(tables, "readme", lambda declaration: path)
    assert tables.filled(BLINKER) is None
    path.write_text("# Blinker\n<!-- configuration -->\nold\n<!-- /configuration -->\nafter\n")
    once = tables.filled(BLINKER)
    assert once is not None
    assert "old" not in once
    assert once.startswith("# Blinker\n")
    assert once.endswith("<!-- /configuration -->\nafter\n")
    path.write_text(once)
    assert tables.filled(BLINKER) == once


def test_default_models_come_along_as_artifacts(tmp_path: Any) -> None:
    document = yaml.safe_load(recipes()["io.edgeloop.CameraInference-0.1.0.yaml"])
    names = [artifact["Uri"].rpartition("/")[2] for artifact in document["Manifests"][0]["Artifacts"]]
    assert names == ["camera_inference.pyz", "visual_inspection.tar", "backbone.onnx"]
    built = build(["camera_inference"], tmp_path)
    assert [one.path.name for one in built] == names
    assert all(one.size == one.path.stat().st_size <= one.limit for one in built)


def test_a_model_that_is_not_there_is_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MODELS", tmp_path)
    with pytest.raises(EdgeloopError, match=r"no default model.*train\.py"):
        build(["camera_inference"], tmp_path / "artifacts")
    assert not (tmp_path / "artifacts").exists()
    (tmp_path / "visual_inspection").mkdir()
    (tmp_path / "visual_inspection" / "visual_inspection.tar").write_bytes(bytes(model.LIMIT + 1))
    with pytest.raises(EdgeloopError, match="too large"):
        model.read("visual_inspection")
