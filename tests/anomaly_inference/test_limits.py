"""Limits in a line without any monitor: alarms like any other."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from anomaly_inference.configuration import Configuration, orphans
from anomaly_inference.engine import Engine
from edgeloop.alarms import Acknowledge
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
LIMITS: dict[str, Any] = {
    "limits": {"temp": {"high": 70, "high_high": 80, "asset": "press1"}, "over": {"if": "temp > 75 and load > 3"}},
    "rules": {"stop": {"monitor": "temp", "source": "plc", "target": "stop", "kinds": "high_high"},
              "tell": {"monitor": "over", "source": "plc", "target": "lamp"}},
}  # fmt: skip


def rows(index: int, *values: tuple[float, float]) -> Batch:
    at = BEGAN + index * NS // 10
    channels = Channel("temp", "Cel"), Channel("load")
    return Batch("press1_slow", 9, index, at, channels, np.array(values), rate=Fraction(10))


def test_raised_acted_upon_acknowledged_and_cleared() -> None:
    engine = Engine(convert(LIMITS, Configuration))
    assert engine.process(rows(0, (20, 1), (30, 1)), now=BEGAN).alarms == []
    outcome = engine.process(rows(2, (71, 1), (85, 4), (85, 4)), now=BEGAN + NS)
    raised = {(a.monitor, a.kind): a for a in outcome.alarms}
    assert set(raised) == {("temp", "high"), ("temp", "high_high"), ("over", "limit")}
    first = raised["temp", "high"]
    assert (first.asset, first.text, first.sample_index) == ("press1", "temp is 71 °C, above 70 °C", 2)
    assert raised["temp", "high_high"].severity == "high"
    assert sum(a.first_out for a in outcome.alarms if a.asset == "press1") == 1
    acts = {action.target: msgspec.to_builtins(action.cause) for action in outcome.actions}
    assert set(acts) == {"stop", "lamp"}
    assert [acts["stop"][key] for key in ("channel", "asset", "state")] == ["press1_slow", "press1", "raised"]
    engine.command(Acknowledge(id=first.id, by="ann", reason="true"), BEGAN + NS)
    assert engine.process(rows(5, (85, 4)), now=BEGAN + NS).alarms == []
    over = engine.process(rows(6, (20, 4)), now=BEGAN + 2 * NS).alarms
    assert {a.state for a in over} == {"cleared"}
    assert len(over) == 3
    assert engine.book.open == ()


def test_a_limit_that_is_gone_takes_its_alarm_along() -> None:
    engine = Engine(convert(LIMITS, Configuration))
    engine.process(rows(0, (71, 1)), now=BEGAN)
    assert [a.state for a in engine.apply(Configuration(), BEGAN + NS).alarms] == ["cleared"]


def test_a_rule_of_a_limit_is_no_orphan() -> None:
    assert orphans(convert(LIMITS, Configuration)) == []
    assert len(orphans(convert({"rules": LIMITS["rules"]}, Configuration))) == 2


def test_a_limit_does_not_wait_for_a_monitor() -> None:
    told: dict[str, str] = {}
    engine = Engine(convert(LIMITS, Configuration), problem=lambda name, line: told.update({name: line}))
    other = Batch("b", 9, 0, BEGAN, (Channel("load"),), np.array([[1.0]]), rate=Fraction(10))
    engine.process(rows(0, (71, 1)), other, now=BEGAN)
    assert told == {"limits.over": "load is a channel of b, press1_slow: say which, such as press1_slow.load"}
