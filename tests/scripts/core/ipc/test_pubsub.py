from __future__ import annotations

from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot.eventstreamrpc import AccessDeniedError
from awsiot.greengrasscoreipc.model import InvalidArgumentsError, ServiceError, UnauthorizedError

PUBSUB = "aws.greengrass.ipc.pubsub"


def access(operation: str, *resources: str) -> dict[str, Any]:
    return {PUBSUB: {"p": {"operations": [f"aws.greengrass#{operation}"], "resources": list(resources)}}}


def test_binary_and_json_arrive_in_order(bus: Any) -> None:
    publisher, subscriber = bus.client("a.Publisher"), bus.client("a.Subscriber")
    inbox = bus.subscribe(subscriber, "t/1")
    for n in range(200):
        bus.publish(publisher, "t/1", n.to_bytes(2, "big"))
    assert inbox.take(200) == [n.to_bytes(2, "big") for n in range(200)]
    bus.publish_json(publisher, "t/1", {"ü": [1, None, True, "\n"]})
    assert inbox.get() == ("t/1", {"ü": [1, None, True, "\n"]})
    assert inbox.empty


def test_wildcards_of_a_subscription(bus: Any) -> None:
    publisher, subscriber = bus.client("a.Publisher"), bus.client("a.Subscriber")
    plus, hash_ = bus.subscribe(subscriber, "a/+/c"), bus.subscribe(subscriber, "a/#")
    for topic in ("a/b/c", "a/b/d", "x/b/c"):
        bus.publish(publisher, topic, topic.encode())
    assert hash_.take(2) == [b"a/b/c", b"a/b/d"]
    assert plus.take(1) == [b"a/b/c"]
    assert plus.empty
    assert hash_.empty


def test_own_messages_on_a_wildcard(start: Any) -> None:
    for nucleus, expected in (("classic", [b"other"]), ("lite", [b"own", b"other"])):
        bus = start(nucleus)
        own, other = bus.client("a.Own"), bus.client("a.Other")
        wildcard, exact = bus.subscribe(own, "a/+"), bus.subscribe(own, "a/b")
        every = bus.subscribe(own, "a/#", "RECEIVE_ALL_MESSAGES")
        bus.publish(own, "a/b", b"own")
        bus.publish(other, "a/b", b"other")
        assert wildcard.take(len(expected)) == expected
        assert exact.take(2) == every.take(2) == [b"own", b"other"]
        assert wildcard.empty


def test_publish_to_a_wildcard(start: Any) -> None:
    classic, lite = start("classic"), start("lite")
    client = classic.client()
    for topic in ("a/+", "a/#", "a/*"):
        with pytest.raises(InvalidArgumentsError):
            classic.publish(client, topic, b"")
    lite.publish(lite.client(), "a/+", b"")


def test_unauthorized_keeps_the_connection(bus: Any) -> None:
    client = bus.client("a.Limited", access("PublishToTopic", "allowed/*/x", "exact"))
    for topic in ("other", "exact/more", "allowed/x"):
        with pytest.raises(UnauthorizedError):
            bus.publish(client, topic, b"")
    with pytest.raises(UnauthorizedError):
        bus.subscribe(client, "exact")
    bus.publish(client, "exact", b"")
    bus.publish(client, "allowed/a/b/x", b"")


def test_a_new_policy_holds_for_open_connections(bus: Any) -> None:
    from edgeloop_tools.core.ipc.backend import AccessControlChanged

    client = bus.client("a.Limited", access("PublishToTopic", "one"))
    with pytest.raises(UnauthorizedError):
        bus.publish(client, "two", b"")
    bus.emit(AccessControlChanged("a.Limited", access("PublishToTopic", "two")))
    bus.publish(client, "two", b"")
    with pytest.raises(UnauthorizedError):
        bus.publish(client, "one", b"")


def test_an_unknown_token_is_refused(start: Any) -> None:
    with pytest.raises(AccessDeniedError):
        start("classic").client_of("NOSUCHTOKEN")
    with pytest.raises(AwsCrtError):
        start("lite").client_of("NOSUCHTOKEN")


def test_a_revoked_token_ends_its_connections(bus: Any) -> None:
    from edgeloop_tools.core.ipc.backend import TokenRevoked

    token = bus.token("a.Old")
    old, new = bus.client_of(token), bus.client("a.Old")
    inbox, other = bus.subscribe(old, "t"), bus.subscribe(new, "t")
    bus.emit(TokenRevoked(token))
    assert inbox.closed.wait(60)
    assert not other.closed.is_set()
    bus.publish(new, "t", b"1")
    assert other.take(1) == [b"1"]


def test_unsubscribed_hears_no_more(bus: Any) -> None:
    client = bus.client()
    received: list[Any] = []
    _, operation = client.subscribe_to_topic(topic="t", on_stream_event=received.append)
    operation.close().result(60)
    bus.publish(client, "t", b"")
    assert bus.server.operations.local.reached("t") == ()
    assert received == []


def test_absent_operations_are_service_errors(bus: Any) -> None:
    client = bus.client()
    for call in (client.list_components, client.list_local_deployments, client.subscribe_to_component_updates,
                 lambda: client.get_thing_shadow(thing_name="t", shadow_name="s"),
                 lambda: client.stop_component(component_name="c"),
                 lambda: client.get_component_details(component_name="c")):
        with pytest.raises(ServiceError):
            call() if call is not client.subscribe_to_component_updates else call(on_stream_event=print)
    bus.publish(client, "still/alive", b"")


def test_every_user_may_connect(start: Any) -> None:
    assert start().path.stat().st_mode & 0o777 == 0o666


def test_the_end_of_the_server_ends_streams(start: Any) -> None:
    bus = start()
    inbox = bus.subscribe(bus.client(), "t")
    bus.run(bus.server.close())
    assert inbox.closed.wait(60)
