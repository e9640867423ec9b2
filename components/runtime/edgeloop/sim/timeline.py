"""When the machine runs, how fast, and on which product: the line's PLC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim import noise
from edgeloop.sim.faults import Plan
from edgeloop.sim.spec import Spec

SLOT = 20.0
"""s: at most one planned stop in each."""
ORDER = 60.0
"""s: one product each."""
LEAD, DOWN, UP = 0.3, 0.8, 1.5
"""s: from the PLC's decision to the drive's ramp; run-down; run-up."""
STOP_PROBABILITY = 0.15
CHANGEOVER = 2.0


@dataclass(frozen=True, slots=True)
class Stop:
    """`running` is false in [decided, running); the shaft stands in [down, up). s."""

    decided: float
    running: float

    @property
    def ramp(self) -> float:
        return self.decided + LEAD

    @property
    def down(self) -> float:
        return self.ramp + DOWN

    @property
    def up(self) -> float:
        return self.running - UP


class Timeline:
    """Stops, products and load, as functions of time; commanded stops are added to the planned ones."""

    def __init__(self, spec: Spec, seed: int, faults: Plan) -> None:
        self._spec, self._faults = spec, faults
        self._stops = noise.key(seed, spec.name, "stops")
        self._products = noise.key(seed, spec.name, "products")
        self._shift = noise.one(self._products, -1) * ORDER
        self._load = noise.Wander(noise.key(seed, spec.name, "load"), 15.0, 240.0)
        self._speed = noise.Wander(noise.key(seed, spec.name, "speed"), 4.0, 40.0)
        self._planned: dict[int, Stop | None] = {}
        self.commanded: list[Stop] = []

    def stop(self, at: float, until: float = float("inf")) -> None:
        """A commanded stop: decided at `at`, at speed again at `until`. s."""
        if not self.commanded or at >= self.commanded[-1].running:
            self.commanded.append(Stop(at, max(until, at + LEAD + DOWN + UP)))

    def start(self, at: float) -> float:
        """Ends a commanded stop that lasts: the run-up begins at `at`. Returns when it is at speed. s."""
        if self.commanded and self.commanded[-1].running > at + UP:
            last = self.commanded[-1]
            self.commanded[-1] = Stop(last.decided, max(at, last.down) + UP)
        return self.commanded[-1].running if self.commanded else at

    def _plan(self, slot: int) -> Stop | None:
        if slot in self._planned:
            return self._planned[slot]
        stop: Stop | None = None
        if self._spec.stops and slot >= 1 and noise.one(self._stops, slot) < STOP_PROBABILITY:
            decided = SLOT * slot + 0.5 + 10.0 * noise.one(self._stops, slot, 1)
            stands = 2.0 + 4.0 * noise.one(self._stops, slot, 2)
            stop = Stop(decided, decided + LEAD + DOWN + stands + UP)
            near = self._faults.overlapping(int((decided - 3.0) * NS), int((stop.running + 4.0) * NS))
            if any(f.needs_running for f in near):
                stop = None
        if len(self._planned) > 64:
            self._planned.clear()
        self._planned[slot] = stop
        return stop

    def stops(self, start: float, end: float) -> list[Stop]:
        """Stops that touch [start, end). A planned stop gives way to a fault that shows only while running."""
        slots = range(int(start // SLOT), int(end // SLOT) + 1)
        both = [*(s for s in map(self._plan, slots) if s), *self.commanded]
        return [s for s in both if s.decided < end and s.running > start]

    def running(self, t: NDArray[np.float64]) -> NDArray[np.bool_]:
        on = np.ones(len(t), dtype=np.bool_)
        for stop in self.stops(float(t[0]), float(t[-1]) + 1e-9):
            on &= (t < stop.decided) | (t >= stop.running)
        return on

    def speed(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Revolutions a second."""
        ratio = np.ones(len(t))
        for stop in self.stops(float(t[0]), float(t[-1]) + 1e-9):
            down = np.clip(1.0 - (t - stop.ramp) / DOWN, 0.0, 1.0)
            up = np.clip((t - stop.up) / UP, 0.0, 1.0)
            ratio = np.minimum(ratio, np.maximum(down, up))
        return np.asarray(self._spec.shaft * ratio * (1.0 + 1e-3 * self._speed.value(t)))

    def revolutions(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shaft angle in revolutions. It jumps where the shaft stands, unseen: no stop has to be summed up."""
        grid = np.linspace(t[0], t[-1], 12)
        angle = self._spec.shaft * (t + 1e-3 * np.interp(t, grid, self._speed.integral(grid)))
        for stop in self.stops(float(t[0]), float(t[-1]) + 1e-9):
            falling = np.clip(t - stop.ramp, 0.0, DOWN) ** 2 / (-2.0 * DOWN)
            rising = np.minimum(t - stop.running, 0.0) ** 2 / (2.0 * UP)
            angle += self._spec.shaft * np.where(t < stop.up, falling, np.where(t < stop.running, rising, 0.0))
        return np.asarray(angle)

    def product(self, t: NDArray[np.float64]) -> NDArray[np.int32]:
        """Index into the spec's products."""
        order = np.floor((t + self._shift) / ORDER).astype(np.int64)
        return np.asarray((noise.uniform(self._products, order) * len(self._spec.products)).astype(np.int32))

    def tool(self, t: NDArray[np.float64]) -> NDArray[np.int64]:
        """Tool number: a pair for each product, worn out by turns."""
        order = np.floor((t + self._shift) / ORDER).astype(np.int64)
        return self.product(t).astype(np.int64) * 10 + 11 + order // 4 % 2

    def load(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Load relative to nominal: the product's, blended over a changeover, with 2 % of slow variation."""
        loads = np.asarray(self._spec.loads)
        now, before = loads[self.product(t)], loads[self.product(t - CHANGEOVER)]
        into = np.clip((t + self._shift) % ORDER / CHANGEOVER, 0.0, 1.0)
        return np.asarray((before + (now - before) * into) * (1.0 + 0.02 * self._load.value(t)))
