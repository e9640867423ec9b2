"""Entries of a configuration and what runs for them: whatever one does, the others go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from edgeloop.errors import ConfigurationError
from edgeloop.supervise.roster import Roster

ANY = [
    KeyError("x"),
    RecursionError("deep"),
    MemoryError(),
    OSError(28, "No space left"),
    TypeError("no"),
    ValueError(),
]


@dataclass
class Runs:
    id: str
    entry: Any
    started: bool = False
    asked: bool = False
    ended: bool = False
    fails: Exception | None = None

    def start(self) -> None:
        if self.fails is not None:
            raise self.fails
        self.started = True

    def end(self) -> None:
        self.asked = True


@dataclass
class Device:
    problems: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    made: list[Runs] = field(default_factory=list)
    broken: dict[str, Exception] = field(default_factory=dict)
    fails: Exception | None = None

    def __post_init__(self) -> None:
        self.roster: Roster[Any, Runs] = Roster(self, lambda id: f"sources.{id}")

    def problem(self, key: str, line: str) -> None:
        self.problems[key] = line

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def apply(self, **entries: Any) -> set[str]:
        return self.roster.apply(entries, self._checked)

    def _checked(self, id: str, entry: Any) -> Any:
        if isinstance(entry, Exception):
            raise entry
        return entry

    def tick(self) -> dict[str, Any]:
        self.roster.reconcile(lambda runs: self.left.append(runs.id), self._make)
        return {runs.id: runs.entry for runs in self.roster}

    def _make(self, id: str, entry: Any) -> Runs | None:
        if id in self.broken:
            raise self.broken[id]
        if entry == "early":
            return None
        self.made.append(Runs(id, entry, fails=self.fails))
        return self.made[-1]


@pytest.mark.parametrize("error", ANY, ids=lambda e: type(e).__name__)
def test_an_entry_that_cannot_be_used_is_one_line_and_the_old_one_stays(error: Exception) -> None:
    device = Device()
    device.apply(a=1, b=2)
    assert device.tick() == {"a": 1, "b": 2}
    device.apply(a=error, b=3, c=error)
    device.made[1].ended = True
    device.tick()
    assert device.tick() == {"a": 1, "b": 3}
    assert device.problems.keys() == {"sources.a", "sources.c"}
    assert type(error).__name__ in device.problems["sources.a"]
    assert not device.made[0].asked, "what has not changed goes on"
    assert device.apply(a=1, b=3) == {"c"}
    assert device.problems == {}


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    device = Device()
    device.apply(a=ConfigurationError("wrong id", where="sources.a", mend="use a-z"))
    assert device.problems == {"sources.a": "wrong id (sources.a); use a-z"}
    assert device.tick() == {}


@pytest.mark.parametrize("error", ANY, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("where", ["made", "started"])
def test_what_cannot_be_started_is_one_line_tried_again_and_holds_up_nobody(error: Exception, where: str) -> None:
    device = Device()
    if where == "made":
        device.broken["a"] = error
    device.apply(a=1)
    device.fails = error if where == "started" else None
    device.tick()
    device.fails = None
    device.apply(a=1, b=2)
    assert device.tick() == {"b": 2}, "not at once again"
    assert device.problems["sources.a.start"].startswith(f"a cannot be started: {type(error).__name__}")
    device.roster._again["a"] = 0.0
    device.broken.clear()
    assert device.tick() == {"b": 2, "a": 1}
    assert device.problems == {}


def test_what_changed_starts_when_its_old_self_has_ended() -> None:
    device = Device()
    device.apply(a=1)
    device.tick()
    device.apply(a=2)
    assert device.tick() == {"a": 1}
    assert device.made[0].asked
    assert device.left == []
    device.made[0].ended = True
    assert device.tick() == {"a": 2}
    assert device.left == ["a"]
    device.apply()
    device.made[1].ended = True
    assert device.tick() == {}
    assert device.left == ["a", "a"]


def test_what_is_too_early_is_asked_again() -> None:
    device = Device()
    device.apply(a="early")
    assert device.tick() == {}
    device.apply(a=1)
    assert device.tick() == {"a": 1}
