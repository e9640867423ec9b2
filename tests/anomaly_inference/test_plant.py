"""States found without `when`: a machine that runs, stands and idles keeps its budget; what is wrong in one is told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.alarms import Acknowledge, Alarm
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.machine import Machine
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Channel
from edgeloop_tools.backtest.count import merged
from edgeloop_tools.evaluate.generators import batches, line, load

BEGAN = 1_700_000_000 * NS
DAY = 86_400
SLOW = ("temperature", "current", "pressure", "speed")
Span = tuple[int, int]


class Plant:
    """A monitor with default settings over rows at a rate. alarms: all that were raised, in order."""

    def __init__(self, rate: Fraction | int, channels: Sequence[str], **monitor: Any) -> None:
        known = {"asset": "a", "input": "s", "flat_line": "0 s", "gap": "0 s"}
        self.engine = Engine(convert({"monitors": {"m": known | monitor}}, Configuration))
        self.rate, self.channels = Fraction(rate), tuple(Channel(c) for c in channels)
        self.alarms: list[Alarm] = []
        self.at = 0

    def rows(self, values: np.ndarray, length: int = 256) -> Plant:
        for i in range(0, len(values), length):
            time = BEGAN + int(self.at * NS / self.rate)
            batch = Batch("s", 1, self.at, time, self.channels, values[i : i + length], rate=self.rate)
            self.alarms += [a for a in self.engine.process(batch, now=batch.end).alarms if a.state == "raised"]
            self.at += len(batch)
        return self

    @property
    def detectors(self) -> Any:
        return self.engine._monitors["m"]._detectors

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self.detectors.regimes.names)

    @property
    def result(self) -> Any:
        return self.engine._monitors["m"].reporter.result

    def counted(self) -> list[int]:
        """Rows of alarms that cost budget."""
        return merged(a.cause.index for a in self.alarms if a.kind in ("process", "event"))

    def found(self, span: Span, grace: int = 60) -> int | None:
        """Rows until an alarm of what went wrong."""
        return next((row - span[0] for row in self.counted() if span[0] <= row < span[1] + grace), None)

    def healthy(self, spans: Sequence[Span], grace: int = 600) -> int:
        """Alarms while nothing was wrong."""
        return sum(not any(a <= row < b + grace for a, b in spans) for row in self.counted())


LONG = pytest.mark.skipif(not os.environ.get("EDGELOOP_LONG"), reason="a day of rows: EDGELOOP_LONG=1")


@pytest.mark.parametrize(
    ("seed", "n"), [(0, DAY // 4), *(pytest.param(seed, DAY, marks=[pytest.mark.long, LONG]) for seed in range(2))]
)
def test_a_machine_that_runs_stands_and_idles(seed: int, n: int) -> None:
    """At 1 Hz with default settings, budget one a day; in its last hour it runs 6 deviations too fast, which is far
    inside of what it does."""
    values, state = line(np.random.default_rng(seed), n)
    fault = n - 3600, n
    values[fault[0] :, 0] += 18 * (state[fault[0] :] == 0)
    plant = Plant(1, ("speed", "temperature"), budget="1 alarm/day").rows(values)
    assert plant.healthy([fault]) <= 3
    found = plant.found(fault)
    began = int(np.argmax(state[fault[0] :] == 0))
    assert found is not None
    assert found - began < 120
    assert len(plant.states) >= 3
    assert any(name.startswith("stopped (speed about 1") for name in plant.states)


def test_a_simulated_machine_with_a_jam_and_a_drift() -> None:
    """Forty minutes at 10 Hz: stops, products; then it turns at a third of its speed for 20 s, and warms for 5 min."""
    machine, n = Machine(Spec("press1"), 7, ()), 24_000
    values = np.concatenate([machine.slow(a, 1000) for a in range(0, n, 1000)]).astype(np.float64)
    jam = 15_000
    while not (values[jam - 20 : jam + 220, 3] > 1500).all():
        jam += 10
    values[jam : jam + 200, 3] *= 0.35
    values[jam : jam + 200, 1] *= 1.5
    drift = 20_000
    values[drift : drift + 3000, 0] += np.linspace(0, 3, 3000)
    plant = Plant(10, SLOW, budget="1 alarm/day").rows(values)
    faults = [(jam, jam + 200), (drift, drift + 3000)]
    assert plant.healthy(faults) <= 1
    found = [plant.found(fault) for fault in faults]
    assert found[0] is not None
    assert found[0] <= 100
    assert found[1] is not None
    assert len(plant.states) == 2


def test_a_computers_load() -> None:
    """Half an hour at 10 Hz, tasks of seconds to minutes."""
    plant = Plant(10, ("busy",), budget="1 alarm/day", learn="10 min").rows(load(np.random.default_rng(1), 18_000))
    assert plant.healthy([]) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_machine_that_stays_in_a_step(seed: int) -> None:
    values = batches(np.random.default_rng(3), 6 * 1440)
    stuck = 5 * 1440 + 60 * (seed + 1)
    stuck += -stuck % 240 + 60
    values[stuck : stuck + 600] = 50 + np.random.default_rng(seed).normal(size=(600, 1))
    plant = Plant(Fraction(1, 60), ("pressure",), learn="4 d", budget="1 alarm/week").rows(values)
    assert plant.healthy([(stuck, stuck + 600)]) <= 1
    assert plant.found((stuck, stuck + 600)) is not None
    assert any("for longer than ever" in a.text for a in plant.alarms)


def product(n: int, seed: int) -> np.ndarray:
    """Runs, and stands between; from the middle on with another product, further off, each time for 100 rows."""
    rng = np.random.default_rng(seed)
    at = np.arange(n) // 100
    level = np.where(at % 2 == 0, 60.0, 1.0)
    level[(np.arange(n) > n // 2) & (at % 4 == 2)] = 120.0
    return np.asarray(rng.normal(level, np.where(level > 9, 2.0, 0.2))[:, None])


def test_what_comes_back_is_a_state() -> None:
    plant = Plant(1, ("speed",), learn="2000 s", budget="1 alarm/day").rows(product(12_000, 1))
    rows = [row for row in plant.counted() if row > 6000]
    assert 1 <= len(rows) <= 3, "what was never seen is told"
    assert max(rows) < 6000 + 4 * 400, "and is a state from its third time on"
    assert plant.states == ("speed about 60", "stopped (speed about 1)", "speed about 120")


def test_what_an_operator_confirmed_is_no_state() -> None:
    plant = Plant(1, ("speed",), learn="2000 s", budget="1 alarm/h")
    values = product(12_000, 1)
    plant.rows(values[:6290])
    (alarm,) = [a for a in plant.engine.book.open if a.kind == "process"]
    plant.engine.command(Acknowledge(id=alarm.id, reason="true"), alarm.time)
    plant.rows(values[6290:])
    assert len(plant.states) == 2
    assert max(plant.counted()) > 9000


def test_one_count_of_states_whatever_the_batch() -> None:
    def counted(length: int) -> tuple[list[tuple[str, int, str]], bytes]:
        plant = Plant(1, ("speed",), learn="1000 s", budget="1 alarm/h").rows(product(4000, 2), length)
        state = plant.detectors.regimes.state()
        return [(a.kind, a.cause.index, a.text) for a in plant.alarms], b"".join(v.tobytes() for v in state.values())

    one = counted(1)
    assert one == counted(7) == counted(256)
    assert any(kind == "notice" and "held as one: speed" in text for kind, _, text in one[0])


def test_states_survive_a_restart() -> None:
    values = product(6000, 3)
    whole = Plant(1, ("speed",), learn="1000 s", budget="1 alarm/h").rows(values)
    first = Plant(1, ("speed",), learn="1000 s", budget="1 alarm/h").rows(values[:640]).rows(values[640:4010])
    second = Plant(1, ("speed",), learn="1000 s", budget="1 alarm/h")
    second.engine.restore(first.engine.state())
    second.at = first.at
    second.rows(values[4010:])
    assert [a.cause.index for a in whole.alarms if a.cause.index >= 4010] == [a.cause.index for a in second.alarms]
    assert second.states == whole.states


def test_it_learns_until_it_knows_enough() -> None:
    rng = np.random.default_rng(6)
    plant = Plant(10, ("speed",)).rows(rng.normal(5, 1, (560, 1)))
    assert plant.result.state == "learning"
    assert 0.5 < plant.result.learned < 1
    plant.rows(rng.normal(5, 1, (200, 1)))
    assert (plant.result.state, plant.result.learned, plant.result.missing) == ("live", 1.0, "")


def test_it_says_what_it_has_not_seen() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(60, 2, (1200, 1))
    values[400:500] = rng.normal(1, 0.2, (100, 1))
    plant = Plant(10, ("speed",)).rows(values)
    assert plant.result.state == "learning"
    assert "another visit of stopped (speed about " in plant.result.missing
    assert plant.result.learned == 0.5


def test_rows_of_a_minute_are_learned_for_a_day() -> None:
    plant = Plant(Fraction(1, 60), ("level",)).rows(np.random.default_rng(6).normal(5, 1, (1400, 1)))
    assert plant.result.state == "learning"
    plant.rows(np.random.default_rng(7).normal(5, 1, (100, 1)))
    assert plant.result.state == "live"
