from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.join import AsOf, Condition, Latest
from edgeloop.join.asof import column
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True).map(sorted),
    st.lists(st.integers(-10, 220), min_size=1, max_size=20),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_as_of_is_the_last_at_or_before(times: list[int], asked: list[int], tolerance: int, cut: int) -> None:
    past = AsOf(1)
    stamps = np.array(times, dtype=np.int64)
    for i in range(0, len(times), cut):
        past.add(stamps[i : i + cut], stamps[i : i + cut, None].astype(float))
    for t, got in zip(asked, past.at(np.array(asked), tolerance).ravel(), strict=True):
        before = [s for s in times if s <= t]
        wanted = before[-1] if before and t - before[-1] <= tolerance else np.nan
        assert got == wanted or (np.isnan(got) and np.isnan(wanted))


def test_a_clock_that_steps_back_forgets_what_it_contradicts() -> None:
    past = AsOf(1)
    past.add(np.array([10, 20, 30]), np.array([[1.0], [2.0], [3.0]]))
    past.add(np.array([15]), np.array([[9.0]]))
    assert past.at(np.array([14, 40]), 100).ravel().tolist() == [1.0, 9.0]


def test_as_of_is_bounded() -> None:
    past = AsOf(1, keep=10)
    for t in range(100):
        past.add(np.array([t]), np.array([[float(t)]]))
    assert np.isnan(past.at(np.array([89]), 1000))
    assert past.at(np.array([90]), 0) == 90.0


def test_latest_keeps_changes() -> None:
    latest = Latest()
    for t, value in ((0, False), (10, True), (20, True), (30, False)):
        latest.add(t, value)
    assert [latest.at(t) for t in (-1, 5, 25, 31)] == [None, False, True, False]
    assert latest.since(25) == 10
    assert latest.at(100, tolerance=60) is None
    latest.add(15, "x")
    assert latest.at(99) == "x"


def test_columns_of_both_kinds_of_item() -> None:
    records = RecordBatch(
        "plc", 1, 0, np.array([5, 6]),
        {
            "running": Column("bool", np.array([0, 1], np.uint8)),
            "product": Column("enum", np.array([1, 9], np.int32), labels=("a", "b")),
            "note": Column("string", ("x", "y")),
            "tool": Column("int", np.array([3, 4])),
        },
    )  # fmt: skip
    assert column(records, "running") == [(5, False), (6, True)]
    assert column(records, "product") == [(5, "b"), (6, 9)]
    assert column(records, "note") == [(5, "x"), (6, "y")]
    assert column(records, "tool") == [(5, 3), (6, 4)]
    assert column(records, "speed") is None
    batch = Batch(
        "s", 1, 0, 100, (Channel("speed", scale=0.5),), np.array([[10], [20]], np.int16), times=np.array([100, 200])
    )
    assert column(batch, "speed") == [(100, 5.0), (200, 10.0)]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("plc.running", True, True), ("plc.running", False, False), ("!plc.running", False, True),
        ("plc.running", None, False), ("plc.product = bracket", "bracket", True),
        ("plc.product != bracket", "cover", True), ("plc.on = true", True, True),
        ("s.speed > 100", 99.0, False), ("s.speed >= 100", 100, True), ("s.speed < 1e3", float("nan"), False),
        ("s.speed = fast", 7.0, False),
    ],
)  # fmt: skip
def test_conditions(text: str, value: bool | float | str | None, holds: bool) -> None:
    assert Condition.parse(text).holds(value) is holds


@pytest.mark.parametrize(
    "text", ["", "running", "plc.", "Plc.running", "!plc.running = 1", "s.speed > fast", "a.b.c d"]
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Condition.parse(text)


VALUES = st.sampled_from([["a", "b"], [1.5, 2.0, float("nan")], [True, False]])


@given(VALUES.flatmap(lambda of: st.lists(st.tuples(st.integers(0, 60), st.sampled_from(of)), max_size=40)),
       st.integers(1, 9))  # fmt: skip
def test_values_that_come_together_are_kept_as_one_by_one(rows: list[tuple[int, str | float]], cut: int) -> None:
    one, other = Latest(keep=8), Latest(keep=8)
    for time, value in rows:
        one.add(time, value)
    for at in range(0, len(rows), cut):
        times, values = zip(*rows[at : at + cut], strict=True)
        other.extend(np.array(times), list(values))
    assert (repr(one.state()), one.newest) == (repr(other.state()), other.newest)
