from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Records, Samples, Sequencer, Stream
from edgeloop.wire.batch import Batch, Channel, Clock, Column

CHANNELS = (Channel("a"), Channel("b"))
NTP = Clock("ntp")


def zeros(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.zeros((n, 2), np.float32)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30), st.sampled_from([Fraction(25_600), Fraction(10, 3)]))
def test_chunks_that_follow_each_other_are_contiguous(lengths: list[int], rate: Fraction) -> None:
    one = Sequencer(Stream("s", CHANNELS, rate), 9, previous=(8, 77))
    taken = 0
    for i, n in enumerate(lengths):
        batch = one.next(Samples("s", zeros(n), time=int(taken * NS / rate)), NTP)
        assert (batch.index, batch.epoch, batch.discontinuity) == (taken, 9, False)
        assert batch.previous == ((8, 77) if i == 0 else None)
        taken += n
    assert one.index == taken


@pytest.mark.parametrize(("late", "flagged"), [(0, False), (9_000_000, False), (-9_000_000, False), (11_000_000, True)])
def test_a_step_beyond_ten_milliseconds_is_flagged(late: int, flagged: bool) -> None:
    one = Sequencer(Stream("s", CHANNELS, Fraction(1000)), 1)
    one.next(Samples("s", zeros(1000), time=0), NTP)
    batch = one.next(Samples("s", zeros(1), time=NS + late), NTP)
    assert batch.discontinuity is flagged
    assert one.step == (late if flagged else 0)


def test_at_a_low_rate_two_samples_are_tolerated() -> None:
    one = Sequencer(Stream("s", CHANNELS, Fraction(1)), 1)
    one.next(Samples("s", zeros(1), time=0), NTP)
    assert not one.next(Samples("s", zeros(1), time=2 * NS), NTP).discontinuity
    assert one.next(Samples("s", zeros(1), time=9 * NS), NTP).discontinuity


@pytest.mark.parametrize("rate", [None, Fraction(1000)])
def test_a_gap_that_the_source_knows_of_is_flagged_whatever_the_times_say(rate: Fraction | None) -> None:
    one = Sequencer(Stream("s", CHANNELS, rate), 1)
    steps = []
    for at, gap in ((0, True), (NS // 1000, False), (2 * NS // 1000, True), (NS, True), (NS + NS // 1000, False)):
        times = None if rate else np.array([at])
        batch = one.next(Samples("s", zeros(1), time=at, times=times, gap=gap), NTP)
        assert batch.discontinuity is gap
        steps.append(one.step != 0)
    assert steps == [False, False, True, True, False]
    records = Sequencer(Stream("r"), 1)
    column = {"on": Column("bool", np.ones(1, np.uint8))}
    assert not records.next(Records("r", np.array([5]), column), NTP).discontinuity
    assert records.next(Records("r", np.array([9]), column, gap=True), NTP).discontinuity


def test_own_times_may_only_rise() -> None:
    one = Sequencer(Stream("s", CHANNELS), 1)
    flags = []
    for times in ([0, NS], [60 * NS], [30 * NS], [31 * NS]):
        batch = one.next(Samples("s", zeros(len(times)), times=np.array(times)), NTP)
        assert isinstance(batch, Batch)
        assert batch.rate is None
        flags.append(batch.discontinuity)
    assert flags == [False, False, True, False]


def test_records_are_numbered_and_carry_the_clock() -> None:
    one = Sequencer(Stream("p"), 1)
    columns = {"on": Column("bool", np.ones(3, np.uint8))}
    device = Clock("device")
    first = one.next(Records("p", np.array([1, 2, 3]), columns, clock=device), NTP)
    second = one.next(Records("p", np.array([2, 3, 4]), columns), NTP)
    assert (first.index, second.index) == (0, 3)
    assert (first.clock, second.clock) == (device, NTP)
    assert (first.discontinuity, second.discontinuity) == (False, True)


def test_samples_of_another_shape_are_refused() -> None:
    one = Sequencer(Stream("s", CHANNELS, Fraction(10)), 1)
    with pytest.raises(EdgeloopError, match="2 channels"):
        one.next(Samples("s", np.zeros((4, 3))), NTP)
    assert one.index == 0
