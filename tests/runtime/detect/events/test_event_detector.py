from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.detect import state as files
from edgeloop.detect.events import EventDetector, EventScores, EventSettings

SETTINGS = EventSettings(step=1.0)


def noise(n: int, channels: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 1, (n, channels))


def alerts(scores: EventScores) -> list[int]:
    return [int(i) for i in np.flatnonzero(scores.alert)]


def joined(parts: list[EventScores]) -> EventScores:
    return EventScores(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("return_time", "alert", "channel")))


def same(a: EventScores, b: EventScores) -> None:
    assert np.array_equal(a.return_time, b.return_time)
    assert np.array_equal(a.alert, b.alert)
    assert np.array_equal(a.channel, b.channel)


def test_a_spike_is_one_alert_on_its_row_and_channel() -> None:
    rows = noise(3000, 3)
    rows[2500:2510, 1] += 12
    scores = EventDetector(3, SETTINGS).update(rows)
    assert [i for i in alerts(scores) if 2400 < i < 2600] == [2500]
    assert scores.channel[2500] == 1
    assert scores.return_time[2500] == scores.return_time[2400:2600].max()


def test_nothing_is_alerted_while_warming_up() -> None:
    rows = noise(128)
    rows[100] = 50
    assert not EventDetector(1, SETTINGS).update(rows).alert.any()


def test_the_warm_up_counts_rows_that_are_there() -> None:
    detector = EventDetector(1, SETTINGS)
    assert detector.learned == 0.0
    detector.update(noise(64))
    assert detector.learned == 0.5
    detector.update(np.full((640, 1), np.nan))
    assert detector.learned == 0.5
    detector.update(noise(64))
    assert detector.learned == 1.0


def test_a_usual_value_at_an_unusual_moment_is_an_event() -> None:
    """A slow wave, and a lone value from its other half."""
    rows = 10 * np.sin(np.arange(4000) / 40)[:, None] + noise(4000) * 0.2
    rows[3500] = rows[3500 + 126]
    assert 3500 in alerts(EventDetector(1, SETTINGS).update(rows))


@pytest.mark.parametrize("held", [5.0, 5.7])
def test_a_line_gone_flat_is_an_event_even_at_a_usual_value(held: float) -> None:
    rows = noise(4000)
    rows[3000:3100] = held
    assert any(3000 <= i < 3060 for i in alerts(EventDetector(1, SETTINGS).update(rows)))


def test_a_channel_suddenly_calmer_is_an_event() -> None:
    rows = noise(4000)
    rows[3000:3100] = 5 + 0.1 * (rows[3000:3100] - 5)
    assert any(3000 <= i < 3060 for i in alerts(EventDetector(1, SETTINGS).update(rows)))


def test_what_has_been_seen_often_is_no_event() -> None:
    rows = noise(20_000)
    rows[1000::100] = 17
    found = [i for i in alerts(EventDetector(1, SETTINGS).update(rows)) if i % 100 == 0]
    assert 1000 in found
    assert not [i for i in found if i > 6000]


def test_each_alert_makes_the_next_one_harder_for_a_while() -> None:
    rows = noise(6000)
    quiet = EventDetector(1, EventSettings(step=1.0, raised=1.5))
    eager = EventDetector(1, EventSettings(step=1.0, raised=0.0))
    for at, value in zip(range(3000, 4000, 100), range(20, 40, 2), strict=True):
        rows[at] = value
    assert len(alerts(quiet.update(rows))) < len(alerts(eager.update(rows)))


def test_false_alarms_stay_within_the_budget_in_the_long_run() -> None:
    for seed, make in enumerate((np.random.Generator.normal, np.random.Generator.laplace)):
        rows = make(np.random.default_rng(seed), size=(100_000, 1))
        found = [i for i in alerts(EventDetector(1, EventSettings(step=1.0, budget=3.0)).update(rows)) if i >= 50_000]
        assert len(found) <= 50


