"""Machines and signals that are made, by name: healthy ones, and ones with what monitors have missed.

Rows are minutes where nothing else is said. A generator is told how many rows and where its fault is to begin; labels
say where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop_tools.backtest.recording import Recording

Float = NDArray[np.float64]
BEGAN = 1_700_000_000 * NS
DAY = 1440
"""Minutes."""


@dataclass(frozen=True, slots=True)
class Generator:
    """make: (rng, rows, row where a fault begins) → values (rows, channels), rows that it lasts. step: s."""

    make: Callable[[np.random.Generator, int, int], tuple[Float, int]]
    step: float = 60.0
    channels: tuple[str, ...] = ()


def recording(name: str, seed: int, rows: int, at: int) -> Recording:
    """A generator's rows; its fault begins at row `at`."""
    generator = GENERATORS[name]
    values, lasts = generator.make(np.random.default_rng([seed, len(name)]), rows, at)
    labels = np.zeros(rows, dtype=bool)
    labels[at : at + lasts] = True
    times = BEGAN + np.round(np.arange(rows) * generator.step * NS).astype(np.int64)
    channels = generator.channels or tuple(f"c{i}" for i in range(values.shape[1]))
    return Recording(channels, times, values, labels)


def autoregressive(rng: np.random.Generator, n: int, share: float, channels: int = 1) -> Float:
    """(n, channels) of unit deviation; share: of a row that stays in the next."""
    out = np.empty((n, channels))
    last = rng.normal(size=channels)
    for i, step in enumerate(rng.normal(0, np.sqrt(1 - share * share), (n, channels))):
        last = share * last + step
        out[i] = last
    return out


def bounded(rng: np.random.Generator, n: int, limit: float = 30.0) -> Float:
    """A random walk that is thrown back at its limits."""
    out, last = np.empty((n, 1)), 0.0
    for i, step in enumerate(rng.normal(size=n).tolist()):
        last += step
        if abs(last) > limit:
            last = np.sign(last) * 2 * limit - last
        out[i] = last
    return out


def season(n: int, period: int = DAY) -> Float:
    return np.asarray(np.sin(2 * np.pi * np.arange(n) / period)[:, None])


def counts(rng: np.random.Generator, n: int) -> Float:
    """What comes in a minute, more by day than by night."""
    return rng.poisson(20 * (1.2 + season(n))).astype(np.float64)


def binaries(rng: np.random.Generator, n: int, channels: int = 3) -> Float:
    """Switches that change each hour or so."""
    return np.asarray((np.cumsum(rng.random((n, channels)) < 1 / 60, axis=0) % 2).astype(np.float64))


