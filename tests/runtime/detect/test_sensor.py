from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.detect.sensor import Continuity, FlatLine, Range, outside

TICK = 50_000_000
RNG = np.random.default_rng(1)


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1, max_size=60), st.integers(1, 7))
def test_runs_do_not_depend_on_how_rows_are_cut(rows: list[list[int]], cut: int) -> None:
    data = np.array(rows)
    whole, parts = FlatLine(2, 4, 10), FlatLine(2, 4, 10)
    for row in data:
        whole.update(row[None])
    for i in range(0, len(data), cut):
        parts.update(data[i : i + cut])
    if whole._seen[0] >= 10 and cut == 1:
        assert (whole.stuck == parts.stuck).all()
    assert (whole._run == parts._run).all()


def test_a_stuck_channel_is_found_and_the_others_are_not() -> None:
    flat = FlatLine(3, limit=20, learn=50)
    flat.update(RNG.normal(size=(60, 3)))
    data = RNG.normal(size=(25, 3))
    data[:, 1] = 4.5
    assert list(flat.update(data)) == [False, True, False]
    assert list(flat.rows(data)[-1]) == [False, True, False]
    assert not flat.update(RNG.normal(size=(2, 3))).any()


def test_what_was_always_constant_or_coarse_is_no_flat_line() -> None:
    flat = FlatLine(2, limit=10, learn=200)
    coarse = np.repeat(np.arange(40), 8)
    flat.update(np.stack([np.zeros(320), coarse], axis=1))
    assert not flat.update(np.stack([np.zeros(20), np.full(20, 99)], axis=1)).any()
    assert list(flat.update(np.stack([np.zeros(20), np.full(20, 99)], axis=1))) == [False, True]


def moving(n: int) -> np.ndarray:
    return RNG.normal(5, 1, (n, 2))


def test_a_machine_at_rest_is_no_flat_line_unless_its_sensor_was_seen_to_move_there() -> None:
    flat = FlatLine(2, limit=10, learn=50)
    flat.update(moving(60))
    rest = moving(60)
    rest[:, 0] = 0.0
    assert not flat.update(rest, standing=True, settled=False).any()
    assert flat.undecided
    rest[:, 1] = 5.0
    assert list(flat.update(rest, standing=True, settled=False)) == [False, True]
    assert list(flat.update(rest[:5], settled=False)) == [False, True], "stuck until it moves"
    assert list(flat.update(rest[:10], settled=False)) == [False, True], "0.0 is where the machine rests"
    assert list(flat.update(rest[:1])) == [True, True]
    assert not flat.update(moving(2)).any()


def test_what_froze_in_a_stop_is_found_when_the_machine_runs_again() -> None:
    flat = FlatLine(2, limit=10, learn=50)
    flat.update(moving(60))
    frozen = moving(1).repeat(30, axis=0)
    frozen[:, 1] = moving(30)[:, 1]
    frozen[:, 0] = 5.0
    assert not flat.update(frozen, standing=True, settled=False).any()
    assert not flat.update(frozen[:9], settled=False).any()
    frozen[9:, 1] = moving(21)[:, 1]
    assert list(flat.update(frozen[9:10], settled=False)) == [True, False]


def test_what_was_learned_of_flat_lines_is_kept() -> None:
    one, other = FlatLine(2, limit=10, learn=50), FlatLine(2, limit=10, learn=50)
    one.update(moving(60))
    other.restore(one.state())
    assert other.update(np.full((12, 2), 5.0)).all()


def feed(continuity: Continuity, steps: list[tuple[int, int]], n: int = 100) -> list[str]:
    """steps: (advance of time, advance of arrival) in ns for each batch of 100 samples at 2 kHz."""
    events, time, arrival, index = [], 10 * NS, 1000 * NS, 0
    for advance, waited in steps:
        time, arrival = time + advance, arrival + waited
        events.append(continuity.update(7, index, n, time, time + TICK, arrival, False))
        index += n
    return events


def test_continuity() -> None:
    regular = [(TICK, TICK)] * 5
    assert set(feed(Continuity(), regular)) == {"continues"}
    assert feed(Continuity(), [*regular, (3 * NS, 3 * NS), *regular]).count("gap") == 1
    assert feed(Continuity(), [*regular, (3 * NS, TICK), *regular]).count("clock") == 1
    assert feed(Continuity(), [*regular, (-3 * NS, TICK), *regular]).count("clock") == 1
    assert set(feed(Continuity(), [*regular, (TICK, 3 * NS), *regular])) == {"continues"}, "late is not missing"


def test_a_missing_index_is_a_gap_and_a_new_epoch_a_restart() -> None:
    continuity = Continuity()
    assert continuity.update(1, 0, 100, 0, TICK, 0, False) == "continues"
    assert continuity.update(1, 300, 100, 3 * TICK, 4 * TICK, 3 * TICK, False) == "gap"
    assert continuity.update(2, 0, 100, 60 * NS, 60 * NS + TICK, 60 * NS, True) == "restart"


def test_ranges() -> None:
    rows = np.array([[1.0, 5.0, np.nan], [200.0, 5.0, np.inf], [300.0, 5.0, 1.0]])
    assert outside(rows, {0: Range(0, 100), 1: Range(0, 10)}) == [0, 2]
    for text in ("5", "a..b", "9..1", "1..1"):
        with pytest.raises(ValueError, match=r"."):
            Range.parse(text)
