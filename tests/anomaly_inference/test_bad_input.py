"""Whatever comes in: a defined and visible outcome, finite scores, and it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.reporter import RowScores
from edgeloop.alarms import Alarm
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
CHANNELS = (Channel("a"), Channel("b"))


class Line:
    """A stream of one row a second (or `rate`), watched; what was said of it."""

    def __init__(self, rate: int = 1, **options: Any) -> None:
        self.rate, self.at, self.rng = rate, 0, np.random.default_rng(4)
        self.alarms: list[Alarm] = []
        self.lines: list[str] = []
        self.states: list[str] = []
        self.rows = 0
        monitor = {"asset": "a", "input": "s", "learn": "100 s", "gap": "5 s", "flat_line": "10 s"} | options
        config = convert({"monitors": {"m": monitor}}, Configuration)
        self.engine = Engine(config, problem=lambda monitor, line: self.lines.append(line), tap=self._scored)

    def _scored(self, monitor: str, batch: Batch, scores: RowScores) -> None:
        assert np.isfinite(scores.condition).all()
        assert np.isfinite(scores.event).all()
        self.rows += len(scores.event)

    def batch(self, values: np.ndarray, channels: tuple[Channel, ...] = CHANNELS) -> Batch:
        time = BEGAN + self.at * NS // self.rate
        return Batch("s", 1, self.at, time, channels, values, rate=Fraction(self.rate))

    def send(self, batch: Batch, now: int | None = None) -> None:
        outcome = self.engine.process(batch, now=batch.end if now is None else now)
        self.alarms += outcome.alarms
        self.states += [r.state for r in outcome.results]
        self.at = max(self.at, batch.index + len(batch))

    def healthy(self, rows: int, together: int = 10) -> None:
        for _ in range(rows // together):
            self.send(self.batch(self.rng.normal(5, 1, (together, 2))))

    @property
    def raised(self) -> list[str]:
        return [a.kind for a in self.alarms if a.state == "raised"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("rate", [1, 1000])
def test_what_is_no_number_is_the_sensor(value: float, rate: int) -> None:
    line = Line(rate, learn="100 s" if rate == 1 else "4 s", range={"a": "-1000..1000"})
    line.healthy(150 * rate if rate == 1 else 6000, 10 * rate)
    bad = line.rng.normal(5, 1, (20 if rate == 1 else 2000, 2))
    bad[:, 0] = value
    line.send(line.batch(bad))
    line.send(line.batch(bad))
    assert "range" in line.raised
    line.healthy(50 * rate, 10 * rate)
    assert line.alarms[-1].state == "cleared"
    assert not line.engine.book.open
    assert line.states[-1] == "live"


def test_a_channel_that_rests_is_a_flat_line_and_no_condition() -> None:
    line = Line()
    line.healthy(200)
    for _ in range(8):
        values = line.rng.normal(5, 1, (5, 2))
        values[:, 1] = 4.75
        line.send(line.batch(values))
    assert line.raised == ["flat_line"]
    assert "channel b" in line.alarms[0].text


def test_a_channel_that_always_rested_is_none() -> None:
    line = Line()
    for _ in range(40):
        values = line.rng.normal(5, 1, (10, 2))
        values[:, 1] = 3.0
        line.send(line.batch(values))
    assert line.raised == []
    assert line.states[-1] == "live"


def test_a_channel_that_is_gone_is_missing_and_the_rest_goes_on() -> None:
    line = Line()
    line.healthy(200)
    for _ in range(3):
        line.send(line.batch(line.rng.normal(5, 1, (10, 1)), (Channel("a"),)))
    assert line.lines[-1] == "s has no channel b any more"
    assert line.states[-1] == "live"
    assert "range" in line.raised
    line.healthy(30)
    assert line.lines[-1] == ""
    assert not line.engine.book.open


def test_a_further_channel_is_learned_with_the_others() -> None:
    line = Line()
    line.healthy(200)
    for _ in range(3):
        line.send(line.batch(line.rng.normal(5, 1, (10, 3)), (*CHANNELS, Channel("c"))))
    assert line.lines[-1] == "s has channels a, b, c now: learning again"
    assert line.states[-1] == "learning"
    chosen = Line(channels="a b")
    chosen.healthy(200)
    chosen.send(chosen.batch(chosen.rng.normal(5, 1, (10, 3)), (*CHANNELS, Channel("c"))))
    assert (chosen.lines, chosen.states[-1]) == ([], "live")


def test_another_rate_is_another_stream() -> None:
    line = Line()
    line.healthy(200)
    batch = line.batch(line.rng.normal(5, 1, (10, 2)))
    line.send(replace(batch, rate=Fraction(2)))
    assert line.lines[-1] == "s has changed from 1 to 2 Hz: learning again"
    assert line.states[-1] == "learning"


@pytest.mark.parametrize("overlap", [10, 4])
def test_samples_that_come_again_are_left_out_and_said(overlap: int) -> None:
    line = Line()
    line.healthy(200)
    scored = line.rows
    batch = line.batch(line.rng.normal(50, 1, (10, 2)))
    back = replace(batch, index=batch.index - overlap, time=batch.time - overlap * NS)
    line.send(back, now=batch.end)
    assert line.rows == scored + 10 - overlap
    assert line.lines[-1] == f"{overlap} samples of s came again or late: left out"
    line.healthy(80)
    assert line.lines[-1] == ""


@pytest.mark.parametrize("step", [-30, 30])
def test_a_clock_that_jumps_is_told_and_scores_go_on(step: int) -> None:
    line = Line()
    line.healthy(200)
    for i in range(6):
        batch = line.batch(line.rng.normal(5, 1, (5, 2)))
        line.send(replace(batch, time=batch.time + step * NS, discontinuity=i == 0), now=batch.end)
    assert line.raised == ["clock"]
    assert line.states[-1] == "live"
    assert line.rows == 230


def _silent(line: Line) -> None:
    for second in range(1, 30):
        line.alarms += line.engine.tick(BEGAN + (line.at + second) * NS).alarms


def _lost(line: Line) -> None:
    line.at += 100
    line.send(line.batch(line.rng.normal(5, 1, (10, 2))))


@pytest.mark.parametrize("what", [_silent, _lost])
def test_a_stream_that_stops_is_a_gap(what: Callable[[Line], None]) -> None:
    line = Line()
    line.healthy(200)
    what(line)
    assert line.raised == ["gap"]
    line.at += 20
    line.healthy(40)
    assert line.raised[:1] == ["gap"]
    assert not line.engine.book.open
    assert line.states[-1] == "live"


def test_a_point_that_should_not_be_is_an_event_that_ends_by_itself() -> None:
    line = Line(budget="1 alarm/h", detect="events")
    line.healthy(1500)
    line.alarms.clear()
    values = line.rng.normal(5, 1, (10, 2))
    values[4, 1] = 60.0
    line.send(line.batch(values))
    assert line.raised == ["event"]
    assert line.alarms[0].text == "b unusual for a moment: 60"
    assert line.alarms[0].sample_index == 1504
    line.healthy(20)
    assert [a.state for a in line.alarms] == ["raised", "cleared"]


@pytest.mark.parametrize("detect", ["events", "conditions", "levels", "states"])
def test_only_what_is_asked_for_is_looked_for(detect: str) -> None:
    line = Line(detect=detect, budget="1 alarm/h" if detect == "events" else "1 alarm/week")
    line.healthy(1500)
    for i in range(30):
        values = line.rng.normal(5, 1, (2, 2)) + 30
        if i == 0:
            line.alarms.clear()
        line.send(line.batch(values))
    assert set(line.raised) == {"event" if detect == "events" else "process"}
