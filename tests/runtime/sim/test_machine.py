from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim.faults import Fault, Kind, Schedule
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, RecordBatch

RATE = 25_600
PLAN = Schedule(5, "press1", 2 * NS, 3 * NS, 2 * NS)


def machine(seed: int = 5, *faults: Fault) -> Machine:
    return Machine(Spec("press1"), seed, faults)


def fault(kind: Kind, start: float, end: float, severity: float = 1.0, **more: object) -> Fault:
    return Fault("f", kind, "press1", str(more.pop("channel", "")), int(start * NS), int(end * NS), severity, **more)  # type: ignore[arg-type]


def physical(m: Machine, start: float, end: float) -> NDArray[np.float64]:
    """(n, 3) m/s2."""
    first = int(start * RATE)
    raw = m.vibration(first, int(end * RATE) - first)
    return raw.astype(np.float64) * m.spec.vibration_channels[0].scale


def amplitude(x: NDArray[np.float64], frequency: float, width: float = 1.0) -> float:
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)))) * 4 / len(x)
    at = np.abs(np.fft.rfftfreq(len(x), 1 / RATE) - frequency) <= width
    return float(np.sqrt((spectrum[at] ** 2).sum()))


def envelope(x: NDArray[np.float64], frequency: float) -> float:
    """Strength of a frequency and two multiples in the squared envelope of 2.5-7.5 kHz, over the median."""
    spectrum, f = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / RATE)
    spectrum[(f < 2500) | (f > 7500)] = 0
    squared = np.fft.irfft(spectrum) ** 2
    power = np.abs(np.fft.rfft((squared - squared.mean()) * np.hanning(len(squared)))) ** 2
    lines = sum(power[np.abs(f - h * frequency) <= 2.0].sum() for h in (1, 2, 3))
    return float(lines / np.median(power[(f > 20) & (f < 800)]))


WHOLE = Machine(Spec("press1"), 5, PLAN)
VIBRATION = WHOLE.vibration(0, 12 * RATE)
SLOW = WHOLE.slow(0, 600)


@settings(max_examples=40)
@given(st.integers(0, 11 * RATE), st.integers(1, 9000))
def test_vibration_is_the_same_however_it_is_cut(index: int, n: int) -> None:
    n = min(n, len(VIBRATION) - index)
    fresh = Machine(Spec("press1"), 5, PLAN)
    assert (fresh.vibration(index, n) == VIBRATION[index : index + n]).all()


@given(st.integers(0, 500), st.integers(1, 100))
def test_slow_channels_are_the_same_however_they_are_cut(index: int, n: int) -> None:
    fresh = Machine(Spec("press1"), 5, PLAN)
    assert (fresh.slow(index, n) == SLOW[index : index + n]).all()


def test_seed_and_name_make_the_machine() -> None:
    assert (machine(1).vibration(0, 100) != machine(2).vibration(0, 100)).any()
    other = Machine(Spec("press2"), 1)
    assert (machine(1).vibration(0, 100) != other.vibration(0, 100)).any()


def test_a_healthy_machine_is_in_its_range() -> None:
    m = machine()
    x = physical(m, 0, 4)
    assert ((x.std(axis=0) > 0.3) & (x.std(axis=0) < 3)).all()
    assert np.abs(m.vibration(0, 4 * RATE)).max() < 20_000
    assert amplitude(x[:, 0], 29.95) > 5 * amplitude(x[:, 0], 29.95 * 1.5)
    temperature, current, pressure, speed = m.slow(0, 100).mean(axis=0)
    assert 50 < temperature < 75
    assert 10 < current < 18
    assert 3 < pressure < 7
    assert speed == pytest.approx(60 * 29.95, rel=0.01)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_outer_race_fault_shows_in_the_envelope_before_it_shows_in_rms(seed: int) -> None:
    m = machine(seed, fault("outer_race", 10, 20, 0.5, stream="vib", channel="z"))
    before, within = physical(m, 2, 8), physical(m, 13, 19)
    assert 1.02 < within[:, 2].std() / before[:, 2].std() < 1.2
    bpfo = 29.95 * 3.585
    assert envelope(within[:, 2], bpfo) > 10 * envelope(before[:, 2], bpfo)
    assert envelope(within[:, 2], bpfo) > 10 * envelope(within[:, 2], bpfo * 1.21)


def test_imbalance_grows_the_first_order_of_the_radial_directions() -> None:
    m = machine(3, fault("imbalance", 10, 20, 0.8, stream="vib", channel="x"))
    before, within = physical(m, 2, 8), physical(m, 13, 19)
    growth = [amplitude(within[:, c], 29.95) / amplitude(before[:, c], 29.95) for c in range(3)]
    assert growth[0] == pytest.approx(1 + 1.8 * 0.8, rel=0.1)
    assert growth[1] > 1.8
    assert growth[2] < 1.6
    assert amplitude(within[:, 0], 59.9) == pytest.approx(amplitude(before[:, 0], 59.9), rel=0.2)


def test_drift_creeps_in_one_channel_and_ends() -> None:
    healthy = machine(3).slow(0, 300)
    drifting = machine(3, fault("drift", 10, 20, 1.0, stream="slow", channel="temperature")).slow(0, 300)
    difference = drifting - healthy
    assert (difference[:, 1:] == 0).all()
    assert (difference[:100] == 0).all()
    assert (difference[200:] == 0).all()
    assert (np.diff(difference[100:200, 0]) > 0).all()
    assert difference[199, 0] == pytest.approx(20 * 0.08, rel=0.05)


