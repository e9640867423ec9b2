from __future__ import annotations

import queue
from typing import Any

import pytest
from awsiot.greengrasscoreipc.model import (
    GreengrassCoreIPCError,
    InvalidArgumentsError,
    ServiceError,
    UnauthorizedError,
)

from edgeloop_tools.core.ipc import hub

MQTT = "aws.greengrass.ipc.mqttproxy"


def listen(client: Any, topic: str) -> queue.Queue[Any]:
    received: queue.Queue[Any] = queue.Queue()
    client.subscribe_to_iot_core(topic_name=topic, qos="1", on_stream_event=lambda e: received.put(e.message))
    return received


def test_publish_and_wildcards(bus: Any) -> None:
    client = bus.client()
    exact, wild = listen(client, "dt/a"), listen(client, "dt/#")
    client.publish_to_iot_core(topic_name="dt/a", qos="1", payload=b"\x00\xff")
    client.publish_to_iot_core(topic_name="dt", qos="0", payload=b"parent")
    client.publish_to_iot_core(topic_name="x", qos="0", payload=b"")
    assert exact.get(timeout=60).payload == b"\x00\xff"
    messages = [wild.get(timeout=60) for _ in range(2)]
    assert [(m.topic_name, m.payload) for m in messages] == [("dt/a", b"\x00\xff"), ("dt", b"parent")]
    assert wild.empty()


def test_refusals(bus: Any) -> None:
    client = bus.client()
    refused: list[dict[str, Any]] = [
        {"topic_name": "a/+", "qos": "1", "payload": b""},
        {"topic_name": "a", "qos": "7", "payload": b""},
        {"topic_name": "a" * 257, "qos": "1", "payload": b""},
    ]
    for arguments in refused:
        with pytest.raises(GreengrassCoreIPCError):
            client.publish_to_iot_core(**arguments)


def test_payload_and_quality_are_required_on_classic(start: Any) -> None:
    classic, lite = start("classic").client(), start("lite").client()
    for arguments in ({"topic_name": "a", "qos": "1"}, {"topic_name": "a", "payload": b""}):
        with pytest.raises(InvalidArgumentsError):
            classic.publish_to_iot_core(**arguments)
        lite.publish_to_iot_core(**arguments)
    with pytest.raises(ServiceError):
        classic.publish_to_iot_core(topic_name="a", qos="1", payload=bytes(hub.PUBLISH_BYTES + 1))


def test_properties_travel_on_classic(start: Any) -> None:
    client = start("classic").client()
    received = listen(client, "t")
    client.publish_to_iot_core(topic_name="t", qos="1", payload=b"", content_type="text/x", response_topic="r")
    message = received.get(timeout=60)
    assert (message.content_type, message.response_topic) == ("text/x", "r")


def test_policy_wildcards(bus: Any) -> None:
    access = {MQTT: {"p": {"operations": ["aws.greengrass#PublishToIoTCore"], "resources": ["dt/+/x", "all/#", "g*"]}}}
    client = bus.client("a.B", access)
    for topic in ("dt/1/x", "all/a/b", "good/one"):
        client.publish_to_iot_core(topic_name=topic, qos="1", payload=b"")
    for topic in ("dt/1/2/x", "dt", "al"):
        with pytest.raises(UnauthorizedError):
            client.publish_to_iot_core(topic_name=topic, qos="1", payload=b"")
    with pytest.raises(UnauthorizedError):
        listen(client, "all/a")


def test_offline(start: Any) -> None:
    lite = start("lite")
    client = lite.client()
    received = listen(client, "t")
    lite.do(lambda: lite.server.faults.apply("iot_offline", {}))
    with pytest.raises(ServiceError):
        client.publish_to_iot_core(topic_name="t", qos="1", payload=b"lost")
    lite.do(lambda: lite.server.faults.apply("iot_offline", {"offline": False}))
    client.publish_to_iot_core(topic_name="t", qos="1", payload=b"later")
    assert received.get(timeout=60).payload == b"later"


def test_offline_classic_delivers_later(start: Any) -> None:
    bus = start("classic")
    client = bus.client()
    received = listen(client, "t")
    bus.do(lambda: bus.server.faults.apply("iot_offline", {"offline": True}))
    for n in range(5):
        client.publish_to_iot_core(topic_name="t", qos="1", payload=bytes((n,)))
    with pytest.raises(ServiceError):
        client.publish_to_iot_core(topic_name="t", qos="0", payload=b"")
    large = bytes(hub.PUBLISH_BYTES)
    for _ in range(hub.SPOOL_BYTES // hub.PUBLISH_BYTES - 1):
        client.publish_to_iot_core(topic_name="large", qos="1", payload=large)
    with pytest.raises(ServiceError):
        client.publish_to_iot_core(topic_name="large", qos="1", payload=large)
    assert received.empty()
    bus.do(lambda: bus.server.faults.apply("iot_offline", {"offline": False}))
    assert [received.get(timeout=60).payload for _ in range(5)] == [bytes((n,)) for n in range(5)]