def test_the_budget_is_that_of_all_channels_together() -> None:
    """Where a week has not yet passed, healthy channels, however many, cost a handful of alerts."""
    rows = np.random.default_rng(3).normal(size=(20_000, 20))
    found = alerts(EventDetector(20, EventSettings(step=1.0, budget=5.78)).update(rows))
    assert len(found) <= 20
    assert not [i for i in found if i >= 10_000]


def test_what_is_unprecedented_is_an_event_after_any_number_of_alerts() -> None:
    settings, rows = EventSettings(step=1.0, budget=7.0), noise(8000)
    spikes = range(2000, 4000, 50)
    for number, at in enumerate(spikes):
        rows[at] = 5 + 10 * 1.3**number
    assert set(spikes) <= set(alerts(EventDetector(1, settings).update(rows)))
    wide = noise(8000, 20)
    wide[5000, 7] = 1e9
    assert 5000 in alerts(EventDetector(20, settings).update(wide))


def test_return_times_count_in_seconds() -> None:
    rows = noise(2000)
    slow, fast = (EventDetector(1, EventSettings(step=s)).update(rows) for s in (10.0, 0.1))
    assert slow.return_time == pytest.approx(fast.return_time + 2)
    assert np.array_equal(slow.alert, fast.alert)


def test_a_glitch_however_large_does_not_blind() -> None:
    rows = noise(6000)
    rows[2000] = 1e12
    rows[5000] = 14
    found = alerts(EventDetector(1, SETTINGS).update(rows))
    assert 2000 in found
    assert 5000 in found


def test_a_scale_changes_nothing() -> None:
    rows = noise(3000)
    rows[2000] = 30
    one = EventDetector(1, SETTINGS).update(rows)
    same(one, EventDetector(1, SETTINGS).update(rows * 2.0**40))
    same(one, EventDetector(1, SETTINGS).update(rows * 2.0**-60))


@pytest.mark.parametrize(
    "rows",
    [
        np.full((600, 2), np.nan),
        np.zeros((600, 2)),
        np.full((600, 2), 45.0),
        np.full((600, 2), np.inf),
        np.repeat(noise(100, 2), 6, axis=0),
        np.random.default_rng(1).uniform(-8e307, 8e307, (600, 2)),
        noise(600, 2) * 1e-310,
        np.where(np.arange(1200).reshape(600, 2) % 3 == 0, np.nan, noise(600, 2)),
        np.where(np.arange(1200).reshape(600, 2) % 5 == 0, -np.inf, 1e300 * noise(600, 2)),
        np.geomspace(1e-300, 1e300, 1200).reshape(600, 2),
        np.c_[np.full(600, np.nan), noise(600)],
        np.round(noise(600, 2)),
    ],
)
def test_scores_are_finite_whatever_comes(rows: np.ndarray) -> None:
    scores = EventDetector(2, SETTINGS).update(rows)
    assert np.isfinite(scores.return_time).all()
    assert (scores.return_time >= 0).all()
    assert set(scores.channel.tolist()) <= {0, 1}


def test_what_is_missing_is_no_event() -> None:
    rows = noise(3000, 2)
    rows[1000:2000, 0] = np.nan
    rows[2100:2130] = np.inf
    scores = EventDetector(2, SETTINGS).update(rows)
    assert not scores.alert[2100:2130].any()
    assert (scores.return_time[2100:2130] == 0).all()
    assert (scores.channel[1000:2000] == 1).all()
    gap = noise(3000)
    gap[2000:2400] = np.nan
    assert not [i for i in alerts(EventDetector(1, SETTINGS).update(gap)) if 2400 <= i < 2500]


def test_a_constant_channel_that_moves_is_an_event() -> None:
    rows = np.full((2000, 1), 45.0)
    rows[1500] = 45.001
    assert alerts(EventDetector(1, SETTINGS).update(rows)) == [1500]


def test_a_channel_that_appears_late_warms_up_by_itself() -> None:
    rows = noise(3000, 2)
    rows[:2000, 1] = np.nan
    rows[2500, 1] = 25
    scores = EventDetector(2, SETTINGS).update(rows)
    assert not [i for i in alerts(scores) if 2000 <= i < 2128 and scores.channel[i] == 1]
    assert 2500 in alerts(scores)


