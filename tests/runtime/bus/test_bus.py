from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgeloop import topics
from edgeloop.bus import Bus, BusClosed, BusRefused, BusTimeout, largest
from edgeloop.documents import decode
from edgeloop.errors import BusError

COMPONENT = "io.edgeloop.Tested"
MakeBus = Callable[..., Bus]


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


def send(bus: Bus, topic: str, payload: bytes) -> None:
    while not bus.publish(topic, payload):
        bus.flush(1.0)


@pytest.mark.parametrize("stopped_nucleus", ["classic", "lite"], indirect=True)
def test_messages_arrive_in_order_whatever_filter_they_match(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[tuple[str, int]] = []
    threads = set()

    def handler(topic: str, payload: bytes) -> None:
        seen.append((topic, int(payload)))
        threads.add(threading.current_thread().name)

    bus.subscribe("a/b", handler)
    bus.subscribe("c/#", handler)
    for number in range(400):
        send(bus, "a/b" if number % 3 else "c/d/e", b"%d" % number)
    until(lambda: len(seen) == 400)
    assert [number for _, number in seen] == list(range(400))
    assert {topic for topic, _ in seen} == {"a/b", "c/d/e"}
    assert threads == {"Tested-handlers"}
    until(lambda: bus.statistics["sent"] >= 400)


def test_every_byte_and_the_largest_message_arrive(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[bytes] = []
    topic = "edgeloop/samples"
    bus.subscribe(topic, lambda _, payload: seen.append(payload))
    everything = bytes(range(256)) * (largest(topic) // 256)
    most = everything + bytes(largest(topic) - len(everything))
    send(bus, topic, b"")
    send(bus, topic, most)
    until(lambda: len(seen) == 2)
    assert seen == [b"", most]


@pytest.mark.parametrize("stopped_nucleus", ["lite"], indirect=True)
def test_too_large_a_message_is_refused_before_lite_closes_the_connection(
    nucleus: Any, make_bus: MakeBus, problems: Any
) -> None:
    bus = make_bus()
    topic = "edgeloop/samples"
    assert not bus.publish(topic, bytes(largest(topic) + 1))
    line = problems.now["bus.oversize.edgeloop/samples"]
    assert line == "a message of 7294 B on edgeloop/samples was not sent; the limit is 7293 B"
    assert bus.publish(topic, bytes(largest(topic)))
    assert bus.flush(5)
    assert bus.statistics["oversize"] == 1
    assert bus.statistics["connections"] == 1
    assert not problems.now


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a/?", "a/*", "x" * 257])
def test_a_topic_with_wildcards_is_no_topic_to_publish_to(nucleus: Any, make_bus: MakeBus, topic: str) -> None:
    with pytest.raises(BusError, match="not a topic to publish to"):
        make_bus().publish(topic, b"")


def test_documents_travel_as_the_bytes_of_binary_messages(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[Any] = []
    bus.subscribe("doc", lambda _, payload: seen.append(decode(payload)))
    document = {"time": time.time_ns(), "many": list(range(200)), "deep": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}
    assert bus.publish_document("doc", document)
    until(lambda: seen)
    assert seen == [document]


def test_a_json_message_of_another_program_arrives_as_its_json(nucleus: Any, make_bus: MakeBus) -> None:
    from awsiot.greengrasscoreipc import connect, model
    from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

    bus = make_bus()
    seen: list[Any] = []
    bus.subscribe("json", lambda topic, payload: seen.append((topic, decode(payload))))
    other = GreengrassCoreIPCClientV2(client=connect(ipc_socket=str(nucleus.socket), authtoken="token"))
    try:
        message = model.PublishMessage(json_message=model.JsonMessage(message={"a": [1, "x"]}))
        other.publish_to_topic(topic="json", publish_message=message)
        until(lambda: seen)
    finally:
        other.close().result(60)
    assert seen == [("json", {"a": [1, "x"]})]


def test_publish_never_blocks_and_counts_what_finds_no_room(nucleus: Any, make_bus: MakeBus, problems: Any) -> None:
    bus = make_bus(queue=20, timeout=30.0)
    nucleus.signal(signal.SIGSTOP)
    began = time.monotonic()
    taken = [bus.publish("a", b"%d" % number) for number in range(100)]
    assert time.monotonic() - began < 20
    nucleus.signal(signal.SIGCONT)
    assert taken.count(True) == 20
    assert bus.statistics["not_queued"] == 80
    until(lambda: not bus.statistics["waiting"])
    until(lambda: "bus.queue" not in problems.now)
    assert any("takes no messages" in line for line in problems.ever)


def test_a_slow_handler_loses_the_oldest_messages_and_nothing_else_stalls(
    nucleus: Any, make_bus: MakeBus, problems: Any
) -> None:
    bus = make_bus()
    entered, go = threading.Event(), threading.Event()
    slow: list[int] = []

    def handler(topic: str, payload: bytes) -> None:
        entered.set()
        go.wait(60)
        slow.append(int(payload))

    subscription = bus.subscribe("slow", handler, depth=5)
    send(bus, "slow", b"0")
    assert entered.wait(60)
    for number in range(1, 31):
        send(bus, "slow", b"%d" % number)
    assert bus.flush(10)
    until(lambda: subscription.inbox.received == 31)
    assert bus.get_configuration(("site",)) == "plant"
    go.set()
    until(lambda: len(slow) == 6)
    assert slow == [0, 26, 27, 28, 29, 30]
    assert any("messages come faster than they are handled" in line for line in problems.ever)
    until(lambda: "bus.handler.slow" not in problems.now)
    assert bus.statistics["dropped"] == 25


def test_a_handler_that_fails_is_reported_and_the_next_message_is_handled(
    nucleus: Any, make_bus: MakeBus, problems: Any
) -> None:
    bus = make_bus()
    seen: list[bytes] = []

    def handler(topic: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("no good")
        seen.append(payload)

    bus.subscribe("a", handler)
    send(bus, "a", b"bad")
    until(lambda: "bus.handler.a" in problems.now)
    assert problems.now["bus.handler.a"] == "a: a message was not handled: ValueError('no good')"
    send(bus, "a", b"good")
    until(lambda: "bus.handler.a" not in problems.now)
    assert seen == [b"good"]
    assert bus.statistics["handler_failures"] == 1


def test_a_handler_may_call_the_bus(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    found: list[Any] = []

    def handler(topic: str, payload: bytes) -> None:
        bus.subscribe("second", lambda *_: found.append("second"))
        found.append(bus.get_configuration(("site",)))

    bus.subscribe("first", handler)
    send(bus, "first", b"")
    until(lambda: found)
    until(lambda: bus.publish("second", b"") and "second" in found)
    assert found[0] == "plant"


def test_a_closed_subscription_is_not_called_again(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    first: list[bytes] = []
    second: list[bytes] = []
    subscription = bus.subscribe("a", lambda _, payload: first.append(payload))
    bus.subscribe("a", lambda _, payload: second.append(payload))
    send(bus, "a", b"1")
    until(lambda: first and second)
    subscription.close()
    send(bus, "a", b"2")
    until(lambda: len(second) == 2)
    assert first == [b"1"]
    assert not subscription.active.is_set()


def test_what_the_policy_does_not_allow_is_one_line_and_nothing_breaks(
    stopped_nucleus: Any, make_bus: MakeBus, problems: Any
) -> None:
    allowed = {"operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"], "resources": ["ok"]}
    stopped_nucleus.add("weak", policy={"aws.greengrass.ipc.pubsub": {"p": allowed}})
    stopped_nucleus.start()
    bus = make_bus("weak")
    assert bus.get_configuration() == {}
    seen: list[bytes] = []
    bus.subscribe("forbidden", lambda *_: None)
    bus.subscribe("ok", lambda _, payload: seen.append(payload))
    assert "subscribing to forbidden is not allowed" in problems.now["bus.subscribe.forbidden"]
    assert "accessControl" in problems.now["bus.subscribe.forbidden"]
    bus.publish("secret/topic", b"")
    bus.publish("ok", b"fine")
    until(lambda: seen)
    assert "publishing to secret/topic is not allowed" in problems.now["bus.publish.secret/topic"]
    assert bus.statistics["connections"] == 1


def test_the_process_of_the_bus_is_killed_and_comes_back(nucleus: Any, make_bus: MakeBus, problems: Any) -> None:
    bus = make_bus()
    seen: list[int] = []
    bus.subscribe("a", lambda _, payload: seen.append(int(payload)))
    for number in range(50):
        send(bus, "a", b"%d" % number)
    nucleus.kill()
    until(lambda: "bus" in problems.now)
    for number in range(50, 100):
        assert bus.publish("a", b"%d" % number)
    nucleus.start()
    until(lambda: seen and seen[-1] == 99, 15)
    after = [number for number in seen if number >= 50]
    assert sorted(set(after)) == list(range(50, 100))
    assert after == sorted(after)
    assert "bus" not in problems.now
    assert bus.statistics["connections"] == 2


def test_a_dropped_stream_is_subscribed_again(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    seen: list[bytes] = []
    subscription = bus.subscribe("a", lambda _, payload: seen.append(payload))
    for _ in range(3):
        assert nucleus.fault("drop_stream", component=COMPONENT, topic="a")["streams"] == 1
        until(lambda: bus.publish("a", b"x") and bus.flush(1) and seen)
        seen.clear()
        until(lambda: subscription.active.is_set())
    assert bus.statistics["connections"] == 1


def test_dropped_connections_are_made_again_without_a_tight_loop(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    subscription = bus.subscribe("a", lambda *_: None)
    for _ in range(3):
        before = bus.statistics["connections"]
        nucleus.fault("drop_connections", component=COMPONENT)
        until(lambda before=before: bus.statistics["connections"] > before)  # type: ignore[misc]
        assert subscription.active.wait(60)
    assert bus.statistics["connections"] == 4


def test_a_deaf_connection_is_found_by_the_self_ping(nucleus: Any, make_bus: MakeBus, problems: Any) -> None:
    bus = make_bus(ping=0.2)
    until(lambda: bus.statistics["pings"] >= 2)
    assert bus.statistics["pings_lost"] == 0
    nucleus.fault("drop_stream", component=COMPONENT, topic=topics.ping(COMPONENT), silent=True)
    until(lambda: bus.statistics["connections"] == 2)
    assert any("self-pings did not come back" in line for line in problems.ever)
    lost = bus.statistics["pings_lost"]
    pings = bus.statistics["pings"]
    until(lambda: bus.statistics["pings"] >= pings + 3)
    assert bus.statistics["pings_lost"] == lost


def test_a_hung_nucleus_times_out_and_is_left_for_a_new_connection(
    nucleus: Any, make_bus: MakeBus, problems: Any
) -> None:
    bus = make_bus(timeout=2.0)
    seen: list[bytes] = []
    bus.subscribe("a", lambda _, payload: seen.append(payload))
    nucleus.signal(signal.SIGSTOP)
    with pytest.raises(BusTimeout, match="reading the configuration got no answer"):
        bus.get_configuration()
    bus.publish("a", b"kept")
    until(lambda: "bus" in problems.now)
    nucleus.signal(signal.SIGCONT)
    until(lambda: b"kept" in seen)
    assert bus.statistics["connections"] == 2


def test_closing_is_quick_while_the_nucleus_hangs(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus(timeout=30.0)
    nucleus.signal(signal.SIGSTOP)
    bus.publish("a", b"")
    failures: list[BusError] = []

    def wait() -> None:
        try:
            bus.get_configuration()
        except BusError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    began = time.monotonic()
    bus.close()
    assert time.monotonic() - began < 20
    waiting.join(60)
    assert isinstance(failures[0], BusClosed)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("Tested-")]


def test_a_nucleus_that_comes_late_is_waited_for(stopped_nucleus: Any, make_bus: MakeBus, problems: Any) -> None:
    bus = make_bus(connected=False, timeout=0.3)
    seen: list[bytes] = []
    bus.subscribe("a", lambda _, payload: seen.append(payload))
    bus.publish("a", b"early")
    until(lambda: "bus" in problems.now)
    assert "the socket does not exist" in problems.now["bus"]
    with pytest.raises(BusClosed, match="no connection to the nucleus"):
        bus.get_configuration()
    stopped_nucleus.add("token")
    stopped_nucleus.start()
    until(lambda: seen)
    assert seen == [b"early"]
    assert "bus" not in problems.now


@pytest.mark.parametrize("stopped_nucleus", ["classic", "lite"], indirect=True)
def test_a_token_that_stays_refused_is_reported_after_a_while(
    nucleus: Any, make_bus: MakeBus, problems: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.bus.keeper._REFUSED_FOR", 0.5)
    refused = threading.Event()
    make_bus("old token", connected=False, on_refused=refused.set)
    assert refused.wait(60)
    assert re.search("refuses this process's token|ended the handshake", problems.now["bus"])


def test_too_long_a_socket_path_is_named(make_bus: MakeBus, problems: Any) -> None:
    with Bus("/tmp/" + "x" * 120, "token", on_problem=problems):
        until(lambda: "bus" in problems.now)
    assert "a socket's path has at most 107 bytes; use a shorter root folder" in problems.now["bus"]


def test_a_process_that_no_nucleus_started_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SVCUID", raising=False)
    with pytest.raises(BusError, match="SVCUID is not set; deploy it"):
        Bus("/tmp/socket")


@pytest.mark.parametrize("stopped_nucleus", ["classic", "lite"], indirect=True)
def test_configuration_is_read_updated_and_watched(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    changes: list[tuple[str, ...]] = []
    assert bus.get_configuration() == {"site": "plant"}
    assert bus.get_configuration(("site",)) == "plant"
    assert bus.get_configuration(("absent", "deep")) is None
    bus.on_configuration_change(changes.append)
    bus.update_configuration(("site",), "mill")
    bus.update_configuration((), {"sources": {"a": {"rate": "5"}}})
    until(lambda: ("site",) in changes and any(path[:1] == ("sources",) for path in changes))
    assert changes[0] == ()
    assert bus.get_configuration(("sources",)) == {"a": {"rate": "5"}}
    with pytest.raises(BusError, match="a configuration is a map"):
        bus.update_configuration((), 5)


def test_after_a_new_connection_a_change_may_have_been_missed(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    changes: list[tuple[str, ...]] = []
    bus.on_configuration_change(changes.append)
    until(lambda: changes == [()])
    nucleus.fault("drop_connections", component=COMPONENT)
    until(lambda: changes == [(), ()])


def test_the_state_reaches_the_nucleus(nucleus: Any, make_bus: MakeBus) -> None:
    make_bus().update_state("RUNNING")
    assert nucleus.say({"states": True}) == [[COMPONENT, "RUNNING"]]


@pytest.mark.parametrize("stopped_nucleus", ["lite"], indirect=True)
def test_iot_core_offline_is_an_error_on_lite(nucleus: Any, make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.publish_to_iot_core("site/alarm", b"x", 1)
    nucleus.fault("iot_offline", offline=True)
    with pytest.raises(BusError, match="publishing to IoT Core topic site/alarm failed"):
        bus.publish_to_iot_core("site/alarm", b"x", 1)


def test_refused_calls_say_what_to_mend(stopped_nucleus: Any, make_bus: MakeBus) -> None:
    stopped_nucleus.add("weak", policy={"aws.greengrass.ipc.pubsub": {}})
    stopped_nucleus.start()
    with pytest.raises(BusRefused, match="add it to the component's accessControl"):
        make_bus("weak").publish_to_iot_core("a", b"")
