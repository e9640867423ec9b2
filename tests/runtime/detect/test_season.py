"""What is unusual for the time of the day: found where a channel has one, and never where it has none."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.detect.protocol import Context, Rows, Scores, Setup
from edgeloop.detect.season.registered import SEASON, Season

STEP, DAY = 300.0, 288
Float = NDArray[np.float64]


def made(channels: int) -> Season:
    names = tuple(f"c{i}" for i in range(channels))
    return Season(Setup("m", names, names, step=STEP, rate=1 / STEP, budget=5.78))


def counts(days: int, seed: int = 1) -> Float:
    """What comes in five minutes, more by day than by night, and noise beside it."""
    n = days * DAY
    by_day = 1.2 + np.sin(2 * np.pi * np.arange(n) / DAY)
    rng = np.random.default_rng(seed)
    return np.stack([rng.poisson(40 * by_day).astype(float), rng.normal(size=n)], axis=1)


def run(season: Season, values: Float, first: int = 0, size: int = 10**9) -> Scores:
    parts = []
    for at in range(first, len(values), size):
        own = values[at : at + size]
        times = (1_700_000_000 + np.arange(at, at + len(own)) * STEP).astype(np.int64) * NS
        parts.append(season.update(Rows(times, own, own), Context()))
    return Scores(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Scores)})


def equal(one: Scores, other: Scores) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Scores))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_for_four_hours_of_the_day_is_found(seed: int) -> None:
    values, begin = counts(12, seed), 10 * DAY + 110
    values[begin : begin + 48, 0] = 0
    season = made(2)
    run(season, values[: begin + 12])
    after = run(season, values[: begin + 48], begin + 12)
    assert after.alert.any()
    text, about = season.words(int(after.alert.argmax()))
    assert text.startswith("c0 lower (")
    assert text.endswith("than at this time of the day")
    assert about[0].channel == "c0"


def test_what_has_no_season_is_never_judged() -> None:
    rng = np.random.default_rng(3)
    wanders = np.cumsum(rng.normal(size=(12 * DAY, 1)), axis=0)
    found = run(made(2), np.hstack([wanders, rng.normal(size=(12 * DAY, 1))]))
    assert not found.return_time.any()
    assert not found.alert.any()


def test_how_rows_come_and_restarts_change_nothing() -> None:
    values = counts(9)
    values[8 * DAY + 60 : 8 * DAY + 100, 0] = np.nan
    whole = run(made(2), values)
    assert whole.return_time.any()
    assert equal(whole, run(made(2), values, size=97))
    first, second = made(2), made(2)
    before = run(first, values[: 7 * DAY + 50])
    assert second.restore(first.state())
    after = run(second, values, 7 * DAY + 50)
    assert np.array_equal(np.concatenate([before.return_time, after.return_time]).round(3), whole.return_time.round(3))
    assert not made(3).restore(first.state())


def test_gaps_of_days_and_a_clock_that_goes_back_are_nothing_special() -> None:
    season, values = made(2), counts(6)
    times = (1_700_000_000 + np.arange(len(values)) * STEP).astype(np.int64) * NS
    times[900:] += 9 * DAY * int(STEP) * NS
    times[1200:] -= 20 * DAY * int(STEP) * NS
    found: Any = season.update(Rows(times, values, values), Context())
    assert np.isfinite(found.return_time).all()
    assert SEASON.tells == "condition"
