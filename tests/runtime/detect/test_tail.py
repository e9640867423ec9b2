from __future__ import annotations

import numpy as np
import pytest

from edgeloop.detect.tail import Tail


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_exponential_tails_have_their_return_times(scale: float) -> None:
    rng = np.random.default_rng(1)
    tail = Tail(1.0)
    tail.fit(rng.exponential(scale, 4096))
    for _ in range(8192):
        tail.add(float(rng.exponential(scale)))
    for decades in (2.0, 3.0, 4.0):
        assert tail.return_time(scale * decades * np.log(10)) == pytest.approx(decades, abs=0.5)


def test_return_time_rises_with_the_statistic_and_level_is_its_inverse() -> None:
    tail = Tail(0.2)
    tail.fit(np.abs(np.random.default_rng(2).normal(size=60)))
    grid = [tail.return_time(s) for s in np.linspace(0, 50, 500)]
    assert grid == sorted(grid)
    for wanted in (1.0, 3.0, 5.78, 10.0):
        assert tail.return_time(tail.level(wanted)) == pytest.approx(wanted, abs=1e-6)


def test_little_data_is_read_with_caution() -> None:
    rng = np.random.default_rng(3)
    narrow = Tail(1.0)
    narrow.fit(rng.exponential(0.05, 60))
    sure = Tail(1.0)
    sure.fit(rng.exponential(0.05, 4096))
    assert narrow.level(6) > 2 * sure.level(6)


def test_a_few_anomalies_do_not_move_it() -> None:
    rng = np.random.default_rng(4)
    clean, dirty = Tail(1.0), Tail(1.0)
    data = np.abs(rng.normal(size=4000))
    clean.fit(data)
    data[::100] = 40
    dirty.fit(data)
    assert dirty.level(6) < 2 * clean.level(6)
