"""The protocol by hand: what the SDK never sends."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop_tools.core.ipc import eventstream
from edgeloop_tools.core.ipc.rpc import Flag, Type

OPERATION = "aws.greengrass#PublishToTopic"
PUBLISH = b'{"topic":"t","publishMessage":{"binaryMessage":{"message":""}}}'


def headers(kind: Any = 0, flags: Any = 0, stream: Any = 1, **more: Any) -> dict[str, Any]:
    return {":message-type": kind, ":message-flags": flags, ":stream-id": stream, **more}


def expect_end(client: Any, nucleus: str) -> None:
    """The connection ends; classic says PROTOCOL_ERROR first."""
    last = client.receive()
    if nucleus == "classic":
        assert last.headers[":message-type"] == Type.PROTOCOL_ERROR
        client.close()
    else:
        assert last is None


def test_garbage_of_all_kinds_leaves_the_server_alive(bus: Any) -> None:
    witness = bus.client("a.Witness")
    inbox = bus.subscribe(witness, "t")
    noise = random.Random(5)
    connect = eventstream.encode(headers(Type.CONNECT, stream=0, **{":version": "0.1.0"}), b'{"authToken":"x"}')
    for number in range(60):
        frame = bytearray(connect)
        match number % 4:
            case 0:
                frame = bytearray(noise.randbytes(noise.randint(1, 5000)))
            case 1:
                frame[noise.randrange(len(frame))] ^= 1 << noise.randrange(8)
            case 2:
                del frame[noise.randrange(len(frame)):]
            case 3:
                frame += noise.randbytes(40)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(bus.path))
        client.sendall(frame)
        client.close()
    bus.publish(witness, "t", b"alive")
    assert inbox.take(1) == [b"alive"]


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"authToken":5}', b"\xff", b"[" * 5000,
                                     b'{"authToken":null}'])
def test_a_wrong_connect(bus: Any, payload: bytes) -> None:
    client = bus.raw(None)
    client.send(headers(Type.CONNECT, stream=0, **{":version": "0.1.0"}), payload)
    expect_end(client, bus.server.nucleus)


@pytest.mark.parametrize("wrong", [
    headers(Type.PING, stream=0), headers(Type.CONNECT, stream=1), headers(Type.CONNECT, flags=1, stream=0),
    headers(Type.CONNECT, stream=0, **{":version": "9.9.9"}), {}, headers(True, stream=0), headers("4", stream=0),
])
def test_a_wrong_first_message(bus: Any, wrong: dict[str, Any]) -> None:
    client = bus.raw(None)
    client.send(wrong, b'{"authToken":"x"}')
    expect_end(client, bus.server.nucleus)


def test_a_message_too_large_before_connect(bus: Any) -> None:
    client = bus.raw(None)
    client.socket.sendall(eventstream.encode({}, bytes(100_000))[:20])
    expect_end(client, bus.server.nucleus)


def test_ping(start: Any) -> None:
    client = start("classic").raw("a.B")
    client.send(headers(Type.PING, stream=0), b"hello")
    answer = client.receive()
    assert (answer.headers[":message-type"], answer.payload) == (Type.PING_RESPONSE, b"hello")
    client.close()
    client = start("lite").raw("a.B")
    client.send(headers(Type.PING, stream=0), b"hello")
    assert client.receive() is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"topic":5}', b'{"topic":"t"}', b"\xff\xfe", b'{"a":' * 1500,
                                     b'{"topic":"t","publishMessage":{}}',
                                     b'{"topic":"t","publishMessage":{"binaryMessage":{"message":"?"}}}',
                                     b'{"topic":"t","publishMessage":{"jsonMessage":{"message":{"a":\xff}}}}'])
def test_a_wrong_payload_is_an_error_on_its_stream(bus: Any, payload: bytes) -> None:
    client = bus.raw("a.B")
    client.send(headers(operation=OPERATION), payload)
    answer = client.receive()
    assert answer.headers[":message-type"] == Type.APPLICATION_ERROR
    assert answer.headers[":message-flags"] == Flag.TERMINATE_STREAM
    client.send(headers(stream=2, operation=OPERATION), PUBLISH)
    assert client.receive().headers["service-model-type"] == "aws.greengrass#PublishToTopicResponse"
    client.close()


def test_a_deep_document_harms_nobody(bus: Any) -> None:
    client = bus.raw("a.B")
    for stream, depth in enumerate((1000, 1500) if bus.server.lite else (1000, 100_000), 1):
        message = b'{"a":' * depth + b"1" + b"}" * depth
        client.send(headers(stream=stream, operation=OPERATION),
                    b'{"topic":"t","publishMessage":{"jsonMessage":{"message":' + message + b"}}}")
        answer = client.receive()
        assert answer.headers[":stream-id"] == stream
    assert answer.headers[":message-type"] == Type.APPLICATION_ERROR
    client.close()


def test_operations_that_are_none(bus: Any) -> None:
    client = bus.raw("a.B")
    for stream, wrong in enumerate((headers(operation="nothing"), headers(), headers(operation=7),
                                    headers(Type.APPLICATION_ERROR, operation=OPERATION)), 1):
        client.send(wrong | {":stream-id": stream}, b"{}")
        answer = client.receive()
        assert answer.headers["service-model-type"] == "aws.greengrass#ServiceError"
        assert answer.headers[":stream-id"] == stream
    client.close()


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
                        ["topic", "message", "payload", "keyPath", "jsonMessage", "binaryMessage", "qos", "x"]), inner,
                        max_size=4), max_leaves=8)
MEMBERS = ("topic", "publishMessage", "topicName", "qos", "payload", "keyPath", "componentName", "valueToMerge",
           "timestamp", "state", "token", "receiveMode", "rootComponentVersionsToAdd")
OPERATIONS = ("PublishToTopic", "SubscribeToTopic", "PublishToIoTCore", "SubscribeToIoTCore", "GetConfiguration",
              "UpdateConfiguration", "SubscribeToConfigurationUpdate", "UpdateState", "CreateLocalDeployment",
              "RestartComponent", "ValidateAuthorizationToken")


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
def test_requests_of_any_shape_are_answered(start: Any, nucleus: str, caplog: pytest.LogCaptureFixture) -> None:
    bus = start(nucleus)

    @given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.dictionaries(st.sampled_from(MEMBERS), JSON)),
                    min_size=1, max_size=8))
    @settings(max_examples=60, deadline=None)
    def run(requests: list[tuple[str, Any]]) -> None:
        client = bus.raw("a.B")
        for stream, (operation, request) in enumerate(requests, 1):
            client.send(headers(stream=stream, operation=f"aws.greengrass#{operation}"), json.dumps(request).encode())
            while client.receive().headers[":stream-id"] != stream:
                pass
        client.close()

    run()
    assert "internal error" not in caplog.text


def test_a_stream_in_use(bus: Any) -> None:
    client = bus.raw("a.B")
    client.subscribe(1, "t")
    client.send(headers(operation=OPERATION), PUBLISH)
    assert client.receive().headers[":message-type"] == Type.APPLICATION_ERROR
    client.close()


def test_a_response_ends_its_stream_on_classic(start: Any) -> None:
    for nucleus, flags in (("classic", Flag.TERMINATE_STREAM), ("lite", Flag.NONE)):
        client = start(nucleus).raw("a.B")
        client.send(headers(operation=OPERATION), PUBLISH)
        assert client.receive().headers[":message-flags"] == flags
        client.close()


def test_many_requests_in_one_write(bus: Any) -> None:
    client = bus.raw("a.B")
    client.socket.sendall(b"".join(eventstream.encode(headers(stream=n, operation=OPERATION), PUBLISH)
                                   for n in range(1, 301)))
    assert [client.receive().headers[":stream-id"] for _ in range(300)] == list(range(1, 301))
    client.close()
