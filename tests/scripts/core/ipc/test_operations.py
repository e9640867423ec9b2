from __future__ import annotations

import queue
from datetime import UTC, datetime
from typing import Any

import pytest
from awsiot.greengrasscoreipc.model import (
    ComponentNotFoundError,
    FailedUpdateConditionCheckError,
    GreengrassCoreIPCError,
    InvalidArgumentsError,
    InvalidTokenError,
    ResourceNotFoundError,
    ServiceError,
    UnauthorizedError,
)


def update(client: Any, path: list[str], value: Any, timestamp: datetime | None = None) -> None:
    client.update_configuration(key_path=path, value_to_merge=value, timestamp=timestamp or datetime.now(UTC))


def test_get_configuration(bus: Any) -> None:
    client = bus.client("a.B", a={"b": "5", "c": [1]}, empty={})
    other = bus.client("a.C")
    assert client.get_configuration().value == {"a": {"b": "5", "c": [1]}, "empty": {}}
    assert client.get_configuration(key_path=["a"]).value == {"b": "5", "c": [1]}
    assert client.get_configuration(key_path=["a", "b"]).value == {"b": "5"}
    assert client.get_configuration(key_path=["a", "c"]).value == {"c": [1]}
    answer = other.get_configuration(component_name="a.B", key_path=["empty"])
    assert (answer.component_name, answer.value) == ("a.B", {})
    for arguments in ({"key_path": ["no"]}, {"key_path": ["a", "b", "no"]}, {"component_name": "a.None"}):
        with pytest.raises(ResourceNotFoundError):
            client.get_configuration(**arguments)


def test_update_configuration(bus: Any) -> None:
    client = bus.client("a.B", a={"b": 1})
    update(client, ["a"], {"c": {"d": True}})
    update(client, [], {"a": {"b": 2}})
    assert client.get_configuration().value == {"a": {"b": 2, "c": {"d": True}}}
    for path, value in (([], {"accessControl": {}}), (["accessControl", "x"], {"y": 1})):
        with pytest.raises(InvalidArgumentsError):
            update(client, path, value)
    assert client.get_configuration(key_path=["a", "b"]).value == {"b": 2}


def test_an_older_update_is_refused_on_classic_and_ignored_on_lite(start: Any) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    classic, lite = (start(nucleus).client("a.B", b=1) for nucleus in ("classic", "lite"))
    for client in (classic, lite):
        update(client, [], {"b": 2})
    with pytest.raises(FailedUpdateConditionCheckError):
        update(classic, [], {"b": 3}, past)
    update(lite, [], {"b": 3}, past)
    for client in (classic, lite):
        assert client.get_configuration().value == {"b": 2}


def test_one_event_per_changed_leaf(bus: Any) -> None:
    client = bus.client("a.B", a={"b": 1, "c": 2}, z=0)
    every: queue.Queue[Any] = queue.Queue()
    below: queue.Queue[Any] = queue.Queue()
    client.subscribe_to_configuration_update(on_stream_event=every.put)
    client.subscribe_to_configuration_update(key_path=["a"], on_stream_event=below.put)
    update(client, [], {"a": {"b": 5, "c": 2, "d": {"e": 1}}, "z": 1})

    def paths(source: queue.Queue[Any], count: int) -> list[Any]:
        events = [source.get(timeout=60).configuration_update_event for _ in range(count)]
        assert {event.component_name for event in events} == {"a.B"}
        return sorted(event.key_path for event in events)

    assert paths(every, 3) == [["a", "b"], ["a", "d", "e"], ["z"]]
    assert paths(below, 2) == [["a", "b"], ["a", "d", "e"]]
    assert every.empty()
    assert below.empty()
    with pytest.raises(ResourceNotFoundError):
        client.subscribe_to_configuration_update(key_path=["no"], on_stream_event=every.put)


def test_a_fault_of_the_supervisor_fails_one_operation(bus: Any) -> None:
    client = bus.client("a.B", x=1)
    broken = bus.backend.get_configuration
    bus.backend.get_configuration = None
    with pytest.raises(ServiceError):
        client.get_configuration()
    bus.backend.get_configuration = broken
    assert client.get_configuration().value == {"x": 1}


def test_update_state(bus: Any) -> None:
    client = bus.client("a.B")
    client.update_state(state="RUNNING")
    client.update_state(state="ERRORED")
    with pytest.raises(GreengrassCoreIPCError):
        client.update_state(state="HAPPY")
    assert bus.backend.states == [("a.B", "RUNNING"), ("a.B", "ERRORED")]


def test_local_deployment(bus: Any) -> None:
    client = bus.client("a.Cli")
    answer = client.create_local_deployment(root_component_versions_to_add={"x.Y": "1.0.0"},
                                            component_to_configuration={"x.Y": {"MERGE": {"a": 1}}},
                                            recipe_directory_path="/r")
    assert answer.deployment_id == "deployment-1"
    assert bus.backend.deployments == [("a.Cli", {"rootComponentVersionsToAdd": {"x.Y": "1.0.0"},
                                                  "componentToConfiguration": {"x.Y": {"MERGE": {"a": 1}}},
                                                  "recipeDirectoryPath": "/r"})]
    refusal = UnauthorizedError if bus.server.nucleus == "classic" else ServiceError
    with pytest.raises(refusal):
        bus.client("a.Other", {}).create_local_deployment()


def test_restart(bus: Any) -> None:
    cli = {"aws.greengrass.Cli": {"p": {"operations": ["aws.greengrass#RestartComponent"], "resources": ["a.*"]}}}
    client = bus.client("a.Cli", cli)
    assert client.restart_component(component_name="a.Cli").restart_status == "SUCCEEDED"
    assert bus.backend.restarted == ["a.Cli"]
    with pytest.raises(ComponentNotFoundError if bus.server.nucleus == "classic" else ResourceNotFoundError):
        client.restart_component(component_name="a.None")
    with pytest.raises(UnauthorizedError):
        client.restart_component(component_name="b.Other")


def test_validate_authorization_token(bus: Any) -> None:
    token = bus.token("a.B")
    manager = bus.client("aws.greengrass.StreamManager")
    assert manager.validate_authorization_token(token=token).is_valid
    with pytest.raises(InvalidTokenError):
        manager.validate_authorization_token(token="no")
    with pytest.raises(UnauthorizedError):
        bus.client("a.B").validate_authorization_token(token=token)