def test_no_rows_no_scores() -> None:
    detector = EventDetector(2, SETTINGS)
    detector.update(noise(300, 2))
    assert len(detector.update(np.empty((0, 2))).alert) == 0


def test_no_row_knows_what_comes_after_it() -> None:
    rows = noise(1500, 2)
    other = rows.copy()
    other[1001:] = 1e6
    same(*(EventDetector(2, SETTINGS).update(r[:1001]) for r in (rows, other)))


def test_an_interruption_keeps_what_was_learned_and_drops_the_context() -> None:
    low, high = noise(2000) * 0.1, noise(2000, seed=2) * 0.1 + 10
    rows, again = np.concatenate((low, high)), noise(1, seed=9) * 0.1
    whole, interrupted = EventDetector(1, SETTINGS), EventDetector(1, SETTINGS)
    for detector in (whole, interrupted):
        detector.update(rows)
    interrupted.interrupt()
    fallen, begun = whole.update(again), interrupted.update(again)
    assert fallen.return_time[0] > begun.return_time[0] + 0.5
    assert not begun.alert.any()


def test_relearning_forgets() -> None:
    detector, rows = EventDetector(2, SETTINGS), noise(1000, 2)
    detector.update(noise(3000, 2, seed=4) * 100)
    detector.relearn()
    same(detector.update(rows), EventDetector(2, SETTINGS).update(rows))


def troubled(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 1, (700, 3)).cumsum(axis=0) * rng.integers(0, 2, 3)
    rows[rng.integers(0, 700, 40), rng.integers(0, 3, 40)] = rng.choice([np.nan, np.inf, -np.inf, 1e200, -40.0], 40)
    rows[300:400, 1] = np.nan
    return rows


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.lists(st.integers(0, 200), max_size=12))
def test_how_rows_are_split_changes_no_bit(seed: int, sizes: list[int]) -> None:
    rows = troubled(seed)
    detector, ends = EventDetector(3, SETTINGS), np.cumsum(sizes)
    parts = [detector.update(part) for part in np.split(rows, ends[ends < len(rows)])]
    same(EventDetector(3, SETTINGS).update(rows), joined(parts))


def test_row_by_row_is_the_same_to_the_bit() -> None:
    rows = troubled(5)
    detector = EventDetector(3, SETTINGS)
    same(EventDetector(3, SETTINGS).update(rows), joined([detector.update(row[None]) for row in rows]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(0, 700))
def test_a_restart_changes_no_bit(seed: int, at: int) -> None:
    rows = troubled(seed)
    before, after = EventDetector(3, SETTINGS), EventDetector(3, SETTINGS)
    first = before.update(rows[:at])
    assert after.restore(before.state())
    before.update(noise(100, 3))
    same(EventDetector(3, SETTINGS).update(rows), joined([first, after.update(rows[at:])]))


def test_the_state_goes_through_a_file(tmp_path: Path) -> None:
    before, after = EventDetector(3, SETTINGS), EventDetector(3, SETTINGS)
    before.update(troubled(1))
    files.save(tmp_path / "state", {"events": before.state()})
    assert after.restore(files.load(tmp_path / "state")["events"])
    same(before.update(troubled(2)), after.update(troubled(2)))


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    rows, more = noise(500, 2), noise(500, 2, seed=2)
    detector, twin = EventDetector(2, SETTINGS), EventDetector(2, SETTINGS)
    detector.update(rows)
    twin.update(rows)
    other = detector.state()
    assert not detector.restore(EventDetector(3, SETTINGS).state())
    assert not detector.restore(EventDetector(2, EventSettings(step=2.0)).state())
    assert not detector.restore({})
    assert not detector.restore({**other, "pairs": np.zeros(1)})
    same(detector.update(more), twin.update(more))


def test_memory_is_bounded() -> None:
    detector = EventDetector(4, SETTINGS)
    detector.update(noise(200, 4))
    size = sum(v.nbytes for v in detector.state().values())
    detector.update(noise(9000, 4))
    assert sum(v.nbytes for v in detector.state().values()) == size
    assert size < 4 * 22_500
