from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.sim.faults import KINDS, Schedule

seeds = st.integers(0, 2**32)


@given(seeds, st.integers(0, 400 * NS), st.integers(1, 100 * NS))
def test_the_faults_of_a_span_are_those_of_the_whole(seed: int, start: int, length: int) -> None:
    plan = Schedule(seed, "press1")
    whole = [plan.fault(k) for k in range(80)]
    assert plan.overlapping(start, start + length) == tuple(
        f for f in whole if f.start < start + length and f.end > start
    )


@given(seeds)
def test_faults_keep_their_distance_and_each_kind_comes_once_a_round(seed: int) -> None:
    plan = Schedule(seed, "press1", 20 * NS, 9 * NS, 5 * NS)
    faults = [plan.fault(k) for k in range(20)]
    assert faults[0].start >= 20 * NS
    assert all(b.start - a.end >= 2 * NS for a, b in pairwise(faults))
    assert all(f.end - f.start == 5 * NS for f in faults)
    assert all(0.5 <= f.severity <= 1 for f in faults)
    for turn in range(4):
        assert Counter(f.kind for f in faults[5 * turn : 5 * turn + 5]) == Counter(KINDS)


@given(seeds)
def test_clock_jumps_are_between_half_a_second_and_five(seed: int) -> None:
    faults = Schedule(seed, "m", kinds=("clock_jump",)).overlapping(0, 300 * NS)
    assert all(NS // 2 <= abs(f.step) <= 5 * NS and f.stream == "" for f in faults)


def test_both_forms_of_dropout_on_both_streams_occur() -> None:
    faults = Schedule(1, "m", kinds=("dropout",)).overlapping(0, 900 * NS)
    assert {(f.stream, f.form) for f in faults} == {(s, f) for s in ("vib", "slow") for f in ("silent", "stuck")}


def test_machines_differ_and_seeds_differ() -> None:
    one, two = Schedule(1, "a").fault(0), Schedule(1, "b").fault(0)
    assert (one.start, one.severity) != (two.start, two.severity)
    assert Schedule(1, "a").fault(0) == one
    assert Schedule(2, "a").fault(0) != one


def test_seeded_gives_all_machines_in_order_within_the_duration() -> None:
    faults = Schedule.seeded(3, ["a", "b"], 30 * NS, 100 * NS, every=10 * NS, hold=4 * NS)
    assert {f.machine for f in faults} == {"a", "b"}
    assert [f.start for f in faults] == sorted(f.start for f in faults)
    assert all(f.start >= 30 * NS and f.end <= 100 * NS for f in faults)


@pytest.mark.parametrize("kinds", [(), ("drift",)])
def test_kinds_may_be_chosen(kinds: tuple[str, ...]) -> None:
    plan = Schedule(1, "a", kinds=kinds)  # type: ignore[arg-type]
    assert {f.kind for f in plan.overlapping(0, 100 * NS)} == set(kinds)
