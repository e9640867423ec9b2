"""Acceleration of a bearing housing, block by block."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim import noise
from edgeloop.sim.faults import Plan
from edgeloop.sim.spec import Spec
from edgeloop.sim.timeline import Timeline

A = TypeVar("A")

BLOCK = 2560
"""Samples in a block; whatever is asked for is cut from whole blocks."""
TAPS = 256
LEVEL = np.array([0.8, 0.9, 1.1], dtype=np.float32)
"""m/s2: broadband RMS at nominal load, x y z."""
PATH = np.array([0.6, 0.75, 1.0], dtype=np.float32)
"""How strongly an impact of the bearing reaches x y z."""
HARMONICS = (1, 2, 3, 11)
ACCELERATION = np.array([[0.45, 0.18, 0.07, 0.08], [0.40, 0.20, 0.08, 0.08], [0.15, 0.10, 0.05, 0.12]])
"""m/s2 peak of the orders above, x y z, at nominal speed."""
RADIAL = np.array([1.0, 0.9, 0.25], dtype=np.float32)
IMPACT = 12.0
"""Strength of an impact at severity 1, relative to the noise that excites the structure."""
UNBALANCE = 1.8
"""Growth of the 1x order at severity 1."""
SLIP, SCATTER = 0.012, 0.3
KNOCK_PROBABILITY = 0.005
"""Per block: a part that falls on the conveyor; no fault."""


class Vibration:
    """x, y, z as raw int16; the same values whatever is asked in whatever order."""

    def __init__(self, spec: Spec, seed: int, timeline: Timeline, faults: Plan) -> None:
        self._spec, self._timeline, self._faults = spec, timeline, faults
        self._rate = float(spec.rate)
        self._noise = noise.key(seed, spec.name, "noise")
        self._impacts = noise.key(seed, spec.name, "impacts")
        rng = noise.generator(noise.key(seed, spec.name, "structure"), 0)
        self._to_noise, self._to_impacts = _structure(rng, self._rate)
        amplitude = ACCELERATION * rng.uniform(0.8, 1.2, ACCELERATION.shape)
        self._orders = (amplitude * np.exp(2j * np.pi * rng.uniform(0, 1, amplitude.shape))).astype(np.complex64)
        self._to_raw = np.float32(1.0 / spec.vibration_channels[0].scale)
        self._blocks: dict[int, NDArray[np.int16]] = {}
        self._tails: dict[int, NDArray[np.float32]] = {}

    def read(self, index: int, n: int) -> NDArray[np.int16]:
        """(n, 3) raw samples from `index` on."""
        first, last = index // BLOCK, (index + n - 1) // BLOCK
        if first == last:
            return self._block(first)[index - first * BLOCK : index - first * BLOCK + n]
        joined = np.concatenate([self._block(k) for k in range(first, last + 1)])
        return joined[index - first * BLOCK : index - first * BLOCK + n]

    def forget(self) -> None:
        """After a command changed what is to come."""
        self._blocks.clear()
        self._tails.clear()

    def _block(self, k: int) -> NDArray[np.int16]:
        found = self._blocks.get(k)
        if found is None:
            t = (np.arange(BLOCK + 1) + k * BLOCK) / self._rate
            angle = self._timeline.revolutions(t)
            signal, tail = self._broadband(k, t, angle)
            signal[:, :TAPS] += self._tail(k - 1)
            signal += self._rotation(t[:-1], angle[:-1])
            signal *= self._to_raw
            found = np.clip(np.rint(signal, out=signal), -32768, 32767).astype(np.int16).T.copy()
            found.flags.writeable = False
            _keep(self._blocks, k, found)
            _keep(self._tails, k, tail)
        return found

    def _tail(self, k: int) -> NDArray[np.float32]:
        found = self._tails.get(k)
        if found is None:
            if k < 0:
                return np.zeros((3, TAPS), dtype=np.float32)
            t = (np.arange(BLOCK + 1) + k * BLOCK) / self._rate
            found = self._broadband(k, t, self._timeline.revolutions(t))[1]
            _keep(self._tails, k, found)
        return found

    def _broadband(
        self, k: int, t: NDArray[np.float64], angle: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The structure's answer to noise and impacts of block k: (3, BLOCK), and what rings on, (3, TAPS)."""
        rng = noise.generator(self._noise, k)
        force = rng.standard_normal((3, BLOCK), dtype=np.float32)
        grid = np.linspace(t[0], t[-1], 11)
        turning = self._timeline.speed(grid) / self._spec.shaft
        drive = self._timeline.load(grid) * (0.12 + 0.88 * np.clip(turning, 0, None) ** 1.5)
        force *= np.interp(t[:-1], grid, drive).astype(np.float32)
        spectrum = np.fft.rfft(force, BLOCK + TAPS)
        spectrum *= self._to_noise
        blows = self._blows(t, angle, grid, drive * np.clip(turning, 0, None) ** 2)
        if rng.uniform() < KNOCK_PROBABILITY:
            blows = np.zeros_like(force) if blows is None else blows
            blows[:, int(rng.integers(BLOCK))] += np.float32(rng.uniform(4, 10))
        if blows is not None:
            spectrum += np.fft.rfft(blows, BLOCK + TAPS) * self._to_impacts
        answer = np.fft.irfft(spectrum, BLOCK + TAPS).astype(np.float32, copy=False)
        return answer[:, :BLOCK], answer[:, BLOCK:]

    def _blows(
        self,
        t: NDArray[np.float64],
        angle: NDArray[np.float64],
        grid: NDArray[np.float64],
        vigour: NDArray[np.float64],
    ) -> NDArray[np.float32] | None:
        """The impacts of an outer-race defect that fall into this block: (3, BLOCK)."""
        faults = self._faults.overlapping(int(t[0] * NS), int(t[-1] * NS) + 1)
        severity = [f for f in faults if f.kind == "outer_race"]
        passing = angle * self._spec.outer_race
        if not severity or passing[-1] <= passing[0]:
            return None
        numbers = np.arange(np.floor(passing.min()) - 1, np.ceil(passing.max()) + 2).astype(np.int64)
        place = numbers + SLIP * noise.normal(self._impacts, numbers)
        inside = (place >= passing[0]) & (place < passing[-1])
        numbers, place = numbers[inside], place[inside]
        when = np.interp(place, np.maximum.accumulate(passing), t)
        strength = np.exp(SCATTER * noise.normal(self._impacts, numbers, 1)) * np.interp(when, grid, vigour)
        strength *= 1.0 + 0.15 * np.cos(2 * np.pi * place / self._spec.outer_race)
        strength *= IMPACT * sum(f.severity * f.onset(when) for f in severity)
        at = np.clip(((when - t[0]) * self._rate).astype(np.int64), 0, BLOCK - 1)
        force = np.zeros((3, BLOCK), dtype=np.float32)
        force[:, at] += PATH[:, None] * strength.astype(np.float32)
        return force

    def _rotation(self, t: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float32]:
        """Harmonics of the shaft, with imbalance: (3, n) m/s2."""
        turn = (2 * np.pi * (angle % 1.0)).astype(np.float32)
        once = np.empty(len(turn), dtype=np.complex64)
        np.cos(turn, out=once.real)
        np.sin(turn, out=once.imag)
        powers = {1: once, 2: once * once}
        powers[3] = powers[2] * once
        powers[11] = powers[3] * powers[3] * powers[3] * powers[2]
        waves = (self._orders @ np.stack([powers[h] for h in HARMONICS])).real
        for fault in self._faults.overlapping(int(t[0] * NS), int(t[-1] * NS) + 1):
            if fault.kind == "imbalance":
                grown = (UNBALANCE * fault.severity * fault.onset(t)).astype(np.float32)
                waves += (self._orders[:, :1] * once).real * grown * RADIAL[:, None]
        grid = np.linspace(t[0], t[-1], 11)
        square = (self._timeline.speed(grid) / self._spec.shaft) ** 2 * (0.7 + 0.3 * self._timeline.load(grid))
        waves *= np.interp(t, grid, square).astype(np.float32)
        return np.asarray(waves, dtype=np.float32)


