"""What is no client of Stream Manager, on its port."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from typing import Any

import cbor2
import pytest
from stream_manager import MessageStreamDefinition, StrategyOnFull

from edgeloop_tools.core.stream_manager.protocol import FRAME_LIMIT, Operation, ResponseStatus, frame

from .conftest import StreamManager, environment, messages

HELLO = {"requestId": "r", "protocolVersion": "1.1.0", "sdkVersion": "1.1.2", "otherSupportedProtocolVersions": []}


def talk(port: int, *sent: bytes) -> bytes:
    """What comes back until the server closes, or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        received = b""
        try:
            for part in sent:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (ConnectionError, TimeoutError):
            pass
        return received


def frames(received: bytes) -> list[tuple[int, dict[str, Any]]]:
    """The frames behind the connect version."""
    assert received[:1] == b"\x01"
    found, at = [], 1
    while at < len(received):
        length = int.from_bytes(received[at : at + 4], "big")
        found.append((received[at + 4], cbor2.loads(received[at + 5 : at + 4 + length])))
        at += 4 + length
    return found


@pytest.fixture
def port(stream_manager: StreamManager) -> Any:
    client = stream_manager.start()
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=StrategyOnFull.RejectNewData))
    yield stream_manager.port
    assert client.append_message("s", b"it goes on") == len(messages(client, "s")) - 1
    assert "Traceback" not in stream_manager.log.read_text()


@pytest.mark.parametrize(("version", "operation", "fields", "status"), [
    (2, Operation.CONNECT, {}, ResponseStatus.UNSUPPORTED_CONNECT_VERSION),
    (1, Operation.LIST_STREAMS, {}, ResponseStatus.UNEXPECTED_OPERATION),
    (1, 99, {}, ResponseStatus.UNEXPECTED_OPERATION),
    (1, Operation.CONNECT, {"protocolVersion": "9.0.0"}, ResponseStatus.UNSUPPORTED_PROTOCOL_VERSION),
    (1, Operation.CONNECT, {"protocolVersion": "one"}, ResponseStatus.INVALID_PROTOCOL_VERSION),
    (1, Operation.CONNECT, {"protocolVersion": 7}, ResponseStatus.INVALID_REQUEST),
    (1, Operation.CONNECT, {"requestId": ""}, ResponseStatus.INVALID_REQUEST),
])
def test_a_connect_that_is_refused(
    port: int, version: int, operation: int, fields: dict[str, Any], status: ResponseStatus
) -> None:
    ((answer, found),) = frames(talk(port, bytes([version]) + frame(operation, {**HELLO, **fields})))
    assert (answer, found["status"]) == (Operation.CONNECT_RESPONSE, status)


def test_an_older_protocol_is_chosen(port: int) -> None:
    hello = {**HELLO, "protocolVersion": "1.2.0", "otherSupportedProtocolVersions": ["1.0.0"]}
    ((_, found),) = frames(talk(port, b"\x01" + frame(Operation.CONNECT, hello)))
    assert (found["status"], found["protocolVersion"]) == (ResponseStatus.SUCCESS, "1.0.0")


def test_requests_that_are_none(port: int) -> None:
    hello = b"\x01" + frame(Operation.CONNECT, HELLO)
    received = frames(talk(port, hello, frame(77, {"requestId": "a"}), frame(-3, {"requestId": "b"}),
                           frame(Operation.APPEND_MESSAGE, {"requestId": "c", "name": "s", "payload": "text"}),
                           frame(Operation.APPEND_MESSAGE, {"requestId": "d", "name": "s"}),
                           frame(Operation.READ_MESSAGES, {"requestId": "e", "streamName": "s" * 300}),
                           frame(Operation.LIST_STREAMS, {"requestId": "f", 5: {}})))
    found = {fields["requestId"]: (operation, fields["status"]) for operation, fields in received[1:]}
    unknown = (Operation.UNKNOWN_OPERATION_ERROR, ResponseStatus.UNKNOWN_OPERATION)
    refused = (Operation.APPEND_MESSAGE_RESPONSE, ResponseStatus.INVALID_REQUEST)
    assert {name: found[name] for name in "abcd"} == {"a": unknown, "b": unknown, "c": refused, "d": refused}
    assert found["f"] == (Operation.LIST_STREAMS_RESPONSE, ResponseStatus.SUCCESS)


HOSTILE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x01",
    b"\x01\xff\xff\xff\xff\x01",
    b"\x01" + (FRAME_LIMIT - 1).to_bytes(4, "big") + b"\x01",
    b"\x01\x00\x00\x00\x02\x01\xff",
    b"\x01" + frame(Operation.CONNECT, HELLO) + b"\x00\x00\x00\x00\x04",
    b"\x01" + frame(Operation.CONNECT, HELLO) + (FRAME_LIMIT + 1).to_bytes(4, "big") + b"\x04",
    b"\x01" + frame(Operation.CONNECT, HELLO) + frame(Operation.APPEND_MESSAGE, {"requestId": 4}),
    b"\x01" + frame(Operation.CONNECT, HELLO) + b"\x00\x10\x00\x01\x04" + b"\x81" * (1 << 20),
    b"\x01" + frame(Operation.CONNECT, HELLO) + b"\x00\x00\x00\x20\x04abc",
]


def test_hostile_connections_end_and_the_server_goes_on(port: int) -> None:
    for received in HOSTILE:
        talk(port, received)
    chance = random.Random(3)
    valid = frame(Operation.APPEND_MESSAGE, {"requestId": "x", "name": "s", "payload": b"payload"})
    for _ in range(60):
        damaged = bytearray(valid)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        talk(port, b"\x01" + frame(Operation.CONNECT, HELLO), bytes(damaged[: chance.randrange(1, len(damaged) + 1)]))


def test_a_port_in_use_is_one_line(tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        command = [sys.executable, "-m", "edgeloop_tools.core.stream_manager", "--store", str(tmp_path / "store")]
        done = subprocess.run([*command, "--port", str(number)], env=environment(), capture_output=True, text=True,
                              timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == (f"error: Stream Manager cannot listen (127.0.0.1:{number}): Address already in use; "
                           "set another STREAM_MANAGER_SERVER_PORT, or stop what listens there\n")
    done = subprocess.run([*command, "--port", "many"], env=environment(), capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.stderr.startswith("error: STREAM_MANAGER_SERVER_PORT is out of range: 'many'")
