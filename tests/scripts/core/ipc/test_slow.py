"""Subscribers that do not read, and faults."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from awsiot.eventstreamrpc import StreamClosedError
from awsiot.greengrasscoreipc.model import GreengrassCoreIPCError

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.ipc import connection


def fault(bus: Any, kind: str, **arguments: Any) -> Any:
    return bus.do(lambda: bus.server.faults.apply(kind, arguments))


def test_classic_keeps_all_for_who_does_not_read_and_nobody_waits(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = start("classic")
    publisher, slow, good = bus.client("a.P"), bus.raw("a.Slow"), bus.client("a.Good")
    slow.subscribe(1, "t")
    inbox = bus.subscribe(good, "t")
    payload = bytes(100_000)
    for _ in range(60):
        bus.publish(publisher, "t", payload)
        assert inbox.get() == ("t", payload)
    assert bus.server.statistics.slow == 0
    (waiting,) = bus.do(lambda: bus.server.of("a.Slow"))
    monkeypatch.setattr(waiting, "_most", 4_000_000)
    bus.publish(publisher, "t", payload)
    assert inbox.get() == ("t", payload)
    assert bus.server.statistics.slow == 1, "a laptop's memory has a bound, at 256 MiB"
    assert bus.do(lambda: bus.server.of("a.Slow")) == []
    slow.close()


def test_on_lite_everybody_waits(start: Any) -> None:
    bus = start("lite", send_seconds=1)
    publisher, slow, good = bus.client("a.P"), bus.raw("a.Slow"), bus.client("a.Good")
    slow.subscribe(1, "t")
    inbox = bus.subscribe(good, "t")
    payload = bytes(7000)
    longest, sent = 0.0, 0
    while not bus.server.statistics.lost:
        began = time.monotonic()
        bus.publish(publisher, "t", payload)
        longest = max(longest, time.monotonic() - began)
        sent += 1
        assert sent < 1000
    assert longest >= 1
    assert inbox.take(sent) == [payload] * sent
    began = time.monotonic()
    waiting = threading.Thread(target=lambda: bus.publish(publisher, "t", payload))
    waiting.start()
    while not bus.do(lambda: bus.server.stalled):
        assert time.monotonic() - began < 60
    good.get_configuration()
    assert time.monotonic() - began >= 1
    waiting.join(60)
    slow.close()
    assert inbox.take(1) == [payload]
    bus.publish(publisher, "t", b"nobody is slow now")
    assert inbox.take(1) == [b"nobody is slow now"]


def test_a_hung_subscriber_gets_everything_later(start: Any) -> None:
    bus = start("classic")
    publisher, hung = bus.client("a.P"), bus.client("a.Hung")
    inbox = bus.subscribe(hung, "t")
    assert fault(bus, "hang_subscriber", component="a.Hung") == {"connections": 1}
    for n in range(5):
        bus.publish(publisher, "t", bytes((n,)))
    assert inbox.empty
    fault(bus, "hang_subscriber", component="a.Hung", on="false")
    assert inbox.take(5) == [bytes((n,)) for n in range(5)]


def test_a_hung_subscriber_stalls_lite(start: Any) -> None:
    bus = start("lite", send_seconds=0.2)
    publisher, hung = bus.client("a.P"), bus.client("a.Hung")
    inbox = bus.subscribe(hung, "t")
    fault(bus, "hang_subscriber", component="a.Hung")
    began = time.monotonic()
    bus.publish(publisher, "t", b"lost")
    assert time.monotonic() - began >= 0.2
    assert bus.server.statistics.lost == 1
    fault(bus, "clear")
    bus.publish(publisher, "t", b"heard")
    assert inbox.take(1) == [b"heard"]


def test_hang_overflows_on_classic(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "KEPT", connection.BACKLOG)
    bus = start("classic")
    publisher, hung = bus.client("a.P"), bus.client("a.Hung")
    inbox = bus.subscribe(hung, "t")
    fault(bus, "hang_subscriber", component="a.Hung")
    for _ in range(connection.BACKLOG // 1_000_000 + 1):
        bus.publish(publisher, "t", bytes(1_000_000))
    assert inbox.closed.wait(60)


def test_an_observer_is_spared(start: Any) -> None:
    bus = start("lite")
    publisher, observer = bus.client("a.P"), bus.observer()
    inbox = bus.subscribe(observer, "#")
    large = {"n": 10**18, **{str(n): n for n in range(30)}}
    bus.publish_json(publisher, "t", large)
    assert inbox.get() == ("t", large)
    fault(bus, "hang_subscriber", component="an.Observer")
    bus.publish(publisher, "t", b"1")
    assert not bus.server.stalled
    fault(bus, "clear")
    assert inbox.take(1) == [b"1"]


def test_drop_stream(bus: Any) -> None:
    client = bus.client("a.B")
    told, other, silent = (bus.subscribe(client, topic) for topic in ("t", "u", "v"))
    assert fault(bus, "drop_stream", component="a.B", topic="t") == {"streams": 1}
    assert fault(bus, "drop_stream", component="a.B", topic="v", silent=True) == {"streams": 1}
    assert told.closed.wait(60)
    for topic in ("t", "v", "u"):
        bus.publish(client, topic, topic.encode())
    assert other.take(1) == [b"u"]
    assert told.empty
    assert silent.empty
    assert not silent.closed.is_set()
    assert fault(bus, "drop_stream", component="a.B") == {"streams": 1}
    assert other.closed.wait(60)


def test_drop_connections(bus: Any) -> None:
    client, another = bus.client("a.B"), bus.client("a.C")
    inbox, other = bus.subscribe(client, "t"), bus.subscribe(another, "t")
    assert fault(bus, "drop_connections", component="a.B") == {"connections": 1}
    assert inbox.closed.wait(60)
    with pytest.raises((StreamClosedError, RuntimeError)):
        bus.publish(client, "t", b"")
    bus.publish(another, "t", b"1")
    assert other.take(1) == [b"1"]


def test_delay_keeps_order(start: Any) -> None:
    bus = start("classic")
    publisher, delayed = bus.client("a.P"), bus.client("a.Delayed")
    inbox = bus.subscribe(delayed, "t")
    fault(bus, "delay", seconds=2, component="a.Delayed")
    began = time.monotonic()
    bus.publish(publisher, "t", b"0")
    assert time.monotonic() - began < 2
    bus.publish(publisher, "t", b"1")
    fault(bus, "delay", seconds=0, component="a.Delayed")
    bus.publish(publisher, "t", b"2")
    assert inbox.take(3) == [b"0", b"1", b"2"]
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(("kind", "arguments"), [
    ("nothing", {}), ("drop_stream", {}), ("delay", {"seconds": -1}), ("delay", {"seconds": "x"}),
    ("hang_subscriber", {"component": "a.B", "more": 1}), ("clear", {"x": 1}),
    ("drop_connections", {"component": None}),
])
def test_a_wrong_fault_is_an_error(start: Any, kind: str, arguments: dict[str, Any]) -> None:
    bus = start()
    with pytest.raises(EdgeloopError):
        fault(bus, kind, **arguments)


def test_errors_are_modelled_errors(bus: Any) -> None:
    with pytest.raises(GreengrassCoreIPCError):
        bus.subscribe(bus.client(), "")
