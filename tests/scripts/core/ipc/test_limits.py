"""What nucleus lite does beyond its limits, and that classic does not."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot.eventstreamrpc import ConnectionClosedError, StreamClosedError
from awsiot.greengrasscoreipc.model import InvalidArgumentsError, ServiceError, UnauthorizedError

from edgeloop_tools.core.ipc import limits

CLOSED = (ConnectionClosedError, StreamClosedError, AwsCrtError)


@pytest.fixture
def lite(start: Any) -> Any:
    return start("lite")


def largest(topic: str) -> int:
    """The largest binary message to a topic: `4*ceil(n/3) + len(topic) <= 9741`."""
    return (9741 - len(topic)) // 4 * 3


def test_the_largest_binary_message(lite: Any) -> None:
    publisher, subscriber = lite.client("a.P"), lite.client("a.S")
    for topic in ("t", "a/topic/of/some/length"):
        inbox = lite.subscribe(subscriber, topic)
        lite.publish(publisher, topic, bytes(largest(topic)))
        assert inbox.get() == (topic, bytes(largest(topic)))
    with pytest.raises(CLOSED):
        lite.publish(publisher, "t", bytes(largest("t") + 1))
    with pytest.raises((*CLOSED, RuntimeError)):  # awscrt's own, where it learns of the end in between
        lite.publish(publisher, "t", b"")
    lite.publish(subscriber, "other/connections/go/on", b"")


def test_classic_takes_large_messages(start: Any) -> None:
    bus = start("classic")
    client = bus.client()
    inbox = bus.subscribe(client, "t")
    bus.publish(client, "t", bytes(1_000_000))
    assert inbox.get() == ("t", bytes(1_000_000))


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"a": value}
    return value


GOOD = ({"v": [0] * 42}, {str(n): 0 for n in range(23)}, {"v": [{"a": 0, "b": 0}] * 8}, nested(12))
POISON = ({"v": [0] * 43}, {str(n): 0 for n in range(24)}, {"v": [{"a": 0, "b": 0}] * 9}, nested(13))


@pytest.mark.parametrize(("good", "poison"), list(zip(GOOD, POISON, strict=True)))
def test_poison(lite: Any, good: Any, poison: Any) -> None:
    client = lite.client()
    inbox, other = lite.subscribe(client, "t"), lite.subscribe(client, "u")
    lite.publish_json(client, "t", good)
    assert inbox.get() == ("t", good)
    lite.publish_json(client, "t", poison)
    lite.publish_json(client, "t", good)
    lite.publish(client, "u", b"1")
    assert other.take(1) == [b"1"]
    assert inbox.empty
    assert not inbox.closed.is_set()


def test_large_integers_end_the_stream(lite: Any) -> None:
    client = lite.client()
    inbox = lite.subscribe(client, "t")
    lite.publish_json(client, "t", {"n": 10**18 - 1})
    assert inbox.get() == ("t", {"n": 10**18 - 1})
    lite.publish_json(client, "t", {"n": [10**18]})
    assert inbox.closed.wait(60)


def test_classic_has_no_such_limits(start: Any) -> None:
    bus = start("classic")
    client = bus.client()
    inbox = bus.subscribe(client, "t")
    for message in (*POISON, {"n": 10**18}):
        bus.publish_json(client, "t", message)
        assert inbox.get() == ("t", message)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_a_number(bus: Any, value: float) -> None:
    client = bus.client()
    with pytest.raises((ServiceError, InvalidArgumentsError)):
        bus.publish_json(client, "t", {"v": value})


def test_topic_length(lite: Any) -> None:
    client = lite.client()
    lite.publish(client, "t" * 256, b"")
    with pytest.raises(ServiceError):
        lite.publish(client, "t" * 257, b"")
    with pytest.raises(ServiceError):
        lite.subscribe(client, "t" * 257)


def test_subscriptions(lite: Any) -> None:
    client = lite.client()
    operations = [client.subscribe_to_topic(topic=f"t/{n}", on_stream_event=print)[1]
                  for n in range(limits.SUBSCRIPTIONS)]
    with pytest.raises(ServiceError):
        lite.subscribe(client, "one/more")
    operations[0].close().result(60)
    lite.publish(client, "after/the/close", b"")
    lite.subscribe(client, "one/more")


def test_connections(lite: Any) -> None:
    token = lite.token("a.B")
    clients = [lite.client_of(token) for _ in range(limits.CONNECTIONS)]
    with pytest.raises(Exception, match=r"."):
        lite.client_of(token)
    lite.publish(clients[-1], "t", b"")


def test_access_control_size(lite: Any, start: Any) -> None:
    access = {"aws.greengrass.ipc.pubsub": {"p": {"operations": ["*"], "resources": ["*", "x" * 4096]}}}
    with pytest.raises(UnauthorizedError):
        lite.publish(lite.client("a.B", access), "t", b"")
    classic = start("classic")
    classic.publish(classic.client("a.B", access), "t", b"")


def update(client: Any, path: list[str], value: Any) -> None:
    client.update_configuration(key_path=path, value_to_merge=value, timestamp=datetime.now(UTC))


def test_configuration(lite: Any, start: Any) -> None:
    client = lite.client(leaf="x")
    update(client, [], {"leaf": "x" * 1022})
    update(client, [f"k{n}" for n in range(12)], {"a": 1})
    wrong = ([], {"leaf": "x" * 1023}), ([], {"leaf": [1] * 512}), ([], {str(n): 0 for n in range(100)}), (
        [], nested(14)), ([f"k{n}" for n in range(13)], {"a": 1})
    for path, value in wrong:
        with pytest.raises(ServiceError):
            update(client, list(path), value)
    with pytest.raises(ServiceError):
        client.get_configuration(key_path=[f"k{n}" for n in range(13)])
    assert client.get_configuration(key_path=["leaf"]).value == {"leaf": "x" * 1022}
    classic = start("classic")
    free = classic.client()
    for path, value in wrong:
        update(free, list(path), value)


def test_a_configuration_too_large_to_read(lite: Any) -> None:
    client = lite.client(**{f"m{n}": {str(k): "x" for k in range(30)} for n in range(4)})
    with pytest.raises(ServiceError):
        client.get_configuration()
    assert len(client.get_configuration(key_path=["m1"]).value) == 30
    large = lite.client("a.Large", **{str(k): "x" * 1000 for k in range(11)})
    with pytest.raises(ServiceError):
        large.get_configuration()
