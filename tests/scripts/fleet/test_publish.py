from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeloop import __version__
from edgeloop.config.declaration import Declaration
from edgeloop_tools.build import archive
from edgeloop_tools.build.components import chosen
from edgeloop_tools.core.recipes import Version
from edgeloop_tools.harness.aws import Cloud, Request

Run = Callable[..., tuple[int, str, str]]
BUCKET = "parts-eu-central-1-123456789012"
ALL = len(chosen(None)) + 1  # and the umbrella


@pytest.fixture
def publish(run: Run, tmp_path: Path) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        return run("publish", "--bucket", "parts", "--out", tmp_path, "--with", "boto3", *words)

    return call


def test_all_components_are_published_each_after_what_it_depends_on(cloud: Cloud, publish: Run) -> None:
    code, out, err = publish()
    assert (code, err) == (0, "")
    made = list(cloud.state.components)
    assert (made[0], made[-1], len(made)) == ("io.edgeloop.Runtime", "io.edgeloop.Edgeloop", ALL)
    assert {version for versions in cloud.state.components.values() for version in versions} == {__version__}
    assert f"made the bucket {BUCKET}" in out


def test_what_is_published_is_what_was_built(
    cloud: Cloud, publish: Run, monkeypatch: pytest.MonkeyPatch, real_archive: Callable[[Declaration[Any]], bytes]
) -> None:
    monkeypatch.setattr(archive, "pyz", real_archive)
    publish("stream_upload")
    (declaration,) = chosen(["stream_upload"])
    recipe = cloud.state.components["io.edgeloop.StreamUpload"][__version__].recipe
    (artifact,) = recipe["Manifests"][0]["Artifacts"]
    key = f"io.edgeloop.StreamUpload/{__version__}/stream_upload.pyz"
    assert artifact["Uri"] == f"s3://{BUCKET}/{key}"
    assert cloud.state._fetch(BUCKET, key) == archive.pyz(declaration)


def test_a_second_run_repeats_nothing(cloud: Cloud, publish: Run) -> None:
    publish()
    creations, uploads = cloud.count("CreateComponentVersion"), cloud.count("PUT")
    code, out, _ = publish()
    assert code == 0
    assert out.count("published already") == ALL
    assert (cloud.count("CreateComponentVersion"), cloud.count("PUT")) == (creations, uploads)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after it took effect"])
@pytest.mark.parametrize("place", ["CreateComponentVersion", "PUT", "DescribeComponent"])
def test_a_publish_that_fails_in_the_middle_is_completed_by_a_second(
    cloud: Cloud, publish: Run, place: str, done: bool
) -> None:
    name = "io.edgeloop.CameraInference"

    def third(request: Request) -> bool:
        return bool(re.search(f"(ComponentName: |components:|/){name}", str(request.params)))

    fault = cloud.fail("s3" if place == "PUT" else "greengrass", place, drop=True, times=9, matching=third, done=done)
    code, _, err = publish()
    assert code == 1
    assert err.count("\n") == 1
    assert "AWS cannot be reached" in err
    assert "what is done is not repeated" in err
    before = set(cloud.state.components) - {name}
    assert before == {"io.edgeloop.Runtime", "io.edgeloop.AnomalyInference"}
    fault.times = 0
    made = set(cloud.state.components[name]) if name in cloud.state.components else set()
    first = cloud.count("CreateComponentVersion")
    code, out, err = publish()
    assert (code, err) == (0, "")
    there = 3 if made else 2
    assert out.count("published already") == there
    assert cloud.count("CreateComponentVersion") - first == ALL - there
    assert len(cloud.state.components) == ALL


