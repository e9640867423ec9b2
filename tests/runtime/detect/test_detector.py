from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.detect import Detector, Feature, Score, Settings
from edgeloop.detect import state as files

FEATURES = tuple(Feature(c, "value", "value", False, 0.0) for c in "abcd")
SETTINGS = Settings(step=0.1, learn=100, scales=(1, 10))


def rows(n: int, seed: int = 1, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 1, (n, width))


def run(detector: Detector, data: np.ndarray, context: str = "") -> list[Score]:
    return [detector.update(row, context=context) for row in data]


def test_nothing_is_scored_while_learning_then_everything() -> None:
    detector = Detector(FEATURES, SETTINGS)
    scores = run(detector, rows(150))
    assert [s.state for s in scores] == ["learning"] * 100 + ["live"] * 50
    assert detector.learned == 1.0


def test_health_stays_below_the_budget() -> None:
    scores = run(Detector(FEATURES, SETTINGS), rows(12_000))[100:]
    assert max(s.return_time for s in scores) < SETTINGS.budget
    assert max(s.score for s in scores) < 0.5


def test_return_times_are_honest_in_the_long_run() -> None:
    """What returns every 100 s is confirmed (five rows in succession) at most three times as often in 1000 s."""
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(6_000))
    later = run(detector, rows(10_000, seed=2))
    level = np.log10(1000 * SETTINGS.step)
    run_lengths, length = [], 0
    for score in later:
        length = length + 1 if score.return_time >= level else 0
        run_lengths.append(length)
    assert sum(n == 5 for n in run_lengths) <= 30
    assert max(run_lengths) > 0


def test_a_step_is_found_named_and_forgotten_after_it_ends() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(600))
    data = rows(60, seed=3)
    data[:, 2] -= 12
    scores = run(detector, data)
    assert scores[2].return_time > 4, "what was learned in 600 rows promises no more"
    assert scores[-1].causes[0].feature.channel == "c"
    assert scores[-1].causes[0].z < -8
    assert scores[-1].causes[0].delta == pytest.approx(-12, abs=1)
    after = run(detector, rows(30, seed=4))
    assert max(s.return_time for s in after[11:]) < SETTINGS.budget - 2, "the anomaly taught nothing"


def test_a_creeping_change_reaches_the_end_of_its_leash() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(600))
    creep = rows(12_000, seed=5)
    creep[:, 0] += np.arange(12_000) * 0.003
    found = [i for i, s in enumerate(run(detector, creep)) if s.return_time > SETTINGS.budget]
    assert found
    assert found[0] * 0.003 < 25


def test_slow_wander_within_the_leash_is_followed() -> None:
    detector = Detector(FEATURES, SETTINGS)
    data = rows(8_000)
    data += 3 * np.sin(np.arange(8_000) * 2 * np.pi / 8_000)[:, None]
    assert max(s.return_time for s in run(detector, data)) < SETTINGS.budget


def test_each_context_has_its_centre() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(600), "a")
    other = rows(400, seed=6) + 2.5
    assert max(s.return_time for s in run(detector, other, "b")) < SETTINGS.budget
    detector.interrupt()
    assert max(s.return_time for s in run(detector, rows(100, seed=7), "a")) < SETTINGS.budget
    detector.interrupt()
    scores = run(detector, rows(30, seed=8) + 15, "a")
    assert scores[-1].return_time > SETTINGS.budget


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300, 5.0]), min_size=4, max_size=4),
    st.integers(0, 120),
)
def test_scores_are_finite_whatever_comes(values: list[float], at: int) -> None:
    detector = Detector(FEATURES, Settings(step=0.1, learn=60, scales=(1, 5)))
    data = rows(121)
    data[at] = values
    with np.errstate(all="ignore"):
        for score in run(detector, data):
            assert np.isfinite([score.score, score.return_time, score.statistic]).all()
            assert 0 <= score.score <= 1


def test_constant_and_empty_channels_score_nothing() -> None:
    detector = Detector(FEATURES, SETTINGS)
    data = rows(400)
    data[:, 1] = 7.0
    data[:, 3] = np.nan
    assert max(s.return_time for s in run(detector, data)) < SETTINGS.budget


def test_state_is_kept_to_the_bit(tmp_path: Path) -> None:
    one, other = Detector(FEATURES, SETTINGS), Detector(FEATURES, SETTINGS)
    run(one, rows(300), "a")
    run(one, rows(7, seed=9), "b")
    files.save(tmp_path / "learned.npz", {"m": one.state()})
    assert other.restore(files.load(tmp_path / "learned.npz")["m"])
    more = rows(500, seed=10)
    mine, theirs = run(one, more, "b"), run(other, more, "b")
    assert mine == theirs
    assert [score.causes for score in mine] == [score.causes for score in theirs]
    assert all(np.array_equal(v, other.state()[k]) for k, v in one.state().items())


def test_state_of_other_settings_is_refused_and_changes_nothing() -> None:
    one, other = Detector(FEATURES, SETTINGS), Detector(FEATURES, Settings(step=0.1, learn=50, scales=(1, 10)))
    run(one, rows(300))
    before = other.state()
    assert not other.restore(one.state())
    assert all(np.array_equal(v, other.state()[k]) for k, v in before.items())


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "learned.npz"
    assert files.load(path) == {}
    one = Detector(FEATURES, SETTINGS)
    files.save(path, {"m": one.state()})
    whole = path.read_bytes()
    for damage in (b"", b"PK", whole[: len(whole) // 2], whole[:200] + b"\0" * 40 + whole[240:]):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=r"learned\.npz"):
            files.load(path)


def test_relearn_forgets() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(300))
    detector.relearn()
    scores = run(detector, rows(400, seed=11) + 50)
    assert scores[0].state == "learning"
    assert max(s.return_time for s in scores) < SETTINGS.budget


def test_what_leads_up_to_an_alarm_does_not_make_the_tail_heavier() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(2_000))
    threshold = detector.tail.level(SETTINGS.budget)
    for k in range(30):
        ramp = rows(100, seed=20 + k)
        ramp[:, 1] += np.linspace(0, 9, 100)
        for i, row in enumerate(ramp):
            detector.update(row, teach=i < 80)
        detector.interrupt()
        run(detector, rows(300, seed=60 + k))
    assert detector.tail.level(SETTINGS.budget) < threshold + 1


def test_what_has_no_part_in_an_anomaly_is_followed_meanwhile() -> None:
    detector = Detector(FEATURES, SETTINGS)
    run(detector, rows(600))
    data = rows(4_000, seed=30)
    data[:, 0] += 30
    data[:, 3] += np.linspace(0, 4, 4_000)
    for row in data:
        detector.update(row, teach=False)
    detector.interrupt()
    after = rows(200, seed=31)
    after[:, 3] += 4
    assert max(s.return_time for s in run(detector, after)) < SETTINGS.budget
    after[:, 0] += 30
    assert run(detector, after)[-1].return_time > SETTINGS.budget, "the anomaly itself was not followed"
