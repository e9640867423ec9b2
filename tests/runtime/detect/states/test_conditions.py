from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeloop.detect import state as files
from edgeloop.detect.states import ConditionDetector, ConditionScores, ConditionSettings
from edgeloop.detect.states.baseline import MOST_CONTEXTS

SETTINGS = ConditionSettings(step=1.0, learn=400)
CHANNELS = 5


def healthy(n: int, seed: int = 1) -> np.ndarray:
    """Noise, a wandering temperature in the third column, a coarse reading in the fourth, a constant in the last."""
    rng = np.random.default_rng(seed)
    rows = rng.normal([10.0, -3.0, 60.0, 32.0, 7.0], [1.0, 0.1, 0.05, 0.4, 0.0], (n, CHANNELS))
    rows[:, 2] += np.sin(np.arange(n) / 90.0) + 0.1 * np.sin(np.arange(n) / 31.0)
    rows[:, 3] = rows[:, 3].round()
    return rows


def learned(seed: int = 1, n: int = 800) -> ConditionDetector:
    detector = ConditionDetector(CHANNELS, SETTINGS)
    detector.update(healthy(n, seed))
    return detector


def test_learning_is_visible_then_health_is_normal() -> None:
    detector = ConditionDetector(CHANNELS, SETTINGS)
    scores = detector.update(healthy(200))
    assert scores.learning.all()
    assert detector.learned == 0.5
    scores = detector.update(healthy(3200, seed=2)[200:])
    assert scores.learning.sum() == 200
    assert detector.learned == 1.0
    assert not scores.abnormal.any()
    assert not scores.return_time[scores.learning].any()
    assert (scores.return_time[200:] < SETTINGS.budget).all()
    assert (scores.return_time[200:] > 0).all()


