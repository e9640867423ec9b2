from __future__ import annotations

import numpy as np
import pytest

from edgeloop.detect.pareto import PredictiveTail


@pytest.mark.parametrize("tail", [3.0, 6.0])
def test_a_pareto_tail_has_its_return_times(tail: float) -> None:
    """P(S > s) = s ** -tail, so that the return time of s is tail * log10(s) decades of rows."""
    found = PredictiveTail(1.0, block=16, young=27.0)
    found.fit(np.random.default_rng(1).pareto(tail, 65_536) + 1)
    for decades in (3.0, 4.0, 5.0):
        level = 10 ** (decades / tail)
        assert found.return_times(np.array([level]))[0] == pytest.approx(decades, abs=0.4)
        assert found.level(float(found.return_times(np.array([level]))[0])) == pytest.approx(level, rel=1e-6)


def test_who_has_seen_little_promises_little() -> None:
    rng = np.random.default_rng(2)
    young, old = (PredictiveTail(1.0, block=16, young=27.0) for _ in range(2))
    young.fit(np.abs(rng.normal(size=160)))
    old.fit(np.abs(rng.normal(size=65_536)))
    assert young.level(6.0) > 1.5 * old.level(6.0)


@pytest.mark.parametrize("value", [0.0, 1.0, 9.0])
def test_statistics_that_are_all_alike(value: float) -> None:
    tail = PredictiveTail(1.0, block=4, young=27.0)
    tail.fit(np.full(400, value))
    assert np.isfinite(tail.return_times(np.array([0.0, value, 1e9]))).all()
    assert np.isfinite(tail.level(9.0))


def test_an_alarm_cannot_swell_it() -> None:
    rng = np.random.default_rng(3)
    tail = PredictiveTail(1.0, block=16, young=27.0)
    tail.fit(np.abs(rng.normal(size=4096)))
    before = tail.level(5.0)
    tail.teach(np.full(64, 1e6), 1.02 * float(before))
    assert tail.level(5.0) < 1.5 * before


def test_how_rows_come_is_nothing_to_it() -> None:
    rows = np.abs(np.random.default_rng(4).normal(size=1000))
    whole, parts = (PredictiveTail(1.0, block=16, young=6.0) for _ in range(2))
    whole.teach(rows)
    for at in range(0, 1000, 7):
        parts.teach(rows[at : at + 7])
        again = PredictiveTail(1.0, block=16, young=6.0)
        again.restore(parts.state())
        parts = again
    assert whole.level(5.0) == parts.level(5.0)
