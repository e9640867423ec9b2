"""A level is never invisible: steps, ramps, stuck values, a slow sine, from 0.1 Hz to 25.6 kHz."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
LEARN = 300
"""Rows, or blocks, that are learned."""


def onsets(rate: Fraction, values: np.ndarray, **monitor: Any) -> list[int]:
    """Samples at which a condition began."""
    known = {"asset": "a", "input": "s", "gap": "0 s", "flat_line": "0 s", "settle": "0 s"}
    config = convert({"monitors": {"m": known | monitor}}, Configuration)
    found = np.zeros(len(values), dtype=bool)

    def tap(monitor: str, batch: Batch, scores: Any) -> None:
        at = batch.index + scores.first
        found[at : at + len(scores.abnormal)] = scores.abnormal

    engine = Engine(config, tap=tap)
    channels = tuple(Channel(f"c{n}") for n in range(values.shape[1]))
    length = max(8, int(rate / 5))
    for at in range(0, len(values), length):
        time = BEGAN + int(at * NS / rate)
        engine.process(Batch("s", 1, at, time, channels, values[at : at + length], rate=rate))
    return np.flatnonzero(found & ~np.r_[False, found[:-1]]).tolist()


def noise(n: int, channels: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 1, (n, channels)).astype(np.float32)


def test_eight_sigma_for_a_second_at_a_kilohertz() -> None:
    """33 of 33, none in the healthy time before, beside and after; default settings."""
    rate, every = 1000, 6
    values = noise((120 + 33 * every) * rate, 2)
    rng = np.random.default_rng(2)
    starts = [(120 + every * i) * rate + int(rng.integers(0, rate)) for i in range(33)]
    for i, at in enumerate(starts):
        values[at : at + rate, i % 2] += 8
    found = onsets(Fraction(rate), values)
    assert len(found) == 33
    assert all(at <= hit < at + 1.5 * rate for at, hit in zip(starts, found, strict=True))


@pytest.mark.long
def test_ten_healthy_minutes_at_a_kilohertz() -> None:
    assert onsets(Fraction(1000), noise(660_000, 2)) == []


def fault(kind: str, n: int) -> np.ndarray:
    """What n rows of a fault add to a channel, in its spreads; NaN: the value before it."""
    if kind == "step":
        return np.full(n, 12.0)
    if kind == "ramp":
        return np.linspace(0, 24, n)
    return 12 * np.sin(np.linspace(0, 2 * np.pi, n))


RATES = [Fraction(1, 10), Fraction(1), Fraction(10), Fraction(100), Fraction(1000), Fraction(25_600)]


@pytest.mark.parametrize("kind", ["step", "ramp", "sine"])
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_any_rate(rate: Fraction, kind: str) -> None:
    unit = max(1, max(256, int(rate / 5)) if rate >= 200 else int(rate))
    learn, after, lasts = 320 * unit, 40 * unit, (60 if rate >= 10 else 200) * unit
    values = noise(learn + 2 * after + lasts)
    begin = learn + after
    values[begin : begin + lasts, 0] += fault(kind, lasts)
    found = onsets(rate, values, learn=f"{float(LEARN * unit / rate):.6f} s")
    assert 1 <= len(found) <= 3, "a sine may be two and a return"
    assert begin <= found[0] < begin + lasts
    assert found[-1] < begin + lasts + 20 * unit, "what swings after it belongs to it"


@pytest.mark.parametrize("level", [1.0, 101_325.0])
def test_a_value_that_stands_still_in_its_blocks_has_a_level(level: float) -> None:
    rate = 1000
    values = np.full((160 * rate, 1), level, dtype=np.float32)
    values[140 * rate :] *= 1.1
    (found,) = onsets(Fraction(rate), values)
    assert 140 * rate <= found < 142 * rate


def test_a_step_of_fifty_sigma_within_three_rows() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = rng.normal(5, 1, (1300, 40))
        starts = [700, 900, 1150]
        for at in starts:
            values[at : at + 6, int(rng.integers(0, 40))] += 50
        found = onsets(Fraction(1), values)
        assert [at <= hit < at + 3 for at, hit in zip(starts, found, strict=True)] == [True] * 3


def test_vibration_has_no_level_to_speak_of() -> None:
    rate = 1000
    values = noise(200 * rate) - 5
    values += 0.1 * np.sin(np.arange(len(values)) / rate / 20)[:, None].astype(np.float32)
    assert onsets(Fraction(rate), values) == []
