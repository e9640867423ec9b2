from __future__ import annotations

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop_tools.core.ipc.hub import Spool, Subscription, Topics
from edgeloop_tools.core.ipc.matching import topic_pattern

LEVELS = st.lists(st.sampled_from(["a", "b", "$c"]), min_size=1, max_size=3)
TOPICS = LEVELS.map("/".join)
FILTERS = st.lists(st.sampled_from(["a", "b", "$c", "+"]), min_size=1, max_size=3).map("/".join) | LEVELS.map(
    lambda levels: "/".join([*levels, "#"]))


@given(st.lists(st.tuples(st.booleans(), FILTERS, TOPICS), max_size=30), st.sampled_from(["classic", "lite"]))
@settings(max_examples=80, deadline=None)
def test_what_is_reached_is_what_matches(steps: list[tuple[bool, str, str]], nucleus: Any) -> None:
    topics, live = Topics(nucleus, mqtt=False), list[Subscription]()
    owner: Any = None
    for add, topic_filter, topic in steps:
        if add or not live:
            live.append(topics.subscribe(owner, len(live), topic_filter, False))
        else:
            topics.unsubscribe(live.pop(len(topic) % len(live)))
        expected = [one for one in live if topic_pattern(one.topic_filter, parent=nucleus == "lite").fullmatch(topic)]
        assert sorted(map(id, topics.reached(topic))) == sorted(map(id, expected))


def test_a_trailing_slash_is_nothing_to_classic() -> None:
    owner: Any = None
    for nucleus, reached in (("classic", 1), ("lite", 0)):
        topics = Topics(nucleus, mqtt=False)  # type: ignore[arg-type]
        topics.subscribe(owner, 1, "a/b/", False)
        assert len(topics.reached("a/b")) == reached


def test_the_spool_is_bounded_and_in_order() -> None:
    spool = Spool()
    taken = 0
    while spool.put("t", str(taken).encode(), 100_000):
        taken += 1
    assert taken == 26
    assert [message for _, message in spool.take()] == [str(n).encode() for n in range(26)]
    assert len(spool) == 0
    assert spool.put("t", b"", 100_000)


def test_many_publishers_and_subscribers(bus: Any) -> None:
    publishers = [bus.client(f"a.P{n}") for n in range(4)]
    inboxes = [bus.subscribe(bus.client(f"a.S{n}"), topic) for n, topic in enumerate(("t/#", "t/+", "t/0", "t/3"))]

    def publish(number: int) -> None:
        for n in range(50):
            bus.publish(publishers[number], f"t/{number}", bytes((number, n)))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for inbox, sources in zip(inboxes, (range(4), range(4), (0,), (3,)), strict=True):
        received = inbox.take(50 * len(sources))
        for source in sources:
            assert [message[1] for message in received if message[0] == source] == list(range(50))


def test_nothing_is_left_of_a_client_that_went(bus: Any) -> None:
    for _ in range(3):
        client = bus.client("a.B", x=1)
        for topic in ("t", "u/+"):
            bus.subscribe(client, topic)
        client.subscribe_to_configuration_update(on_stream_event=print)
        client.subscribe_to_iot_core(topic_name="x", qos="1", on_stream_event=print)
        assert bus.do(lambda: bus.server.operations._subscriptions) == 4
        client.close().result(60)
        waited = threading.Event()
        while bus.do(bus.server.status)["connections"]:
            waited.wait(0.01)
    operations = bus.server.operations
    assert operations._subscriptions == 0
    assert operations.configuration == {}
    assert operations.local.reached("t") == operations.local.reached("u/x") == operations.iot.reached("x") == ()
