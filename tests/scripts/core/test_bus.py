"""The core's configuration, tokens, policies and deployments as an unmodified SDK client sees them."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    BinaryMessage,
    ConfigurationUpdateEvents,
    InvalidArgumentsError,
    PublishMessage,
    ReportedLifecycleState,
    ResourceNotFoundError,
    SubscriptionResponseMessage,
    UnauthorizedError,
)


@contextmanager
def client(socket: Path, token: str) -> Iterator[GreengrassCoreIPCClientV2]:
    bare = connect(ipc_socket=str(socket), authtoken=token, timeout=60)
    found = GreengrassCoreIPCClientV2(client=bare, executor=ThreadPoolExecutor(max_workers=1))
    try:
        yield found
    finally:
        found.close().result(60)


def policy(topic: str) -> dict[str, Any]:
    return {"accessControl": {"aws.greengrass.ipc.pubsub": {"pubsub:1": {
        "policyDescription": "", "resources": [topic],
        "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
    }}}}  # fmt: skip


def message(text: str) -> PublishMessage:
    return PublishMessage(binary_message=BinaryMessage(message=text.encode()))


@pytest.fixture
def one(shared: Any, request: pytest.FixtureRequest) -> Any:
    """(folder, core, name of a component that is deployed, nucleus)"""
    folder, core = shared
    name = f"t.{request.node.originalname}"
    configuration = {"rate": 5, "deep": {"x": "y"}, **policy("edgeloop/samples")}
    folder.component(name, 'echo "token=$SVCUID"; exec sleep 100', configuration=configuration)
    folder.deploy(core, name)
    return folder, core, name, core.status()["nucleus"]


def token_of(folder: Any, name: str, times: int = 1) -> str:
    return str(folder.said(name, "token=", times=times).split("token=")[-1].split()[0])


def test_configuration(one: Any) -> None:
    folder, core, name, nucleus = one
    changes: queue.Queue[list[str]] = queue.Queue()

    def changed(event: ConfigurationUpdateEvents) -> None:
        update = event.configuration_update_event
        changes.put([update.component_name, *update.key_path])

    with client(folder.root / "ipc.socket", token_of(folder, name)) as ipc:
        value = ipc.get_configuration().value
        assert (value["rate"], value["deep"]) == ("5" if nucleus == "lite" else 5, {"x": "y"})
        with pytest.raises(ResourceNotFoundError):
            ipc.get_configuration(key_path=["nothing"])
        ipc.subscribe_to_configuration_update(component_name=name, on_stream_event=changed)
        ipc.update_configuration(key_path=["deep"], value_to_merge={"x": "z"}, timestamp=datetime.now(UTC))
        assert changes.get(timeout=60)[0] == name
        assert core.component(name).configuration["deep"] == {"x": "z"}
        assert folder.saved("configuration.json")[name]["deep"]["x"][1] == "z"
        if nucleus == "classic":
            core.wait(core.deploy(merge={name: {"rate": 9}}))
            assert changes.get(timeout=60)[:2] == [name, "rate"]
            assert ipc.get_configuration(key_path=["rate"]).value in ({"rate": 9}, 9)


def test_policies_hold_and_change_with_a_deployment(one: Any) -> None:
    folder, core, name, _ = one
    arrived: queue.Queue[bytes] = queue.Queue()

    def take(event: SubscriptionResponseMessage) -> None:
        arrived.put(event.binary_message.message)

    socket, observer = core.observer()
    with client(socket, observer) as watching:
        watching.subscribe_to_topic(topic="edgeloop/#", on_stream_event=take)
        with client(socket, token_of(folder, name)) as ipc:
            ipc.publish_to_topic(topic="edgeloop/samples", publish_message=message("one"))
            assert arrived.get(timeout=60) == b"one"
            with pytest.raises(UnauthorizedError):
                ipc.publish_to_topic(topic="edgeloop/sim/truth", publish_message=message("no"))
            with pytest.raises(UnauthorizedError):
                ipc.subscribe_to_topic(topic="edgeloop/sim/truth", on_stream_event=take)
            ipc.publish_to_topic(topic="edgeloop/samples", publish_message=message("two"))
            assert arrived.get(timeout=60) == b"two"
        core.wait(core.deploy(merge={name: policy("edgeloop/other")}))
        with client(socket, token_of(folder, name)) as ipc:
            ipc.publish_to_topic(topic="edgeloop/other", publish_message=message("three"))
            assert arrived.get(timeout=60) == b"three"
            with pytest.raises(UnauthorizedError):
                ipc.publish_to_topic(topic="edgeloop/samples", publish_message=message("no"))


def test_a_wrong_token_is_refused(one: Any) -> None:
    folder, _core, _name, _nucleus = one
    with pytest.raises(Exception, match=r"(?i)connect|access|denied|closed"), client(
        folder.root / "ipc.socket", "wrong"
    ) as ipc:
        ipc.get_configuration()


def test_deployments_and_restarts_over_the_bus(one: Any) -> None:
    folder, core, name, _nucleus = one
    folder.component("t.C")
    with client(*core.observer()) as ipc:
        answer = ipc.create_local_deployment(
            recipe_directory_path=str(folder.recipes), root_component_versions_to_add={"t.C": "1.0.0"},
            root_components_to_remove=[name], component_to_configuration={"t.C": {"MERGE": {"x": 1}}},
        )  # fmt: skip
        assert core.wait(answer.deployment_id).status == "SUCCEEDED"
        assert core.component("t.C").configuration == {"x": 1}
        assert name not in [entry.name for entry in core.components()]
        pid = core.component("t.C").pid
        assert ipc.restart_component(component_name="t.C").restart_status == "SUCCEEDED"
        end = time.monotonic() + 60
        while core.component("t.C").pid in (None, pid):
            assert time.monotonic() < end
        with pytest.raises(InvalidArgumentsError) as refused:
            ipc.create_local_deployment(root_component_versions_to_add={"t.Nope": "1.0.0"})
        assert "there is no component t.Nope" in refused.value.message


def test_a_component_that_says_it_failed_is_restarted_on_classic(one: Any) -> None:
    folder, core, name, nucleus = one
    pid = core.component(name).pid
    with client(folder.root / "ipc.socket", token_of(folder, name)) as ipc:
        ipc.update_state(state=ReportedLifecycleState.ERRORED)
    if nucleus == "classic":
        token_of(folder, name, 2)
        assert core.wait_state(name).restarts == 1
    else:
        time.sleep(0.2)
        assert core.component(name).pid == pid


def test_tokens_after_the_bus_was_killed(one: Any) -> None:
    folder, core, name, nucleus = one
    token, bus = token_of(folder, name), core.status()["bus_pid"]
    socket, observer = core.observer()
    core.fault("kill_bus")
    end = time.monotonic() + 60
    while True:
        try:
            with client(socket, observer) as ipc:
                ipc.publish_to_topic(topic="edgeloop/any", publish_message=message("x"))
            break
        except Exception:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert core.status()["bus_pid"] != bus
    if nucleus == "classic":
        with client(socket, token) as ipc:
            assert ipc.get_configuration()
    else:
        with pytest.raises(Exception, match=r"(?i)connect|access|denied|closed"), client(socket, token):
            pass
