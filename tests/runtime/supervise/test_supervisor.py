from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.supervise import Supervisor, supervisor


class Health:
    """What was said, and a way to wait for it."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.said: list[str] = []
        self.counts: dict[str, int] = {}
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[Exception] = []
        self.changed = threading.Condition()

    def problem(self, key: str, line: str) -> None:
        with self.changed:
            self.said.append(f"{key}: {line}")
            self.problems[key] = line
            self.changed.notify_all()

    def clear(self, key: str) -> None:
        with self.changed:
            self.problems.pop(key, None)
            self.changed.notify_all()

    def count(self, name: str, n: int = 1) -> None:
        with self.changed:
            self.counts[name] = self.counts.get(name, 0) + n
            self.changed.notify_all()

    def log(self, line: str, **fields: Any) -> None:
        self.lines.append((line, fields))

    def unexpected(self, error: Exception) -> None:
        self.errors.append(error)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return True

    def wait(self, true: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, 30)


class Run:
    """A source that does what the plan says."""

    def __init__(self, owner: Driver, act: Callable[[Driver], None]) -> None:
        self.owner, self.act = owner, act

    def setup(self) -> None:
        self.owner.said.append("setup")

    def run(self) -> None:
        self.act(self.owner)

    def interrupt(self) -> None:
        self.owner.said.append("interrupt")

    def close(self) -> None:
        self.owner.said.append("close")


class Driver(Supervisor[Run, Health]):
    def __init__(self, around: Health, *plan: Callable[[Driver], None]) -> None:
        super().__init__("source", "a", around)
        self.plan, self.said = list(plan), list[str]()

    def make(self) -> Run:
        return Run(self, self.plan.pop(0) if self.plan else lambda driver: None)

    def failed(self) -> None:
        self.said.append("failed")


def fails(error: Exception) -> Callable[[Driver], None]:
    def act(driver: Driver) -> None:
        raise error

    return act


def until_stopped(driver: Driver) -> None:
    driver.stop.wait(30)


def delivers(driver: Driver) -> None:
    driver.delivered()
    driver.problem("a part", "part")
    driver.stop.wait(30)


@pytest.fixture
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.001)


@pytest.mark.usefixtures("_hurry")
def test_a_failure_is_one_line_and_another_run() -> None:
    health = Health()
    driver = Driver(
        health,
        fails(EdgeloopError("no luck", mend="try again")),
        fails(OSError("gone")),
        fails(KeyError("x")),
        delivers,
    )
    driver.start()
    health.wait(lambda: "source.a.part" in health.problems)
    assert health.said == [
        "source.a: no luck; try again", "source.a: the source a failed: gone",
        "source.a: the source a failed unexpectedly: KeyError: 'x'", "source.a.part: a part",
    ]  # fmt: skip
    assert health.problems == {"source.a.part": "a part"}
    assert health.counts == {"restarts.a": 3}
    assert [type(e) for e in health.errors] == [KeyError]
    driver.log("x", k=1)
    assert health.lines == [("x", {"source": "a", "k": 1})]
    driver.end()
    driver.join(30)
    assert driver.ended
    assert health.problems == {}
    assert driver.said == [*["setup", "close", "failed"] * 3, "setup", "interrupt", "close"]


def test_the_end_of_a_source_is_the_end() -> None:
    driver = Driver(Health())
    driver.start()
    driver.join(30)
    assert driver.ended
    assert driver.said == ["setup", "close"]
    assert driver.source is None


def test_an_end_during_the_pause_ends_the_pause() -> None:
    health = Health()
    driver = Driver(health, fails(EdgeloopError("no luck")))
    driver.start()
    health.wait(lambda: health.counts.get("restarts.a"))
    driver.end()
    driver.join(30)
    assert driver.ended
    assert health.problems == {}


def test_what_fails_because_it_was_ended_is_no_problem() -> None:
    def act(driver: Driver) -> None:
        driver.stop.wait(30)
        raise OSError("interrupted")

    health = Health()
    driver = Driver(health, act)
    driver.start()
    while driver.source is None and not driver.ended:
        driver.join(0.01)
    driver.end()
    driver.join(30)
    assert (driver.ended, health.problems, health.counts) == (True, {}, {})


def test_one_that_was_ended_before_it_began_does_not_begin() -> None:
    driver = Driver(Health(), until_stopped)
    driver.end()
    driver.start()
    driver.join(30)
    assert driver.said == []