@pytest.mark.parametrize("channel", [0, 1, 3, 4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_shift_is_abnormal_until_it_is_over(channel: int, sign: int) -> None:
    detector = learned()
    rows = healthy(900, seed=3)
    rows[300:600, channel] += sign * 3.0
    scores = detector.update(rows)
    first, last = np.flatnonzero(scores.abnormal)[[0, -1]]
    assert 300 <= first <= 325
    assert 598 <= last <= 640
    assert scores.abnormal[first : last + 1].all()
    assert scores.changepoint[first]
    assert scores.changepoint[last]
    middle = scores.z[450]
    assert np.abs(middle).argmax() == channel
    assert np.sign(middle[channel]) == sign
    assert scores.return_time[450] > SETTINGS.budget


def test_it_is_over_as_well_where_it_does_not_quite_come_back() -> None:
    detector = learned()
    rows = healthy(1200, seed=4)
    rows[300:600, 0] += 6.0
    rows[600:, 0] += 1.5
    scores = detector.update(rows)
    assert scores.abnormal[330:600].all()
    assert not scores.abnormal[660:].any()


def test_what_lasts_stays_abnormal_and_teaches_nothing() -> None:
    detector = learned()
    rows = healthy(5000, seed=5)
    rows[:, 1] += 0.5
    assert detector.update(rows).abnormal[50:].all()
    back = detector.update(healthy(500, seed=6))
    assert not back.abnormal[60:].any()


def test_a_new_normal_is_learned_when_told() -> None:
    detector = learned()
    rows = healthy(2000, seed=7) + 3.0
    assert detector.update(rows[:100]).abnormal[-1]
    detector.relearn()
    assert detector.learned == 0.0
    scores = detector.update(rows[100:])
    assert scores.learning[:400].all()
    assert not scores.abnormal.any()


def test_what_creeps_is_seen_though_the_centre_follows() -> None:
    detector = learned()
    rows = healthy(20_000, seed=8)
    rows[:, 2] = 60.0
    rows[:, 0] += np.linspace(0, 8, len(rows))
    assert detector.update(rows).abnormal.any()


def test_a_single_row_counts_for_nothing() -> None:
    detector = learned()
    rows = healthy(1000, seed=9)
    rows[100::50] = 1e6
    scores = detector.update(rows)
    assert not scores.abnormal.any()


def test_channels_that_wander_are_followed_while_others_are_abnormal() -> None:
    detector = learned()
    rows = healthy(2000, seed=10)
    rows[200:1500, 0] += 8.0
    scores = detector.update(rows)
    assert scores.abnormal[220:1500].all()
    assert not scores.abnormal[1560:].any()


def test_starts_and_ends_of_a_ramp_are_changepoints() -> None:
    detector = learned()
    rows = healthy(900, seed=11)
    rows[:, 0] -= np.interp(np.arange(900), [300, 340, 600, 640], [0, 12, 12, 0])
    at = np.flatnonzero(detector.update(rows).changepoint)
    for change in (300, 340, 600, 640):
        assert ((at >= change) & (at <= change + 60)).any()
    assert len(at) <= 12


LEVELS = {"bracket": 0.0, "housing": 6.0, "cover": -4.0}


class TestContexts:
    def run(self, detector: ConditionDetector, names: list[str], seed: int, shift: float = 0.0) -> ConditionScores:
        scores = []
        for i, name in enumerate(names):
            rows = healthy(60, seed=seed + i)
            rows[:, 2] = 60.0
            rows[:, 0] += LEVELS[name] + shift
            scores.append(detector.update(rows, context=name))
        return ConditionScores(*(np.concatenate([getattr(s, f) for s in scores]) for f in ConditionScores.__slots__))

    def test_each_has_a_centre_of_its_own(self) -> None:
        detector = ConditionDetector(CHANNELS, SETTINGS)
        scores = self.run(detector, ["bracket", "housing"] * 30, 1)
        assert scores.learning.sum() == 400
        assert not scores.abnormal.any()
        shifted = self.run(detector, ["housing"], 100, shift=-6.0)
        assert shifted.abnormal[-1]
        assert shifted.z[-1, 0] < -5

    def test_a_further_one_learns_its_centre_and_shares_the_spreads(self) -> None:
        detector = ConditionDetector(CHANNELS, SETTINGS)
        self.run(detector, ["bracket", "housing"] * 10, 1)
        scores = self.run(detector, ["cover", "bracket", "cover"], 50)
        assert scores.learning[: SETTINGS.transfer].all()
        assert not scores.learning[SETTINGS.transfer :].any()
        assert not scores.abnormal.any()
        assert self.run(detector, ["cover"], 70, shift=4.0).abnormal[-1]

    def test_a_state_lasts_through_a_context_that_is_not_known(self) -> None:
        detector = ConditionDetector(CHANNELS, SETTINGS)
        self.run(detector, ["bracket", "housing"] * 10, 1)
        assert self.run(detector, ["bracket"], 40, shift=6.0).abnormal[-1]
        assert self.run(detector, ["cover"], 41).abnormal[: SETTINGS.transfer].all()

    def test_memory_is_bounded(self) -> None:
        detector = learned()
        for i in range(MOST_CONTEXTS + 20):
            detector.update(healthy(40, seed=i), context=f"product{i}")
        before = sum(v.nbytes for v in detector.state().values())
        for i in range(MOST_CONTEXTS + 20, MOST_CONTEXTS + 60):
            detector.update(healthy(40, seed=i), context=f"product{i}")
        assert abs(sum(v.nbytes for v in detector.state().values()) - before) < 10_000


class TestBadInput:
    def test_missing_values_are_taken_to_be_normal(self) -> None:
        detector = learned()
        rows = healthy(600, seed=12)
        rows[100:200, 0] = np.nan
        rows[150:400:3, 1] = np.inf
        rows[300:310] = -np.inf
        rows[350:360, 3] = 1e300
        scores = detector.update(rows)
        assert np.isfinite(scores.z).all()
        assert np.isfinite(scores.return_time).all()
        assert not scores.abnormal.any()

    def test_a_channel_missing_while_learning_is_not_judged(self) -> None:
        detector = ConditionDetector(CHANNELS, SETTINGS)
        rows = healthy(1000)
        rows[:500, 0] = np.nan
        scores = detector.update(rows)
        assert detector.blind.tolist() == [True, False, False, False, False]
        assert not scores.abnormal.any()
        assert not scores.z[:, 0].any()
        rows[:, 1] += 2.0
        assert detector.update(rows).abnormal[100]

    def test_a_constant_that_changes_is_abnormal(self) -> None:
        detector = learned()
        rows = healthy(100, seed=13)
        rows[50:, 4] = 7.5
        scores = detector.update(rows)
        assert not scores.abnormal[:50].any()
        assert scores.abnormal[-1]

    def test_nothing_but_missing_values(self) -> None:
        detector = ConditionDetector(2, SETTINGS)
        scores = detector.update(np.full((900, 2), np.nan))
        assert not scores.abnormal.any()
        assert np.isfinite(scores.return_time).all()

    def test_an_upset_while_learning_does_not_make_it_blind(self) -> None:
        detector = ConditionDetector(CHANNELS, SETTINGS)
        rows = healthy(1200)
        rows[100:115, 0] += 30.0
        rows[800:900, 0] += 8.0
        scores = detector.update(rows)
        assert scores.abnormal[840:900].all()
        assert not scores.abnormal[:800].any()

    def test_no_rows(self) -> None:
        detector = learned()
        assert len(detector.update(np.empty((0, CHANNELS))).abnormal) == 0

    def test_too_few_rows_to_learn_from_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 56 rows"):
            ConditionSettings(step=1.0, learn=20)


def test_an_interruption_starts_levels_again_and_keeps_the_state() -> None:
    detector = learned()
    rows = healthy(400, seed=14)
    rows[:200, 0] += 6.0
    assert detector.update(rows[:100]).abnormal[-1]
    detector.interrupt()
    scores = detector.update(rows[100:])
    assert scores.abnormal[:100].all()
    assert not scores.abnormal[150:].any()
    detector.interrupt()
    jump = healthy(100, seed=15)
    jump[:, 0] += 6.0
    later = detector.update(jump)
    assert not later.abnormal[: SETTINGS.width].any()
    assert later.abnormal[-1]


def test_frequent_interruptions() -> None:
    detector = learned()
    rows = healthy(3000, seed=18)
    rows[:, 2] = 60.0
    detector.update(rows[:100] + 9.0)
    at = 100
    for i in range(200):
        detector.interrupt()
        n = 3 + i % 20
        assert np.isfinite(detector.update(rows[at : at + n]).z).all()
        at += n


def test_interrupting_while_learning_loses_nothing() -> None:
    detector = ConditionDetector(CHANNELS, SETTINGS)
    detector.update(healthy(100))
    detector.interrupt()
    assert detector.learned == 0.25


def test_return_times_are_honest() -> None:
    """Independent noise of eight channels: what returns every three hours does so, within a factor of 2.5."""
    settings = ConditionSettings(step=1.0, learn=400, budget=4.0)
    detector = ConditionDetector(8, settings)
    rng = np.random.default_rng(16)
    detector.update(rng.normal(size=(20_000, 8)))
    runs = 0
    for _ in range(40):
        abnormal = detector.update(rng.normal(size=(10_000, 8))).abnormal
        runs += int((np.diff(abnormal.astype(int)) == 1).sum())
    assert 15 <= runs <= 80


def test_a_rarer_budget_asks_for_more() -> None:
    levels = []
    for budget in (4.0, 5.0, 6.0):
        detector = ConditionDetector(CHANNELS, replace(SETTINGS, budget=budget))
        detector.update(healthy(800))
        levels.append(detector.level)
    assert levels == sorted(levels)
    assert levels[0] < levels[2]


def test_state_survives_on_disk_and_is_refused_by_another(tmp_path: Path) -> None:
    detector = learned()
    rows = healthy(700, seed=17)
    rows[150:400, 0] += 5.0
    detector.update(rows[:333])
    files.save(tmp_path / "state.npz", {"monitor": detector.state()})
    restored = ConditionDetector(CHANNELS, SETTINGS)
    state = files.load(tmp_path / "state.npz")["monitor"]
    assert restored.restore(state)
    a, b = detector.update(rows[333:]), restored.update(rows[333:])
    assert all(np.array_equal(getattr(a, f), getattr(b, f)) for f in ConditionScores.__slots__)
    for other in (ConditionDetector(4, SETTINGS), ConditionDetector(CHANNELS, replace(SETTINGS, width=10))):
        before = other.state()
        assert not other.restore(state)
        assert all(np.array_equal(v, before[k], equal_nan=v.dtype.kind == "f") for k, v in other.state().items())
    assert not restored.restore({})
