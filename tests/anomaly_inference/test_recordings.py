"""Real recordings, where they lie beside the checkout; generated ones everywhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.alarms import Alarm
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
T = 1_700_000_000 * NS


def engine(**monitor: Any) -> Engine:
    return Engine(convert({"monitors": {"m": {"asset": "a", "input": "s", **monitor}}}, Configuration))


def play(engine: Engine, batches: Iterator[Batch]) -> list[Alarm]:
    raised = []
    for batch in batches:
        raised += [a for a in engine.process(batch, now=batch.end).alarms if a.state == "raised"]
    return raised


def at_rate(data: np.ndarray, rate: int, channels: tuple[str, ...], index: int = 0) -> Iterator[Batch]:
    n = rate // 20
    named = tuple(Channel(c) for c in channels)
    for i in range(0, len(data) - n, n):
        at = index + i
        yield Batch("s", 1, at, T + at * NS // rate, named, data[i : i + n], rate=Fraction(rate))


def rows(path: Path, ignore: tuple[str, ...]) -> tuple[list[datetime], np.ndarray, tuple[str, ...]]:
    with path.open(newline="") as file:
        separator = ";" if ";" in file.readline() else ","
        file.seek(0)
        head, *lines = csv.reader(file, delimiter=separator)
    kept = [i for i, name in enumerate(head) if i and name not in ignore]
    times = [datetime.fromisoformat(line[0]).replace(tzinfo=UTC) for line in lines]
    return times, np.array([[float(line[i]) for i in kept] for line in lines]), tuple(head[i] for i in kept)


def timed(times: list[datetime], data: np.ndarray, channels: tuple[str, ...], n: int = 10) -> Iterator[Batch]:
    stamps = np.array([int(t.timestamp()) * NS for t in times], dtype=np.int64)
    named = tuple(Channel(c) for c in channels)
    for i in range(0, len(data), n):
        yield Batch("s", 1, i, int(stamps[i]), named, data[i : i + n], times=stamps[i : i + n])


BEARING = {"shaft": "1797/60 Hz", "bearing": {"outer_race": 3.585, "inner_race": 5.415, "rolling_element": 4.714}}


def generated_bearing(seconds: int, period: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    rate = 48_000
    data = rng.normal(0, 0.07, (seconds * rate, 2))
    if period:
        ring = 1.5 * np.exp(-np.arange(480) / 50) * np.sin(2 * np.pi * 3500 * np.arange(480) / rate)
        for at in (np.arange(1, seconds / period - 2) * period * rate).astype(int):
            data[at : at + 480, 0] += ring
    return data.astype(np.float32)


def without_offset(recording: np.ndarray) -> np.ndarray:
    """Each recording has an offset of its amplifier's own, which is a change of level and says nothing of a bearing."""
    return recording - recording.mean(axis=0, keepdims=True)


FAULTY: list[Path | str] = [*sorted((DATA / "cwru").glob("*_007.npy"))] or ["generated"]


@pytest.mark.parametrize("fault", FAULTY, ids=lambda p: Path(p).stem)
def test_bearings_healthy_then_faulty(fault: Path | str) -> None:
    if isinstance(fault, str):
        healthy, faulty = generated_bearing(5), generated_bearing(3, 1 / (3.585 * 29.95))
    else:
        healthy, faulty = without_offset(np.load(DATA / "cwru" / "normal.npy")), without_offset(np.load(fault))
    watching = engine(learn="3 s", **BEARING)
    channels = ("drive", "fan")
    assert play(watching, at_rate(healthy, 48_000, channels)) == []
    used = (len(healthy) - 1) // 2400 * 2400
    raised = play(watching, at_rate(faulty, 48_000, channels, used))
    assert [a.kind for a in raised] == ["process"]
    assert raised[0].raised_at - T - used * NS // 48_000 < 1.5 * NS
    assert "channel" in raised[0].text


VALVES = sorted((DATA / "skab" / "data" / "valve1").glob("*.csv"))


def valve(path: Path | None) -> list[int]:
    """Seconds at which a process alarm was raised."""
    if path is not None:
        times, data, channels = rows(path, ("anomaly", "changepoint"))
    else:
        rng = np.random.default_rng(2)
        times = [datetime.fromtimestamp(1_600_000_000 + i, UTC) for i in range(1100)]
        data, channels = rng.normal(50, 1, (1100, 8)), tuple("abcdefgh")
        data[600:1000, 3] -= 12
    raised = play(engine(learn="300 s"), timed(times, data, channels))
    return [(a.sample_time - int(times[0].timestamp()) * NS) // NS for a in raised if a.kind == "process"]


def test_valves_that_close() -> None:
    """Closed from about second 600 to 1000. Few alarms anywhere, and most that there are when it closes."""
    generated = valve(None)
    assert len(generated) == 1
    assert 600 <= generated[0] <= 620
    found = [valve(path) for path in VALVES]
    assert all(len(when) <= 3 for when in found)
    when = [t for each in found for t in each]
    assert sum(550 <= t <= 1020 for t in when) >= 0.7 * len(when)


LATENCY = DATA / "nab" / "data" / "realKnownCause" / "ec2_request_latency_system_failure.csv"


@pytest.mark.parametrize("path", [LATENCY] if LATENCY.exists() else [None], ids=["latency"])
def test_known_causes_are_seen_among_few_alarms(path: Path | None) -> None:
    if path is not None:
        times, data, channels = rows(path, ())
        failures = [("2014-03-18", "2014-03-19"), ("2014-03-20", "2014-03-21")]
    else:
        times = [datetime.fromtimestamp(1_600_000_000 + 300 * i, UTC) for i in range(4000)]
        data, channels = np.random.default_rng(3).normal(45, 2, (4000, 1)), ("value",)
        data[3000:3010] += 40
        failures = [(f"{times[2999]:%Y-%m-%d}", f"{times[3010]:%Y-%m-%d}")]
    raised = play(engine(learn="3 d", flat_line="1 d", memory="2 d"), timed(times, data, channels))
    days = [f"{datetime.fromtimestamp(a.sample_time // NS, UTC):%Y-%m-%d}" for a in raised]
    assert len(raised) <= 10
    for first, last in failures:
        assert any(first <= day <= last for day in days)