MODES = (((800, 1200), 2.0e-3, 0.9, 0.1), ((3000, 4000), 1.0e-3, 0.55, 1.0), ((6000, 7500), 0.6e-3, 0.5, 0.5))
"""(frequency in Hz, decay in s, answer to the machine's noise, answer to the bearing's impacts)."""


def _structure(rng: np.random.Generator, rate: float) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Transfer functions from noise and from impacts to the sensors, each of energy LEVEL squared: (3, bins)."""
    t = np.arange(TAPS) / rate
    noisy, struck = np.zeros((3, TAPS)), np.zeros((3, TAPS))
    for band, decay, by_noise, by_impacts in MODES:
        frequency = rng.uniform(*band) * rng.uniform(0.97, 1.03, 3)
        ring = np.exp(-t / decay) * np.sin(2 * np.pi * frequency[:, None] * t)
        noisy += by_noise * ring
        struck += by_impacts * ring
    noisy[:, 0] += 0.8
    both = (h * LEVEL[:, None] / np.sqrt((h**2).sum(axis=1, keepdims=True)) for h in (noisy, struck))
    to_noise, to_impacts = (np.fft.rfft(h, BLOCK + TAPS).astype(np.complex64) for h in both)
    return to_noise, to_impacts


def _keep(cache: dict[int, A], k: int, value: A, most: int = 8) -> None:
    while len(cache) >= most:
        del cache[next(iter(cache))]
    cache[k] = value
