"""Limits that people set: from the first row, at any rate, never by accident."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.limits import Expression, Judgement, Limit, Limits
from edgeloop.limits.window import Window
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch

BEGAN = 1_700_000_000 * NS


def batch(
    values: Any, *, rate: float = 10, at: float = 0, index: int = 0, stream: str = "plc", names: str = "temp"
) -> Batch:
    samples = np.asarray(values, dtype=np.float64).reshape(-1, len(names.split()))
    channels = tuple(Channel(name, "Cel" if name == "temp" else "1") for name in names.split())
    return Batch(stream, 7, index, BEGAN + round(at * NS), channels, samples, rate=Fraction(rate).limit_denominator())


def limits(**entries: Any) -> Limits:
    return Limits({id: convert(entry, Limit) for id, entry in entries.items()})


def fed(judge: Limits, values: Any, size: int = 1, rate: float = 10, **options: Any) -> list[Judgement]:
    """One channel, in batches of a size."""
    rows = np.asarray(values, dtype=np.float64)
    found = []
    for start in range(0, len(rows), size):
        found += judge.take(batch(rows[start : start + size], rate=rate, at=start / rate, index=start, **options))
    return found


def shown(found: list[Judgement]) -> list[tuple[str, bool, int]]:
    return [(j.kind, j.active, j.index) for j in found]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_thresholds_row_by_row(size: int) -> None:
    judge = limits(temp={"high": 70, "high_high": 80, "low": 5, "deadband": 1})
    found = fed(judge, [20, 71, 69.5, 70.5, 85, 79.5, 78, 60, 4, 5.5, 6], size)
    raised = [("high", True, 1), ("high_high", True, 4), ("high_high", False, 6), ("high", False, 7), ("low", True, 8)]
    first = [("high_high", False, 0), ("high", False, 0), ("low", False, 0)]
    assert sorted(shown(found), key=lambda each: each[2]) == [*first, *raised, ("low", False, 10)]
    told = next(j for j in found if j.kind == "high_high" and j.active)
    assert (told.severity, told.text, told.value, told.asset) == ("high", "temp is 85 °C, above 80 °C", 85, "plc")


@pytest.mark.parametrize("size", [1, 4, 100])
def test_delays_hold_and_missing_values_say_nothing(size: int) -> None:
    judge = limits(temp={"high": 70, "for": "300 ms", "off": "200 ms"})
    nan = np.nan
    found = fed(judge, [20, 71, 71, 20, 71, nan, 71, 71, 71, nan, 20, 71, 20, 20, 20, 20], size)
    assert [(active, index) for _, active, index in shown(found)] == [(False, 0), (True, 7), (False, 14)]


def test_a_restart_clears_what_is_over_and_raises_what_is_not() -> None:
    assert shown(fed(limits(temp={"high": 70}), [20])) == [("high", False, 0)]
    assert shown(fed(limits(temp={"high": 70}), [71])) == [("high", True, 0)]


@pytest.mark.parametrize("rate", [0.1, 1, 50, 1000, 25_600])
@pytest.mark.parametrize("kind", ["step", "ramp", "sine"])
def test_levels_are_found_in_all_of_33_and_none_in_health(rate: float, kind: str) -> None:
    random = np.random.default_rng(5)
    n = 40 if rate > 1000 else 60
    for trial in range(33):
        judge = limits(temp={"high": 6}, mean={"channel": "temp", "high": 3.5, "of": f"mean {4 / rate:.6f} s"})
        healthy = np.clip(random.normal(size=n), -4, 4)
        assert not any(j.active for j in fed(judge, healthy, 7, rate)), trial
        shape = {"step": np.ones(n), "ramp": np.linspace(0, 1.5, n), "sine": np.sin(np.linspace(0, 3, n)) * 1.3}[kind]
        level = random.normal(size=n) + 8 * shape
        found = [j for j in fed_on(judge, level, n, rate) if j.active]
        assert {"temp", "mean"} == {j.limit for j in found}, trial
        first = next(j for j in found if j.limit == "temp")
        assert first.index == n + int(np.flatnonzero(level > 6)[0])


def fed_on(judge: Limits, values: Any, start: int, rate: float) -> list[Judgement]:
    return judge.take(batch(values, rate=rate, at=start / rate, index=start))


def test_a_condition_over_channels_of_two_streams() -> None:
    judge = limits(overload={"if": "current > 40 and press1.speed < 100", "for": "500 ms", "asset": "press1"})
    assert judge.take(batch([50] * 20, names="current", stream="drive")) == []
    assert [j.active for j in judge.take(batch([150], names="speed", stream="press1", at=2))] == [False]
    assert judge.take(batch([50] * 10, names="current", stream="drive", at=2, index=20)) == []
    assert judge.take(batch([90], names="speed", stream="press1", at=3, index=1)) == []
    (found,) = judge.take(batch([50] * 10, names="current", stream="drive", at=3, index=30))
    assert (found.active, found.asset, found.index, found.epoch) == (True, "press1", 35, 0)
    assert found.text == "current > 40 and press1.speed < 100 for 500 ms"
    (over,) = judge.take(batch([30], names="current", stream="drive", at=4, index=40))
    assert not over.active


def test_what_is_too_old_is_not_known() -> None:
    judge = limits(a={"if": "x > 1 and y > 1", "tolerance": "1 s"})
    judge.take(batch([2], names="y", stream="b"))
    assert [j.active for j in judge.take(batch([2], names="x", stream="a"))] == [True]
    assert judge.take(batch([2, 0], names="x", stream="a", at=5, index=1))[0].active is False
    assert judge.take(batch([2], names="x", stream="a", at=6, index=3)) == []


def test_records_flags_and_words() -> None:
    judge = limits(a={"if": "state = 'fault' or not guard"})

    def records(at: int, states: list[int], guards: list[int]) -> RecordBatch:
        times = BEGAN + np.arange(at, at + len(states)) * NS
        columns = {
            "state": Column("enum", np.array(states, dtype=np.int32), ("run", "fault")),
            "guard": Column("bool", np.array(guards, dtype=np.uint8)),
        }
        return RecordBatch("plc", 7, at, times, columns)

    assert [(j.active, j.index) for j in judge.take(records(0, [0, 1, 0, 0], [1, 1, 1, 0]))] == [
        (False, 0), (True, 1), (False, 2), (True, 3),
    ]  # fmt: skip


def test_when_it_does_not_run_it_is_not_judged() -> None:
    judge = limits(temp={"low": 5, "when": "speed > 0"})
    found = judge.take(batch([[1, 0], [1, 10], [1, 0]], names="temp speed"))
    assert [(j.active, j.index) for j in found] == [(False, 0), (True, 1), (False, 2)]


def test_a_name_of_two_streams_is_told() -> None:
    judge = limits(temp={"high": 70})
    judge.take(batch([1], stream="a"))
    assert judge.take(batch([99], stream="b")) == []
    assert judge.problems == {"temp": "temp is a channel of a, b: say which, such as a.temp"}


FUNCTIONS = {"mean": np.mean, "min": np.min, "max": np.max, "sum": np.sum, "count": len,
             "rms": lambda x: np.sqrt(np.mean(np.square(x)))}  # fmt: skip


@given(
    st.sampled_from(sorted(FUNCTIONS)), st.integers(1, 12), st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=60), st.integers(0, 3),
)  # fmt: skip
def test_windows_are_what_they_say(
    function: str, length: int, sizes: list[int], values: list[float], jitter: int
) -> None:
    times = np.cumsum([1 + (i * 7 % (jitter + 1)) for i in range(len(values))]).astype(np.int64)
    window = Window(function, length)
    found: list[float] = []
    start = 0
    while start < len(values):
        end = start + sizes[len(found) % len(sizes)]
        found += window.add(times[start:end], np.array(values[start:end])).tolist()
        start = end
    for row, value in enumerate(found):
        if times[row] - times[0] < length:
            assert np.isnan(value)
            continue
        inside = np.array([v for t, v in zip(times, values, strict=True) if times[row] - length < t <= times[row]])
        known = inside[~np.isnan(inside)]
        if len(known):
            assert value == pytest.approx(float(FUNCTIONS[function](known)), rel=1e-6, abs=1e-3)
        else:
            assert np.isnan(value) or (function in ("count", "sum") and value == 0)


def test_rate_is_a_slope() -> None:
    assert Window("rate", 2 * NS).add(np.arange(5) * NS, np.arange(5) * 3.0)[-1] == 3.0


@pytest.mark.parametrize(
    "entry",
    [{}, {"high": 1, "if": "x > 1"}, {"high": 1, "low": 2}, {"if": "x >"}, {"if": "1 > 2"}, {"if": "x > 1 y"},
     {"high": 1, "of": "median 1 s"}, {"high": 1, "of": "mean"}, {"if": "(" * 50 + "x" + ")" * 50}, {"if": "mean(x)"},
     {"if": "x; y"}, {"if": "x > 1", "deadband": 1}, {"high": 1, "when": "and"}, {"if": "x" * 500}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        convert(entry, Limit)


@given(st.text(alphabet="abx.><=!()+-*/ 019,'`andortmeins", max_size=40))
def test_no_text_is_more_than_a_condition_or_one_line(text: str) -> None:
    try:
        expression = Expression(text)
    except ValueError:
        return
    yes, no = expression.judge({operand: np.array([1.0, np.nan]) for operand in expression.operands})
    assert not np.any(np.asarray(yes) & np.asarray(no))


def test_it_costs_less_than_a_microsecond_a_row() -> None:
    judge = limits(temp={"high": 70, "high_high": 80, "low": -70}, over={"if": "temp > 50 and mean(temp, 1 s) > 40"})
    rows = np.random.default_rng(1).normal(size=100_000)
    batches = [batch(rows[k : k + 50], rate=1000, at=k / 1000, index=k) for k in range(0, len(rows), 50)]
    used = time.process_time()
    for each in batches:
        judge.take(each)
    used = time.process_time() - used
    assert used / len(rows) < 20e-6, "a loose bound: the benches measure"
