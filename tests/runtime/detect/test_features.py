from __future__ import annotations

import numpy as np
import pytest

from edgeloop.detect import BlockFeatures

RATE, LENGTH, SHAFT = 25_600.0, 5_120, 29.95
BEARING = {"outer_race": 3.585, "inner_race": 5.415}


def make(**options: object) -> BlockFeatures:
    return BlockFeatures(("x", "y"), RATE, LENGTH, **{"shaft": SHAFT, "bearing": BEARING, **options})  # type: ignore[arg-type]


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (LENGTH, 2)).astype(np.float32)


def column(features: BlockFeatures, row: np.ndarray, channel: str, name: str) -> np.ndarray:
    return np.array([v for f, v in zip(features.features, row, strict=True) if (f.channel, f.name) == (channel, name)])


def test_levels_are_those_of_the_signal() -> None:
    t = np.arange(LENGTH) / RATE
    sine = np.stack([2 * np.sin(2 * np.pi * 1000 * t), np.sin(2 * np.pi * 160 * t)], axis=1)
    _, shown = make()(sine)
    assert shown["rms"] == pytest.approx([2 / 2**0.5, 1 / 2**0.5], rel=1e-3)
    assert shown["crest"] == pytest.approx([2**0.5, 2**0.5], rel=1e-2)
    assert shown["kurtosis"] == pytest.approx([1.5, 1.5], rel=1e-2)
    assert shown["velocity"][1] == pytest.approx(1 / 2**0.5 / (2 * np.pi * 160), rel=0.05)


def test_an_impact_train_shows_at_the_outer_race_in_its_channel_only() -> None:
    features = make()
    block = noise()
    quiet, _ = features(block)
    t = np.arange(400) / RATE
    ring = np.exp(-t / 1e-3) * np.sin(2 * np.pi * 3500 * t)
    struck = block.copy()
    for at in (np.arange(1, 20) * RATE / (SHAFT * BEARING["outer_race"])).astype(int):
        struck[at : at + 400, 1] += 4 * ring[: LENGTH - at]
    loud, _ = features(struck)
    change = loud - quiet
    assert column(features, change, "y", "outer-race band").max() > np.log(3)
    assert (
        column(features, change, "y", "outer-race band").max() > column(features, change, "y", "inner-race band").max()
    )
    assert np.abs(change[: len(change) // 2]).max() < 1e-9


def test_imbalance_shows_at_the_first_order() -> None:
    features = make()
    turn = np.sin(2 * np.pi * SHAFT * np.arange(LENGTH) / RATE)[:, None] * [1.0, 0.0]
    once, _ = features(noise() + turn)
    twice, _ = features(noise() + 2 * turn)
    assert column(features, twice - once, "x", "1× shaft") == pytest.approx([np.log(2)], abs=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_channel_with_a_value_that_is_none_is_missing_and_the_other_is_not(bad: float) -> None:
    block = noise()
    expected, _ = make()(block)
    block[17, 0] = bad
    with np.errstate(all="ignore"):
        row, _ = make()(block)
    half = len(row) // 2
    assert np.isnan(row[:half]).all()
    assert row[half:] == pytest.approx(expected[half:])


def test_constant_and_huge_blocks_are_finite() -> None:
    for block in (np.zeros((LENGTH, 2), np.float32), np.full((LENGTH, 2), 1e6), noise() * 1e9):
        assert np.isfinite(make()(block)[0]).all()


@pytest.mark.parametrize(("rate", "length"), [(200.0, 256), (1000.0, 256), (48_000.0, 9_600)])
def test_any_rate_has_features(rate: float, length: int) -> None:
    features = BlockFeatures(("a",), rate, length)
    row, _ = features(np.random.default_rng(1).normal(size=(length, 1)))
    assert len(row) == len(features.features) >= 6
    assert np.isfinite(row).all()
    assert len({f.name for f in features.features if f.kind == "band"}) >= 2
