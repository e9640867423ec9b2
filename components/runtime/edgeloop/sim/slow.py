"""Process values at 1-10 Hz, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim import noise
from edgeloop.sim.faults import Plan
from edgeloop.sim.spec import Spec
from edgeloop.sim.timeline import Timeline

BLOCK = 64
NOISE = {"temperature": 0.08, "current": 0.15, "pressure": 0.03, "speed": 0.6}
"""Standard deviation of a reading, in the channel's unit."""
WANDER = {"temperature": 0.15, "current": 0.08, "pressure": 0.03}
"""Standard deviation of the slow, healthy variation over minutes."""
CREEP = {"temperature": 20.0, "current": 20.0, "pressure": -20.0}
"""How far a drift of severity 1 goes until its end, in standard deviations of a reading."""
IDLE_CURRENT = 2.5


class Slow:
    """temperature, current, pressure, speed as float32; short stops do not cool the machine."""

    def __init__(self, spec: Spec, seed: int, timeline: Timeline, faults: Plan) -> None:
        self._spec, self._timeline, self._faults = spec, timeline, faults
        self._rate = float(spec.slow_rate)
        self._names = [c.name for c in spec.slow_channels]
        self._noise = noise.key(seed, spec.name, "readings")
        self._wander = {n: noise.Wander(noise.key(seed, spec.name, "process", n), 180.0, 1800.0) for n in WANDER}
        rng = noise.generator(noise.key(seed, spec.name, "levels"), 0)
        self._temperature, self._current, self._pressure = (
            float(rng.uniform(*r)) for r in ((55, 70), (12, 16), (4, 6))
        )
        self._blocks: dict[int, NDArray[np.float32]] = {}

    def read(self, index: int, n: int) -> NDArray[np.float32]:
        """(n, 4) values from `index` on."""
        first, last = index // BLOCK, (index + n - 1) // BLOCK
        joined = np.concatenate([self._block(k) for k in range(first, last + 1)])
        return joined[index - first * BLOCK : index - first * BLOCK + n]

    def forget(self) -> None:
        """After a command changed what is to come."""
        self._blocks.clear()

    def _block(self, k: int) -> NDArray[np.float32]:
        found = self._blocks.get(k)
        if found is None:
            t = (np.arange(BLOCK) + k * BLOCK) / self._rate
            if len(self._blocks) >= 4:
                self._blocks.clear()
            found = self._blocks[k] = self._compute(k, t)
        return found

    def _compute(self, k: int, t: NDArray[np.float64]) -> NDArray[np.float32]:
        speed, load = self._timeline.speed(t), self._timeline.load(t)
        turning = speed / self._spec.shaft
        value = {
            "temperature": self._temperature + 0 * t,
            "current": IDLE_CURRENT + (self._current * np.sqrt(load) - IDLE_CURRENT) * np.clip(turning, 0, 1),
            "pressure": self._pressure + 0 * t,
            "speed": 60.0 * speed,
        }
        for name, wander in self._wander.items():
            value[name] += WANDER[name] * wander.value(t)
        for fault in self._faults.overlapping(int(t[0] * NS), int(t[-1] * NS) + 1):
            if fault.kind == "drift":
                start, end = fault.start / NS, fault.end / NS
                into = np.where((t >= start) & (t < end), (t - start) / (end - start), 0.0)
                value[fault.channel] += CREEP[fault.channel] * NOISE[fault.channel] * fault.severity * into
        readings = noise.generator(self._noise, k).standard_normal((len(self._names), BLOCK))
        rows = [value[name] + NOISE[name] * readings[i] for i, name in enumerate(self._names)]
        return np.stack(rows, axis=1).astype(np.float32)
