"""Alarms against their budget: one count whatever the batch, refunds, and conditions that end in a notice."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.reporter import RowScores
from edgeloop.alarms import Acknowledge, Alarm, Reason
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
STEP = 60


class Watch:
    """A monitor over rows of a minute."""

    def __init__(self, **monitor: Any) -> None:
        known = {"asset": "a", "input": "s", "learn": "5 h", "settle": "0 s", "gap": "0 s", "flat_line": "0 s"}
        config = convert({"monitors": {"m": known | monitor}}, Configuration)
        self.scores: list[RowScores] = []
        self.engine = Engine(config, tap=lambda monitor, batch, scores: self.scores.append(scores))
        self.alarms: list[Alarm] = []
        self.at = 0

    def rows(self, values: np.ndarray, length: int = 16) -> None:
        for i in range(0, len(values), length):
            part = values[i : i + length]
            time = BEGAN + self.at * STEP * NS
            channels = tuple(Channel(f"c{n}") for n in range(values.shape[1]))
            batch = Batch("s", 1, self.at, time, channels, part, rate=Fraction(1, STEP))
            self.alarms += self.engine.process(batch, now=batch.end).alarms
            self.at += len(part)

    def said(self, *kinds: str) -> list[tuple[str, str]]:
        return [(a.kind, a.state) for a in self.alarms if a.kind in kinds]

    def column(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(s, name) for s in self.scores])

    def answer(self, kind: str, reason: Reason) -> None:
        alarm = next(a for a in self.engine.book.open if a.kind == kind)
        command = Acknowledge(id=alarm.id, reason=reason)
        now = BEGAN + self.at * STEP * NS
        self.alarms += self.engine.command(command, now).alarms
        self.alarms += self.engine.tick(now).alarms


def eventful() -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.normal(5, 1, (6000, 2))
    for at in (3000, 3010, 3100, 3700, 4500):
        values[at, 0] += 40 + at / 10
    values[5000:5100, 1] += 9
    return values


def test_one_count_whatever_the_batch() -> None:
    def counted(length: int) -> tuple[Any, ...]:
        watch = Watch(budget="1 alarm/day")
        watch.rows(eventful(), length)
        raised = [(a.kind, a.cause.index) for a in watch.alarms if a.state == "raised"]
        monitor = watch.engine._monitors["m"]
        assert monitor._detectors is not None
        return raised, monitor._detectors.ledger.alarms, watch.column("alert").tobytes()

    one = counted(1)
    assert len(one[0]) >= 4
    assert one == counted(7) == counted(256)


def test_a_confirmed_alarm_costs_nothing() -> None:
    watch = Watch()
    rng = np.random.default_rng(4)
    values = rng.normal(5, 1, (800, 1))
    values[700:] += 12
    watch.rows(values)
    monitor = watch.engine._monitors["m"]
    assert monitor._detectors is not None
    before = monitor._detectors.ledger.overdraft
    assert before > 0.9
    watch.answer("process", "true")
    assert monitor._detectors.ledger.overdraft == pytest.approx(max(0.0, before - 1.0))


def lasting(**monitor: Any) -> Watch:
    """A level that moves at row 700 and stays: an alarm, then a notice."""
    watch = Watch(adapt="2 h", **monitor)
    watch.rows(np.random.default_rng(5).normal(5, 1, (700, 2)))
    watch.rows(np.random.default_rng(6).normal([17, 5], 1, (400, 2)))
    assert watch.said("process", "notice") == [("process", "raised"), ("notice", "raised"), ("process", "cleared")] or (
        watch.said("process", "notice") == [("process", "raised"), ("process", "cleared"), ("notice", "raised")]
    )
    return watch


def test_what_lasts_is_offered_as_a_new_normal() -> None:
    watch = lasting()
    (notice,) = [a for a in watch.alarms if a.kind == "notice"]
    assert notice.severity == "low"
    assert notice.text.startswith("since 2023-11-15 ")
    assert "c0 higher" in notice.text
    assert watch.column("notice")[-100:].all()
    assert not watch.column("abnormal")[-100:].any()
    abnormal = np.flatnonzero(watch.column("abnormal"))
    assert 120 <= abnormal[-1] - abnormal[0] <= 300
    watch.rows(np.random.default_rng(7).normal([17, 17], 1, (100, 2)))
    assert watch.said("process")[2:] == [("process", "raised")], "within it, others are still found"


def test_back_to_what_was_normal_is_no_alarm() -> None:
    watch = lasting()
    watch.rows(np.random.default_rng(7).normal(5, 1, (300, 2)))
    assert watch.said("process", "notice")[3:] == [("notice", "cleared")]


@pytest.mark.parametrize("reason", ["process_change", "false", "maintenance"])
def test_an_answer_closes_it(reason: Reason) -> None:
    watch = lasting()
    watch.answer("notice", reason)
    watch.rows(np.random.default_rng(8).normal([17, 5], 1, (200, 2)))
    assert watch.said("process", "notice")[3:] == [("notice", "acknowledged"), ("notice", "cleared")]
    assert not watch.column("notice")[-100:].any()


def test_no_normal_at_all_says_the_operator() -> None:
    watch = lasting()
    watch.answer("notice", "true")
    assert watch.said("process", "notice")[3:] == [
        ("notice", "acknowledged"), ("notice", "cleared"), ("process", "raised")]  # fmt: skip
    watch.rows(np.random.default_rng(8).normal([17, 5], 1, (200, 2)))
    assert watch.engine.book.find("m", "process") is not None
    watch.rows(np.random.default_rng(7).normal(5, 1, (300, 2)))
    assert watch.engine.book.find("m", "process") is None


def test_zero_never_adapts() -> None:
    watch = Watch(adapt="0 s")
    watch.rows(np.random.default_rng(5).normal(5, 1, (700, 1)))
    watch.rows(np.random.default_rng(6).normal(17, 1, (4000, 1)))
    assert watch.said("process", "notice") == [("process", "raised")]
