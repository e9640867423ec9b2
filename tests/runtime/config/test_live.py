from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeloop.config.identifiers import Id
from edgeloop.config.live import LiveConfiguration
from edgeloop.config.quantities import Duration
from edgeloop.errors import BusError, ConfigurationError


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    high: float = 1.0


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Id = "plant"
    tick: Duration = Duration("50 ms")
    password: str = ""
    limits: dict[Id, Limit] = {}


class Nucleus:
    """Holds a configuration; `None` in its place is a nucleus that does not answer."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.reads = 0
        self.connected = True
        self.changed: Callable[[tuple[str, ...]], None] = lambda path: None

    def get_configuration(self, path: tuple[str, ...] = ()) -> Any:
        self.reads += 1
        if self.value is None:
            raise BusError("no answer")
        return self.value

    def on_configuration_change(self, callback: Callable[[tuple[str, ...]], None]) -> object:
        self.changed = callback
        return None


class Case:
    def __init__(self, folder: Path) -> None:
        self.memory = folder / "configuration.json"
        self.nucleus = Nucleus({})
        self.problems: dict[str, str] = {}
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.live: list[LiveConfiguration[Configuration]] = []
        self.renamed: dict[str, str] = {}

    def problem(self, key: str, line: str | None) -> None:
        if line is None:
            self.problems.pop(key, None)
        else:
            self.problems[key] = line

    def start(self, reconcile: float = 60.0) -> LiveConfiguration[Configuration]:
        live = LiveConfiguration(
            Configuration,
            self.nucleus,
            self.memory,
            self.problem,
            lambda message, fields: self.said.append((message, fields)),
            renamed=self.renamed,
            reconcile=reconcile,
        )
        self.live.append(live)
        live.start()
        return live


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    yield case
    for live in case.live:
        live.close()


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_start_says_what_differs_from_the_defaults_without_secrets(case: Case) -> None:
    case.nucleus.value = {"tick": "20 ms", "password": "hunter2", "accessControl": {"x": {}}}
    assert case.start().current == Configuration(tick=Duration("20 ms"), password="hunter2")
    assert case.said == [("configuration", {"changed_from_defaults": {"tick": "20 ms", "password": "***"}})]
    assert case.memory.stat().st_mode & 0o777 == 0o600


def test_many_changes_at_once_are_read_once_and_applied_once(case: Case) -> None:
    live = case.start()
    applied: list[Configuration] = []
    live.listen(applied.append)
    reads = case.nucleus.reads
    case.nucleus.value = {"site": "mill", "tick": "1 s"}
    for leaf in ("site", "tick", "a", "b", "c"):
        case.nucleus.changed((leaf,))
    wait(lambda: applied)
    assert applied == [Configuration(site="mill", tick=Duration("1 s"))]
    assert case.nucleus.reads == reads + 1
    assert case.said[-1] == ("configuration changed", {"changed_from_defaults": {"site": "mill", "tick": "1 s"}})


def test_what_was_not_told_is_found_by_the_periodic_reading(case: Case) -> None:
    live = case.start(reconcile=0.05)
    applied: list[Configuration] = []
    live.listen(applied.append)
    case.nucleus.value = {"site": "mill"}
    wait(lambda: applied)
    reads = case.nucleus.reads
    wait(lambda: case.nucleus.reads > reads + 2)
    assert len(applied) == 1


@pytest.mark.parametrize("value", [["mill"], "mill", 5])
def test_what_is_no_configuration_leaves_the_last_good_one(case: Case, value: Any) -> None:
    case.nucleus.value = {"site": "mill"}
    live = case.start(reconcile=0.05)
    case.nucleus.value = value
    wait(lambda: "configuration" in case.problems)
    assert live.current.site == "mill"
    assert case.problems["configuration"].endswith("the last good configuration stays")
    case.nucleus.value = {"site": "mill"}
    wait(lambda: not case.problems)


def test_an_invalid_setting_stays_as_it_was_and_the_others_change(case: Case) -> None:
    case.nucleus.value = {"site": "mill"}
    live = case.start(reconcile=0.05)
    case.nucleus.value = {"site": "Not An Id", "tick": "20 ms", "colour": "red"}
    wait(lambda: live.current == Configuration(site="mill", tick=Duration("20 ms")))
    assert set(case.problems) == {"configuration.site", "configuration.colour"}
    case.nucleus.value = {"site": "mill"}
    wait(lambda: not case.problems)


def test_settings_of_a_newer_version_are_left_out_by_name_and_the_rest_goes_on(case: Case) -> None:
    case.memory.write_bytes(b'{"site": "mill", "tick": "20 ms", "novelty": "on"}')
    case.nucleus.value = {"site": "mill", "tick": "20 ms", "novelty": "on"}
    live = case.start()
    assert live.current == Configuration(site="mill", tick=Duration("20 ms"))
    assert set(case.problems) == {"configuration.novelty"}
    assert "unknown key (novelty)" in case.problems["configuration.novelty"]
    assert "reset /novelty in a deployment" in case.problems["configuration.novelty"]
    assert "novelty" not in json.loads(case.memory.read_bytes())


def test_settings_of_an_older_version_are_read_under_their_new_names(case: Case) -> None:
    case.renamed = {"pace": "tick", "borders": "limits", "colour": ""}
    case.memory.write_bytes(b'{"pace": "20 ms"}')
    case.nucleus.value = None
    assert case.start().current.tick == Duration("20 ms")
    case.nucleus.value = {"pace": "30 ms", "tick": "50 ms", "borders": {"a": {"high": 2}}, "colour": "red"}
    live = case.start()
    assert live.current == Configuration(tick=Duration("30 ms"), limits={"a": Limit(high=2.0)})
    assert not [key for key in case.problems if not key.startswith("configuration.read")]
    said = [message for message, _ in case.said if message.startswith("the setting")]
    assert said == [
        "the setting pace is now tick; reset /pace in a deployment",
        "the setting borders is now limits; reset /borders in a deployment",
        "the setting colour has no meaning any more; reset /colour in a deployment",
    ]
    case.nucleus.value = {"pace": "30 ms", "tick": "70 ms"}
    live.refresh()
    assert live.current.tick == Duration("70 ms"), "what is set under the new name counts"
    assert len(case.said) == len({str(entry) for entry in case.said})


def test_the_last_good_configuration_outlives_the_process(case: Case) -> None:
    case.nucleus.value = {"site": "mill", "limits": {"a": {"high": 2}}}
    case.start().close()
    case.nucleus.value = {"site": "Not An Id", "limits": {"a": {"high": "x"}}}
    assert case.start().current == Configuration(site="mill", limits={"a": Limit(high=2.0)})
    case.nucleus.value = None
    assert case.start().current.site == "mill"
    assert "configuration.read" in case.problems


def test_a_bad_entry_keeps_its_last_value_and_the_others_change(case: Case) -> None:
    case.nucleus.value = {"limits": {"a": {"high": 2}, "b": {}}}
    live = case.start(reconcile=0.05)
    case.nucleus.value = {"limits": {"a": {"high": "x"}, "b": {"high": 5}, "c": {"low": 1}}}
    wait(lambda: live.current.limits.get("b") == Limit(high=5.0))
    assert live.current.limits == {"a": Limit(high=2.0), "b": Limit(high=5.0)}
    assert set(case.problems) == {"configuration.limits.a.high", "configuration.limits.c.low"}
    case.nucleus.value = {"limits": {"a": {"high": "3"}}}
    wait(lambda: live.current.limits == {"a": Limit(high=3.0)})
    assert not case.problems


@pytest.mark.parametrize("connected", [True, False])
def test_a_nucleus_that_answers_late_is_heard(case: Case, connected: bool) -> None:
    case.nucleus.value = None
    case.nucleus.connected = connected
    live = case.start()
    assert live.current == Configuration()
    assert "configuration.read" in case.problems
    case.nucleus.value = {"site": "mill"}
    case.nucleus.changed(())
    wait(lambda: live.current.site == "mill")
    applied: list[Configuration] = []
    live.listen(applied.append)
    assert applied == [Configuration(site="mill")]
    assert not case.problems


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigurationError("no such site", where="site"), "no such site (site)"),
        (KeyError("vibration"), "the new configuration was not applied: KeyError: 'vibration'"),
        (RecursionError("too deep"), "the new configuration was not applied: RecursionError: too deep"),
    ],
)
def test_a_listener_that_refuses_is_a_problem(case: Case, error: Exception, line: str) -> None:
    live = case.start(reconcile=0.05)

    def refuse(configuration: Configuration) -> None:
        if configuration.site == "bad":
            raise error

    live.listen(refuse)
    case.nucleus.value = {"site": "bad"}
    wait(lambda: case.problems.get("configuration.apply") == line)
    case.nucleus.value = {"site": "good"}
    wait(lambda: not case.problems)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"site": "Not An Id"}', b"\xff\x00"])
def test_a_damaged_memory_is_a_problem_and_no_more(case: Case, content: bytes) -> None:
    case.memory.write_bytes(content)
    case.nucleus.value = None
    assert case.start().current == Configuration()
    assert "cannot be used" in case.problems["configuration.memory"]
    case.nucleus.value = {"site": "mill"}
    case.nucleus.changed(())
    wait(lambda: "configuration.memory" not in case.problems)
    assert json.loads(case.memory.read_bytes())["site"] == "mill"


def test_closing_is_quick(case: Case) -> None:
    live = case.start()
    began = time.monotonic()
    live.close()
    assert time.monotonic() - began < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "configuration"]
