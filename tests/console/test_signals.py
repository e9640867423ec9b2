"""The history of signals against the samples themselves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from console.signals.pyramid import STEP, Pyramid, read, thinned, trim
from console.signals.query import waterfall
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.journal import JournalWriter, directory
from edgeloop.wire.batch import Batch, Channel

START = 1_790_000_000 * NS
CHANNELS = (Channel("x", "m/s2"), Channel("y", "m/s2"))


def filled(folder: Path, rate: int, seconds: int, chunk: int = 777) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(rate * seconds, 2))
    pyramid = Pyramid(folder)
    for at in range(0, len(values), chunk):
        part = values[at : at + chunk]
        time = START + at * NS // rate
        pyramid.add(Batch("s", 1, at, time, CHANNELS, part, rate=Fraction(rate)))
        if at % (10 * chunk) == 0:
            pyramid.flush()
    pyramid.flush()
    return values


@pytest.mark.parametrize("most", [10_000, 200, 20])
def test_bins_hold_what_the_samples_say(tmp_path: Path, most: int) -> None:
    values = filled(tmp_path / "s", 2_560, 30)
    bins = read(tmp_path / "s", START, START + 30 * NS, most)
    assert bins is not None
    assert [(c.name, c.unit) for c in bins.columns] == [("x", "m/s2"), ("y", "m/s2")]
    size = next(256 * STEP**k for k in range(3) if len(values) // (256 * STEP**k) == len(bins.times))
    whole = len(bins.times) * size
    shaped = values[:whole].reshape(-1, size, 2)
    np.testing.assert_allclose(bins.low, shaped.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(bins.high, shaped.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(bins.mean, shaped.mean(axis=1), atol=1e-6)
    assert len(bins.times) <= max(most, 300 // STEP**2 + 1)


def test_thinning_keeps_extremes(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2_560, 30)
    bins = read(tmp_path / "s", START, START + 30 * NS, 10_000)
    assert bins is not None
    few = thinned(bins, 7)
    assert len(few.times) <= 7
    assert few.high.max() == bins.high.max()
    assert few.low.min() == bins.low.min()


def test_what_comes_again_after_a_restart_is_not_written_twice(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2_560, 10)
    once = {p.name: p.read_bytes() for p in (tmp_path / "s").iterdir()}
    filled(tmp_path / "s", 2_560, 10)
    assert {p.name: p.read_bytes() for p in (tmp_path / "s").iterdir()} == once


def test_a_torn_record_is_cut(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2_560, 10)
    path = next((tmp_path / "s").glob("*-0-*.bins"))
    whole = path.read_bytes()
    path.write_bytes(whole + b"torn")
    bins = read(tmp_path / "s", START, START + 10 * NS, 10_000)
    assert bins is not None
    assert len(bins.times) == 100
    pyramid = Pyramid(tmp_path / "s")
    late = np.zeros((2_560, 2))
    pyramid.add(Batch("s", 2, 0, START + 20 * NS, CHANNELS, late, rate=Fraction(2_560)))
    pyramid.flush()
    again = read(tmp_path / "s", START, START + 30 * NS, 10_000)
    assert again is not None
    assert len(again.times) == 110


def test_a_budget_takes_the_finest_of_the_oldest(tmp_path: Path) -> None:
    for day in range(3):
        values = np.zeros((256 * 200, 2))
        pyramid = Pyramid(tmp_path / "s")
        pyramid.add(Batch("s", day + 1, 0, START + day * 86_400 * NS, CHANNELS, values, rate=Fraction(2_560)))
        pyramid.flush()
    fine = sorted(p.name for p in (tmp_path / "s").glob("*-0-*.bins"))
    left = trim(tmp_path, 10_000)
    assert left <= 10_000
    kept = sorted(p.name for p in (tmp_path / "s").glob("*-0-*.bins"))
    assert kept in ([], fine[-1:])
    assert list((tmp_path / "s").glob("*-1-*.bins"))


def test_a_waterfall_shows_a_tone_where_and_when_it_is(tmp_path: Path) -> None:
    rate, seconds = 2_560, 40
    time = np.arange(rate * seconds) / rate
    tone = np.where(time < seconds / 2, np.sin(2 * np.pi * 200 * time), 0.2 * np.sin(2 * np.pi * 800 * time))
    values = np.c_[tone, np.zeros_like(tone)].astype(np.float32)
    with JournalWriter(directory(tmp_path), epoch=1) as journal:
        for at in range(0, len(values), rate):
            part = values[at : at + rate]
            journal.append([Batch("s", 1, at, START + at * NS // rate, CHANNELS, part, rate=Fraction(rate))])
    end = START + seconds * NS
    shown = waterfall(tmp_path, "s", rate, end, "x", 40)
    levels, frequencies = np.array(shown["levels"]), np.array(shown["frequencies"])
    loudest = frequencies[levels.argmax(axis=1)]
    assert shown["strongest"] == pytest.approx(200, abs=3)
    assert shown["reference"] == pytest.approx(1.0, rel=0.05)
    began = np.array(shown["times"]) - START // 1_000_000
    early, late = began < 20_000, began > 21_000
    assert early.sum() > 5
    assert late.sum() > 5
    np.testing.assert_allclose(loudest[early], 200, atol=6)
    np.testing.assert_allclose(loudest[late], 800, atol=6)
    assert levels[-1].max() == pytest.approx(20 * np.log10(0.2), abs=2)
    assert shown["times"] == sorted(shown["times"])
    with pytest.raises(EdgeloopError, match="no samples for a waterfall"):
        waterfall(tmp_path, "nothing", rate, end, "x", 40)