def batches(rng: np.random.Generator, n: int, period: int = 240) -> Float:
    """High for half of the time, low for the other."""
    return np.asarray((np.where(np.arange(n) % period < period // 2, 50.0, 10.0) + rng.normal(size=n))[:, None])


STATES = {"runs": (60.0, 3.0, 600.0), "stands": (1.0, 0.2, 180.0), "idles": (25.0, 2.0, 120.0)}
"""Level, deviation and typical duration (s) of a speed."""


def line(rng: np.random.Generator, n: int, step: float = 1.0) -> tuple[Float, NDArray[np.intp]]:
    """(n, 2) speed and temperature of a machine that runs, stands and idles for minutes each; (n,) the state."""
    speed, state, names = np.empty(n), np.empty(n, dtype=np.intp), list(STATES)
    at, now = 0, 0
    while at < n:
        level, deviation, lasts = STATES[names[now]]
        length = max(8, int(rng.lognormal(np.log(lasts), 0.5) / step))
        part = slice(at, min(n, at + length))
        speed[part] = rng.normal(level, deviation, part.stop - at)
        state[part] = now
        at += length
        now = int(rng.choice([k for k in range(len(names)) if k != now]))
    slow = autoregressive(rng, n, 1 - step / 3600)[:, 0]
    return np.stack([speed, 20 + 0.5 * slow + rng.normal(0, 0.1, n)], axis=1), state


def load(rng: np.random.Generator, n: int, rate: float = 10.0) -> Float:
    """(n, 1) a computer's load, %: rest, and tasks of seconds to minutes on some or all of its cores."""
    x = np.minimum(100.0, rng.gamma(2, 1.2, n))
    at = 0
    while (at := at + int(rng.exponential(240) * rate)) < n:
        length = min(n - at, int(rng.lognormal(np.log(8), 1.2) * rate) + 3)
        tasks = (
            rng.normal(52, 2.5, length), 100 - rng.gamma(0.3, 0.8, length),
            rng.normal(rng.uniform(15, 45), 8, length), rng.normal(75, 12, length),
        )  # fmt: skip
        x[at : at + length] = tasks[int(rng.integers(4))]
        at += length
    for blip in np.flatnonzero(rng.random(n) < 0.002):
        x[blip : blip + int(rng.integers(1, 6))] += rng.uniform(10, 60)
    return np.asarray(np.clip(np.round(x, 2), 0, 100)[:, None])


def beats(rng: np.random.Generator, n: int, rate: float, wave: Callable[[Float], Float]) -> tuple[Float, list[int]]:
    """(n,) a wave a heart beat, 0.8 s each, one like the other but for their length and height; where each begins."""
    out, starts, at = np.zeros(n), [], 0
    while at < n:
        length = int(rate * 0.8 * (1 + 0.04 * rng.normal()))
        phase = np.arange(min(length, n - at)) / length
        out[at : at + length] = wave(phase) * (1 + 0.03 * rng.normal())
        starts.append(at)
        at += length
    return out, starts


def _healthy(make: Callable[[np.random.Generator, int], Float]) -> Generator:
    return Generator(lambda rng, n, at: (make(rng, n), 0))


def _counts_stop(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values = counts(rng, n)
    values[at : at + 240] = 0
    return values, 240


def _batch_stuck(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values = batches(rng, n)
    at = at // 240 * 240 + 60
    values[at : at + 600] = rng.normal(50, 1, (600, 1))
    return values, 660


def _chatter(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values = binaries(rng, n, 20)
    values[at : at + 240, 7] = rng.integers(0, 2, 240)
    return values, 240


def _half_missing(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values = rng.normal(5, 1, (n, 2))
    values[at : at + 240, 0] += 6
    values[rng.random((n, 2)) < 0.5] = np.nan
    return values, 240


def _line_fast(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values, state = line(rng, n)
    values[at : at + 3600, 0] += 18 * (state[at : at + 3600] == 0)
    return values, 3600


def _runaway(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    values, length = load(rng, n), min(18_000, n - at)
    values[at : at + length] = np.maximum(values[at : at + length], rng.normal(52, 2, (length, 1)))
    return values, length


def _pressure(phase: Float) -> Float:
    return np.asarray(80 + 40 * np.exp(-(((phase - 0.2) / 0.1) ** 2)) + 12 * np.exp(-(((phase - 0.55) / 0.08) ** 2)))


def _pressure_drops(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    """Beats of half of the usual height, for five of them."""
    values, starts = beats(rng, n, 50.0, _pressure)
    first = next(i for i, start in enumerate(starts) if start >= at)
    part = slice(starts[first], starts[first + 5])
    values[part] = 80 + 0.5 * (values[part] - 80)
    return (values + rng.normal(0, 0.5, n))[:, None], part.stop - at


def _ecg(phase: Float) -> Float:
    spike = np.exp(-(((phase - 0.3) / 0.012) ** 2)) - 0.2 * np.exp(-(((phase - 0.34) / 0.012) ** 2))
    return np.asarray(
        spike + 0.15 * np.exp(-(((phase - 0.15) / 0.03) ** 2)) + 0.3 * np.exp(-(((phase - 0.6) / 0.05) ** 2))
    )


def _ectopic(rng: np.random.Generator, n: int, at: int) -> tuple[Float, int]:
    """A beat that comes too early, wide and without what goes before it."""
    values, starts = beats(rng, n, 100.0, _ecg)
    begin = next(start for start in starts if start >= at)
    phase = np.arange(80) / 80
    values[begin : begin + 80] = 1.3 * np.exp(-(((phase - 0.2) / 0.06) ** 2)) - 0.5 * np.exp(
        -(((phase - 0.5) / 0.1) ** 2)
    )
    return (values + rng.normal(0, 0.02, n))[:, None], begin + 80 - at


GENERATORS: dict[str, Generator] = {
    "noise": _healthy(lambda rng, n: rng.normal(size=(n, 1))),
    "noise10": _healthy(lambda rng, n: rng.normal(size=(n, 10))),
    "noise100": _healthy(lambda rng, n: rng.normal(size=(n, 100))),
    "t3": _healthy(lambda rng, n: rng.standard_t(3, (n, 1))),
    "t2": _healthy(lambda rng, n: rng.standard_t(2, (n, 1))),
    "lognormal": _healthy(lambda rng, n: np.exp(rng.normal(size=(n, 1)))),
    "ar97": _healthy(lambda rng, n: autoregressive(rng, n, 0.97)),
    "ar999": _healthy(lambda rng, n: autoregressive(rng, n, 0.999)),
    "ar99x10": _healthy(lambda rng, n: autoregressive(rng, n, 0.99, 10)),
    "day": _healthy(lambda rng, n: 5 * season(n) + rng.normal(size=(n, 1))),
    "week": _healthy(lambda rng, n: 5 * season(n, 7 * DAY) + rng.normal(size=(n, 1))),
    "counts": _healthy(counts),
    "binaries": _healthy(binaries),
    "walk": _healthy(lambda rng, n: np.cumsum(rng.normal(size=(n, 1)), axis=0)),
    "bounded": _healthy(bounded),
    "rounded": _healthy(lambda rng, n: np.round(rng.normal(size=(n, 1)))),
    "batch": _healthy(batches),
    "line": Generator(lambda rng, n, at: (line(rng, n)[0], 0), 1.0, ("speed", "temperature")),
    "load": Generator(lambda rng, n, at: (load(rng, n), 0), 0.1, ("busy",)),
    "counts-stop": Generator(_counts_stop),
    "batch-stuck": Generator(_batch_stuck),
    "chatter": Generator(_chatter),
    "half-missing": Generator(_half_missing),
    "line-fast": Generator(_line_fast, 1.0, ("speed", "temperature")),
    "runaway": Generator(_runaway, 0.1, ("busy",)),
    "pressure": Generator(_pressure_drops, 0.02),
    "ecg": Generator(_ectopic, 0.01),
}