@pytest.mark.parametrize(("stream", "channel", "column"), [("vib", "y", 1), ("slow", "pressure", 2)])
def test_a_stuck_sensor_repeats_its_last_value(stream: str, channel: str, column: int) -> None:
    m = machine(3, fault("dropout", 2, 4, stream=stream, channel=channel, form="stuck"))
    rate, x = (RATE, m.vibration(0, 6 * RATE)) if stream == "vib" else (10, m.slow(0, 60))
    held = x[2 * rate : 4 * rate, column]
    assert (held == x[2 * rate - 1, column]).all()
    assert (np.delete(x, column, axis=1)[2 * rate : 4 * rate].std(axis=0) > 0).all()
    assert len(set(x[4 * rate :, column])) > 1


def test_a_silent_sensor_leaves_a_hole_and_a_jump_moves_all_time_stamps() -> None:
    silence = fault("dropout", 2, 3, stream="vib", form="silent")
    jump = fault("clock_jump", 5, 6, step=-2 * NS)
    items = [i for _, tick in play([machine(3, silence, jump)], 8 * NS, began=0) for i in tick]
    vib = [i for i in items if isinstance(i, Batch)]
    vib = [i for i in vib if i.stream == "press1_vib"]
    assert sum(len(i) for i in vib) == 7 * RATE
    assert [i.index for i in vib] == [0, *np.cumsum([len(i) for i in vib])[:-1]]
    flagged = [i.time for i in vib if i.discontinuity]
    assert flagged == [3 * NS, 3 * NS, 6 * NS]
    plc = [i for i in items if isinstance(i, RecordBatch)]
    assert sum(len(i) for i in plc) == 80
    assert [i.discontinuity for i in plc].count(True) == 1


def test_an_offset_is_undone_at_the_end_of_a_jump() -> None:
    m = machine(3, fault("clock_jump", 5, 6, step=NS))
    assert [m.offset(int(t * NS)) for t in (4.9, 5, 5.9, 6)] == [0, NS, NS, 0]


def test_running_falls_before_the_shaft_slows_and_comes_back_at_speed() -> None:
    m = Machine(Spec("press1"), 11)
    records = m.plc(0, 10 * 600)
    running, speed = np.asarray(records["running"].values), m.slow(0, 10 * 600)[:, 3]
    assert 0.8 < running.mean() < 1
    assert (speed[running == 1] > 1700).all()
    assert (speed < 100).any()
    assert {"bracket", "housing", "cover"} == set(records["product"].labels)
    assert len(set(np.asarray(records["product"].values))) > 1
    standing = np.flatnonzero(speed < 100)[5] * RATE // 10
    assert m.vibration(int(standing), 2000).std() < 0.4 * m.vibration(0, 2000).std()


def test_the_line_does_not_stop_where_a_fault_has_to_be_seen() -> None:
    plan = Schedule(4, "press1", 20 * NS, 30 * NS, 15 * NS)
    m = Machine(Spec("press1"), 4, plan)
    running = np.asarray(m.plc(0, 10 * 1800)["running"].values)
    assert (running == 0).any()
    for f in plan.overlapping(0, 1800 * NS):
        if f.needs_running:
            assert running[max(f.start // (NS // 10), 0) : f.end // (NS // 10)].all()


def test_a_command_stops_the_machine_and_changes_nothing_before() -> None:
    m, same = Machine(Spec("press1"), 3), Machine(Spec("press1"), 3)
    before = m.vibration(0, 3 * RATE).copy()
    m.stop(3 * NS)
    assert (m.vibration(0, 3 * RATE) == before).all()
    assert not np.asarray(m.plc(35, 100)["running"].values).any()
    assert (m.slow(45, 50)[:, 3] < 10).all()
    at_speed = m.start(20 * NS)
    assert at_speed == int(21.5 * NS)
    after = slice(int(22 * RATE), int(23 * RATE))
    assert (m.vibration(after.start, RATE) == same.vibration(after.start, RATE)).all()


@given(st.integers(0, 5000), st.integers(1, 200))
def test_records_are_the_same_however_they_are_cut(index: int, n: int) -> None:
    m = Machine(Spec("press1"), 11)
    whole, part = m.plc(0, 5200), Machine(Spec("press1"), 11).plc(index, n)
    for name, column in part.items():
        assert (np.asarray(column.values) == np.asarray(whole[name].values)[index : index + n]).all()


def test_a_tick_of_another_length_delivers_the_same_samples() -> None:
    plan = Schedule(9, "press1", NS, 2 * NS, NS, ("dropout", "clock_jump"))

    def delivered(tick: int) -> tuple[NDArray[np.generic], list[tuple[int, int]]]:
        items = [i for _, of in play([Machine(Spec("press1"), 9, plan)], 8 * NS, tick=tick) for i in of]
        vib = [i for i in items if isinstance(i, Batch) and i.stream == "press1_vib"]
        return np.concatenate([i.samples for i in vib]), [(i.index, i.time) for i in vib if i.discontinuity]

    one, two = delivered(NS // 20), delivered(NS // 10)
    assert (one[0] == two[0]).all()
    assert one[1] == two[1]
    assert len(one[1]) >= 3
