"""A configuration that changes while monitors run: it is taken as at the start, or the old one stays with one line."""

from __future__ import annotations

from typing import Any

import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.serving import ModelStore
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec

MONITOR: dict[str, Any] = {"asset": "press1", "input": "press1_slow", "when": "press1_plc.running", "learn": "1 s"}


def configured(**changes: Any) -> Configuration:
    return convert({"monitors": {"process": {**MONITOR, **changes}}}, Configuration)


class Running:
    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self.engine = Engine(configured(), problem=self.lines.__setitem__)
        self.ticks = play([Machine(Spec("press1", stops=False), 3, ())], 60 * NS, began=NS)
        self.results = 0
        self.go(2)

    def go(self, seconds: float) -> int:
        """How many results came."""
        before = self.results
        for _ in range(int(seconds * 20)):
            end, items = next(self.ticks)
            self.results += len(self.engine.process(*items, now=NS + end).results)
        return self.results - before


@pytest.mark.parametrize("change", [{"channels": "nosuch"}, {"range": {"nosuch": "0..1"}}, {"models": "vibration"}])
def test_a_setting_that_does_not_fit_never_ends_the_process(change: dict[str, Any]) -> None:
    running = Running()
    running.engine.apply(configured(**change), 5 * NS)
    running.go(2)
    running.engine.apply(configured(), 9 * NS)
    assert running.go(4) > 0
    assert not running.lines.get("process")


def test_a_monitor_that_cannot_be_made_leaves_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by the new settings")

    with monkeypatch.context() as patched:
        patched.setattr("anomaly_inference.engine.Monitor", broken)
        running.engine.apply(configured(learn="2 s"), 5 * NS)
    assert running.lines["process"] == "the new configuration was not applied: ZeroDivisionError: by the new settings"
    assert running.go(2) > 0
    running.engine.apply(configured(learn="2 s"), 9 * NS)
    assert running.lines["process"] == ""


def test_a_model_that_is_not_open_is_none() -> None:
    store = ModelStore.__new__(ModelStore)
    store._active = {}
    assert store.provide("vibration") is None
