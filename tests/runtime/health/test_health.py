from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeloop.documents import decode, encode
from edgeloop.health import Health


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Case:
    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.reported: list[tuple[str, str | None]] = []
        self.health = Health(
            "io.edgeloop.Tested",
            self.published.append,
            report=lambda key, line: self.reported.append((key, line)),
            period=0.5,
        )


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.health.close()


def test_a_problem_is_reported_once_and_counted(case: Case) -> None:
    health = case.health
    for _ in range(5):
        health.problem("source.a", "no  such\nfile")
    assert case.reported == [("source.a", "no such file")]
    assert health.state == "degraded"
    problem = health.document()["problems"][0]
    assert (problem["key"], problem["line"], problem["count"]) == ("source.a", "no such file", 5)
    health.clear("source.a")
    health.clear("source.a")
    assert case.reported[1:] == [("source.a", None)]
    assert health.document()["state"] == "ok"


def test_problems_below_a_key_end_together(case: Case) -> None:
    for key in ("source.a", "source.b", "bus"):
        case.health.problem(key, "x")
    case.health.clear_below("source.")
    assert case.health.problems == {"bus": "x"}


def test_it_is_published_on_change_and_regularly(case: Case) -> None:
    health = case.health
    health.start()
    health.problem("a", "x")
    wait(lambda: case.published)
    assert case.published[-1]["state"] == "degraded"
    health.clear("a")
    wait(lambda: case.published[-1]["state"] == "ok")
    count = len(case.published)
    wait(lambda: len(case.published) > count)


def test_a_storm_of_changes_is_no_storm_of_messages(case: Case) -> None:
    case.health.start()
    for number in range(2000):
        case.health.problem("a", f"line {number}")
    wait(lambda: ("a", "line 1999") in case.reported)
    assert len(case.published) <= 8
    assert len(case.reported) <= 4
    assert case.health.document()["problems"][0]["count"] == 2000


def test_what_flickers_is_not_told_each_time(case: Case) -> None:
    for _ in range(500):
        case.health.problem("a", "x")
        case.health.clear("a")
    assert case.reported == [("a", "x"), ("a", None)]


def test_counters_gauges_and_shown_numbers(case: Case) -> None:
    health = case.health
    health.count("samples", 10)
    health.count("samples")
    health.gauge("lag_s", 0.5)
    health.show("bus", lambda: {"sent": 3})
    document = decode(encode(health.document()))
    assert document["schema"] == 1
    assert document["component"] == "io.edgeloop.Tested"
    assert document["counters"] == {"samples": 11}
    assert document["gauges"] == {"lag_s": 0.5}
    assert document["bus"] == {"sent": 3}
    assert document["process"]["memory_mb"] > 1
    assert document["time_rfc3339"].endswith("Z")


def test_the_document_always_fits_into_one_message(case: Case) -> None:
    health = case.health
    for number in range(500):
        health.problem(f"key {number} " + "é" * 200, f"line {number} " + "é" * 2000)
        health.count(f"counter {number} " + "x" * 60)
        health.gauge(f"gauge {number} " + "x" * 60, number)
    document = health.document()
    assert len(encode(document)) <= 7000
    assert document["problem_count"] == 500
    assert document["problems"]


def test_no_secret_goes_out_with_a_problem(case: Case) -> None:
    case.health.problem("camera.gate", "cannot open rtsp://me:hunter2@cam/live and http://cam/live?token=hunter2")
    (problem,) = case.health.document()["problems"]
    assert problem["line"] == "cannot open rtsp://me:***@cam/live and http://cam/live?token=***"