def test_next_patch_raises_what_changed_and_what_depends_on_it(
    cloud: Cloud, publish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    changed(monkeypatch, "io.edgeloop.SensorIngest")
    code, out, _ = publish("--version", "NEXT_PATCH")
    assert code == 0
    following = str(Version.parse(__version__).release[2] + 1)
    raised = {name: max(versions) for name, versions in cloud.state.components.items() if len(versions) > 1}
    assert set(raised) == {"io.edgeloop.SensorIngest", "io.edgeloop.Edgeloop"}
    assert {version.rpartition(".")[2] for version in raised.values()} == {following}
    umbrella = cloud.state.components["io.edgeloop.Edgeloop"][raised["io.edgeloop.Edgeloop"]].recipe
    for name, line in umbrella["ComponentDependencies"].items():
        lowest = raised.get(name, __version__)
        assert line["VersionRequirement"] == f"={lowest}"
    assert out.count("published already") == ALL - 2
    code, out, _ = publish("--version", "NEXT_PATCH")
    assert out.count("published already") == ALL


def test_an_exact_version_outside_a_requirement_renews_it(cloud: Cloud, publish: Run) -> None:
    code, _, err = publish("--version", "3.1.0")
    assert (code, err) == (0, "")
    recipe = cloud.state.components["io.edgeloop.SensorIngest"]["3.1.0"].recipe
    assert recipe["ComponentDependencies"]["io.edgeloop.Runtime"]["VersionRequirement"] == ">=3.1.0 <4.0.0"


def test_an_existing_version_with_another_content_is_refused_before_anything_is_sent(
    cloud: Cloud, publish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    changed(monkeypatch, "io.edgeloop.ModelUpdate")
    sent = cloud.count("PUT")
    code, _, err = publish()
    assert code == 1
    assert "io.edgeloop.ModelUpdate" in err
    assert "is published with another content: artifact model_update.pyz; raise the version" in err
    assert cloud.count("PUT") == sent


def test_a_version_that_failed_is_replaced(cloud: Cloud, publish: Run) -> None:
    publish("runtime")
    known = cloud.state.components["io.edgeloop.Runtime"][__version__]
    known.states, known.errors = ["FAILED"], {"s3://gone": "cannot be accessed"}
    code, out, _ = publish("runtime")
    assert code == 0
    assert "replacing what failed" in out
    assert cloud.state.components["io.edgeloop.Runtime"][__version__].states == ["DEPLOYABLE"]


def test_a_version_in_the_making_is_awaited(cloud: Cloud, publish: Run) -> None:
    cloud.state.first_states = ["REQUESTED"]
    assert publish("runtime")[0] == 0
    cloud.state.components["io.edgeloop.Runtime"][__version__].states = ["INITIATED", "INITIATED", "DEPLOYABLE"]
    code, out, _ = publish("runtime")
    assert (code, cloud.count("CreateComponentVersion")) == (0, 1)
    assert "deployable" in out


def test_a_dry_run_writes_projects_and_nothing_else(cloud: Cloud, publish: Run, tmp_path: Path) -> None:
    code, out, _ = publish("--dry-run")
    assert code == 0
    assert out.count("would publish") == ALL
    assert cloud.state.components == {}
    assert {request.operation for request in cloud.requests} <= {"GetCallerIdentity", "ListComponentVersions"}
    assert len(list(tmp_path.glob("*/gdk-config.json"))) == ALL


def test_the_umbrella_alone_wants_the_others_first(cloud: Cloud, publish: Run) -> None:
    code, _, err = publish("edgeloop")
    assert code == 1
    assert "which is not published; publish it too" in err


def test_wheelhouses_go_with_runtime_a_manifest_per_machine(
    cloud: Cloud, publish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(profiles: list[str], python: str, machine: str, out: Path) -> Path:
        assert (profiles, python) == (["core", "upload"], "3.12")
        path = out / f"wheelhouse-{machine}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(machine.encode())
        return path

    monkeypatch.setattr("edgeloop_tools.build.wheelhouse.wheelhouse", made)
    words = ("--wheelhouse", "linux/aarch64,linux/x86_64", "--profiles", "core,upload", "--python", "3.12")
    code, _, err = publish("runtime", *words)
    assert (code, err) == (0, "")
    recipe = cloud.state.components["io.edgeloop.Runtime"][__version__].recipe
    assert [manifest["Platform"] for manifest in recipe["Manifests"]] == [
        {"os": "linux", "architecture": "aarch64", "runtime": "*"},
        {"os": "linux", "architecture": "amd64", "runtime": "*"},
        {"os": "linux", "runtime": "*"},
    ]
    names = [[artifact["Uri"].rpartition("/")[2] for artifact in m["Artifacts"]] for m in recipe["Manifests"]]
    assert [name[1:] for name in names] == [["wheelhouse-aarch64.zip"], ["wheelhouse-x86_64.zip"], []]
    assert {name[0] for name in names} == {"runtime.pyz"}
    assert cloud.state._fetch(BUCKET, f"io.edgeloop.Runtime/{__version__}/wheelhouse-aarch64.zip") == b"aarch64"


def changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The component's code is another from now on."""
    original = archive.pyz

    def other(declaration: Declaration[Any]) -> bytes:
        data = original(declaration)
        return data + b"\0" if declaration.name == name else data

    monkeypatch.setattr(archive, "pyz", other)
