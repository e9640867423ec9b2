from __future__ import annotations

import numpy as np

from edgeloop.detect.states import ConditionSettings
from edgeloop.detect.states.hysteresis import Condition, Movement

SETTINGS = ConditionSettings(step=1.0, learn=400, off=0.4, hold=3, back=0.4, settle=5)


def decide(magnitudes: list[list[float]], level: float = 5.0) -> tuple[list[int], list[int]]:
    """Abnormal rows and changes of a condition, each recovery followed on."""
    condition, rows = Condition(len(magnitudes[0]), SETTINGS), np.array(magnitudes)
    abnormal, changes = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    at = 0
    while at < len(rows):
        most = rows[at:].max(axis=1)
        at += condition.update(rows[at:], most, level, abnormal[at:], changes[at:])
    return np.flatnonzero(abnormal).tolist(), np.flatnonzero(changes).tolist()


def test_between_the_two_levels_the_state_stays() -> None:
    assert decide([[4.9], [5.1], [3.0], [4.9], [1.9], [1.9], [1.9], [4.9]]) == ([1, 2, 3, 4, 5, 6], [1, 6])


def test_a_short_calm_is_no_recovery() -> None:
    assert decide([[6.0], [1.0], [1.0], [4.0], [1.0], [1.0]])[0] == [0, 1, 2, 3, 4, 5]


def test_a_part_of_the_way_back_is_one_once_it_lasts() -> None:
    assert decide([[20.0], *[[7.0]] * 5, [1.0]]) == ([0, 1, 2, 3, 4, 5], [0, 5])
    assert decide([[20.0], *[[9.0]] * 8])[0] == list(range(9))


def test_only_channels_that_exceeded_the_level_hold_it() -> None:
    rows = [[6.0, 4.0], [6.0, 4.0], [1.0, 4.0], [1.0, 4.0], [1.0, 4.0], [1.0, 4.0]]
    assert decide(rows)[0] == [0, 1, 2, 3, 4]
    joined = [[6.0, 4.0], [1.0, 6.0], *[[1.0, 4.0]] * 4]
    assert decide(joined)[0] == list(range(6))


def test_movement_marks_both_edges() -> None:
    movement, changes = Movement(SETTINGS), np.zeros(8, dtype=bool)
    movement.update(np.array([1.0, 4.5, 3.0, 1.9, 1.0, 9.0, 8.0, 7.0]), changes)
    assert np.flatnonzero(changes).tolist() == [1, 3, 5]
    assert movement.moving
