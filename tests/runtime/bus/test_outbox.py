from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edgeloop.bus.link import BusClosed, BusRefused, BusTimeout
from edgeloop.bus.outbox import ATTEMPTS, Outbox
from edgeloop.errors import BusError


class Case:
    """An outbox over connections that fail as `failures` says: one entry per attempt, then none."""

    def __init__(self) -> None:
        self.failures: list[BusError] = []
        self.sent: list[bytes] = []
        self.attempts = 0
        self.results: list[tuple[str, BusError | None]] = []
        self.broken: list[int] = []
        self.outbox = Outbox("tested", 10, self._send, lambda topic, e: self.results.append((topic, e)), self._broken)

    def _send(self, topic: str, payload: bytes) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(payload)

    def _broken(self, link: int, error: BusError) -> None:
        self.broken.append(link)
        self.outbox.connected(link + 1)


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    case.outbox.start()
    yield case
    case.outbox.stop()
    case.outbox.join(60)


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_nothing_is_sent_without_a_connection(case: Case) -> None:
    assert case.outbox.put("a", b"1")
    assert not case.outbox.flush(0.05)
    case.outbox.connected(1)
    assert case.outbox.flush(5)
    assert case.sent == [b"1"]


def test_a_message_waits_through_broken_connections_and_is_not_overtaken(case: Case) -> None:
    case.failures = [BusClosed("x")] * 5
    for payload in (b"1", b"2", b"3"):
        case.outbox.put("a", payload)
    case.outbox.connected(1)
    wait(lambda: len(case.sent) == 3)
    assert case.sent == [b"1", b"2", b"3"]
    assert case.broken == [1, 2, 3, 4, 5]


def test_a_message_that_never_gets_an_answer_is_given_up(case: Case) -> None:
    case.failures = [BusTimeout("x")] * ATTEMPTS
    case.outbox.put("a", b"poison")
    case.outbox.put("a", b"next")
    case.outbox.connected(1)
    wait(lambda: case.sent)
    assert case.sent == [b"next"]
    assert case.attempts == ATTEMPTS + 1
    assert case.outbox.refused == 1


def test_a_refused_message_does_not_break_the_connection(case: Case) -> None:
    case.failures = [BusRefused("no")]
    case.outbox.put("a", b"1")
    case.outbox.put("b", b"2")
    case.outbox.connected(1)
    wait(lambda: len(case.results) == 2)
    assert [(topic, error is None) for topic, error in case.results] == [("a", False), ("b", True)]
    assert case.broken == []


def test_a_full_or_stopped_queue_takes_nothing(case: Case) -> None:
    assert [case.outbox.put("a", b"") for _ in range(12)] == [True] * 10 + [False] * 2
    assert case.outbox.full == 2
    case.outbox.stop()
    assert not case.outbox.put("a", b"")


def test_flush_ends_when_the_outbox_stops(case: Case) -> None:
    case.outbox.put("a", b"")
    threading.Timer(0.1, case.outbox.stop).start()
    began = time.monotonic()
    assert not case.outbox.flush(60)
    assert time.monotonic() - began < 30
