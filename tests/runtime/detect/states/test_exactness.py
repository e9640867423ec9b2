"""How rows are handed over, and when the state is saved, changes no bit of any score."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeloop.detect.states import ConditionDetector, ConditionScores, ConditionSettings
from edgeloop.detect.states.averages import CHUNK, Averages

SETTINGS = ConditionSettings(step=1.0, learn=120, budget=4.0)
FIELDS = ConditionScores.__slots__


def stream(channels: int) -> np.ndarray:
    rng = np.random.default_rng(channels)
    rows = rng.normal(5.0, 1.0, (700, channels))
    rows[250:400, 0] += 6.0
    rows[400:430, 0] += 3.0
    rows[500:520, -1] = np.nan
    rows[560] = np.inf
    rows[600:, -1] -= 9.0
    return rows


def contexts(n: int) -> list[str]:
    return ["a" if i < 300 or i >= 450 else "b" for i in range(n)]


def score(rows: np.ndarray, cuts: list[int], *, saved: bool, pauses: tuple[int, ...] = ()) -> list[np.ndarray]:
    detector = ConditionDetector(rows.shape[1], SETTINGS)
    names, parts = contexts(len(rows)), []
    edges = {0, len(rows), *pauses, *cuts, *(i for i in range(1, len(rows)) if names[i] != names[i - 1])}
    for start, end in pairwise(sorted(edges)):
        if start in pauses:
            detector.interrupt()
        parts.append(detector.update(rows[start:end], context=names[start]))
        if saved:
            state = detector.state()
            detector = ConditionDetector(rows.shape[1], SETTINGS)
            assert detector.restore(state)
    return [np.concatenate([getattr(p, f) for p in parts]) for f in FIELDS]


@pytest.mark.parametrize("channels", [1, 3, 8])
@settings(deadline=None, max_examples=12)
@given(cuts=st.lists(st.integers(1, 699), max_size=40), saved=st.booleans())
def test_any_split(channels: int, cuts: list[int], saved: bool) -> None:
    rows = stream(channels)
    whole = score(rows, [], saved=False, pauses=(350, 620))
    split = score(rows, cuts, saved=saved, pauses=(350, 620))
    for a, b in zip(whole, split, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("channels", [1, 2, 5, 8, 20])
def test_row_by_row(channels: int) -> None:
    rows = stream(channels)
    whole, single = score(rows, [], saved=False), score(rows, list(range(1, 700)), saved=False)
    assert whole[FIELDS.index("abnormal")].any()
    for a, b in zip(whole, single, strict=True):
        assert a.tobytes() == b.tobytes()


@settings(deadline=None, max_examples=30)
@given(
    rows=arrays(np.float64, st.tuples(st.integers(1, 200), st.just(2)), elements=st.floats(width=64)),
    learn=st.booleans(),
)
def test_any_values_have_finite_scores(rows: np.ndarray, learn: bool) -> None:
    detector = ConditionDetector(2, SETTINGS)
    if learn:
        detector.update(np.random.default_rng(1).normal(size=(150, 2)))
    for part in (rows, rows[::-1], np.random.default_rng(2).normal(size=(100, 2)), rows):
        scores = detector.update(part)
        assert np.isfinite(scores.z).all()
        assert np.isfinite(scores.return_time).all()
        assert (scores.return_time >= 0).all()


def test_averages_are_those_of_the_recursion() -> None:
    rows = np.random.default_rng(3).normal(size=(CHUNK, 3))
    averages, expected = Averages((2, 10, 40), 3), np.zeros((3, 3))
    found = averages.update(rows)
    for i, row in enumerate(rows):
        expected += (row - expected) / np.array([2, 10, 40])[:, None]
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-9, atol=1e-12)
    averages.accept(CHUNK)
    averages.restart(np.ones(3))
    np.testing.assert_allclose(averages.means, expected - 1, rtol=1e-9, atol=1e-12)
