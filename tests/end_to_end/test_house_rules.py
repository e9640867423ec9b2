"""What a deployed line may and may not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage, UnauthorizedError

from edgeloop import __version__, topics
from edgeloop_tools.demo.plan import ANOMALY, CAMERA, INGEST, MODELS, RUNTIME, UMBRELLA, UPLOAD, machines
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.processes import owner, tree

CHECKOUT = Path(__file__).resolve().parents[2]

FIVE = (INGEST, ANOMALY, CAMERA, MODELS, UPLOAD)
BROKEN_RECIPE = """RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.Broken
ComponentVersion: "1.0.0"
ComponentType: aws.greengrass.generic
ComponentDescription: Cannot start
ComponentPublisher: Example
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle:
      run:
        Script: exit 3
"""


@pytest.fixture(scope="module", params=["classic", "lite"])
def line(request: pytest.FixtureRequest, running: Any) -> Iterator[Line]:
    with running(request.param, machines(["press1"], 5)) as running_line:
        yield running_line


@pytest.fixture
def ingest_identity(line: Line) -> Iterator[GreengrassCoreIPCClientV2]:
    """An unmodified SDK client with the token that the nucleus gave SensorIngest."""
    yield from _client(line, INGEST)


@pytest.fixture
def anomaly_identity(line: Line) -> Iterator[GreengrassCoreIPCClientV2]:
    yield from _client(line, ANOMALY)


def _client(line: Line, name: str) -> Iterator[GreengrassCoreIPCClientV2]:
    pid = line.core.component(name).pid
    raw = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    environment = dict(entry.decode().split("=", 1) for entry in raw if b"=" in entry)
    with ThreadPoolExecutor(max_workers=1) as executor:
        connection = connect(
            ipc_socket=environment["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"],
            authtoken=environment["SVCUID"],
        )
        client = GreengrassCoreIPCClientV2(client=connection, executor=executor)
        yield client
        client.close()


@pytest.mark.timeout(600)
def test_nothing_runs_as_root(line: Line) -> None:
    components = line.poll()
    pids = [pid for name in (*FIVE, RUNTIME) for pid in tree(components[name].pids)]
    assert pids
    if os.geteuid() == 0:
        assert all(owner(pid) not in (0, None) for pid in pids)


def test_work_folders_are_private(line: Line) -> None:
    for name in FIVE:
        assert (line.root / "work" / name).stat().st_mode & 0o077 == 0


def test_no_component_may_know_the_truth(
    line: Line, anomaly_identity: GreengrassCoreIPCClientV2, ingest_identity: GreengrassCoreIPCClientV2
) -> None:
    for identity in (anomaly_identity, ingest_identity):
        for topic in (topics.TRUTH, "edgeloop/#", "edgeloop/sim/+"):
            with pytest.raises(UnauthorizedError):
                identity.subscribe_to_topic(topic=topic, on_stream_event=lambda event: None)


def test_only_rule_owners_may_act(line: Line, ingest_identity: GreengrassCoreIPCClientV2) -> None:
    message = PublishMessage(binary_message=BinaryMessage(message=b"{}"))
    for topic in (topics.action("press1"), topics.alarm("a"), topics.results(ANOMALY)):
        with pytest.raises(UnauthorizedError):
            ingest_identity.publish_to_topic(topic=topic, publish_message=message)
    ingest_identity.publish_to_topic(topic=topics.health(INGEST), publish_message=message)


def test_what_cannot_start_does_not_stop_the_others(line: Line, tmp_path: Path, until: Any) -> None:
    before = line.poll()
    recipes = tmp_path / "recipes"
    shutil.copytree(CHECKOUT / "recipes", recipes)
    (recipes / "com.example.Broken-1.0.0.yaml").write_text(BROKEN_RECIPE)
    line.core.deploy(
        {"com.example.Broken": "1.0.0", UMBRELLA: __version__}, recipe_dir=recipes,
        artifact_dir=CHECKOUT / "artifacts", failure="DO_NOTHING",
    )  # fmt: skip
    until(lambda: _state(line, "com.example.Broken") == "BROKEN", 30, "the broken component to be given up")
    after = line.poll()
    for name in FIVE:
        assert after[name].state == "RUNNING"
        assert after[name].pids == before[name].pids


def _state(line: Line, name: str) -> str:
    component = line.poll().get(name)
    return component.state if component is not None else ""
