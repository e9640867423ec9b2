"""A machine of the line: its streams, addressable by index, and what its sensors make of the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sequence import Chunk, Records, Samples, Stream
from edgeloop.sim.faults import Fault, Fixed, Plan
from edgeloop.sim.slow import Slow
from edgeloop.sim.spec import Spec
from edgeloop.sim.timeline import Timeline
from edgeloop.sim.vibration import Vibration
from edgeloop.wire.batch import Column

S = TypeVar("S", bound=np.generic)

VIBRATION, SLOW, PLC = "vib", "slow", "plc"


class Machine:
    """Streams `<name>_vib`, `<name>_slow` and `<name>_plc` as functions of (spec, seed, faults, index).

    Index 0 of every stream is the start of the simulation. Commands (`stop`, `start`) change what comes after them.

    >>> machine = Machine(Spec("press1"), seed=7)
    >>> whole = machine.vibration(1000, 5000)
    >>> bool((Machine(Spec("press1"), seed=7).vibration(4000, 10) == whole[3000:3010]).all())
    True
    """

    def __init__(self, spec: Spec, seed: int, schedule: Plan | Sequence[Fault] = ()) -> None:
        self.spec, self.seed = spec, seed
        self.faults: Plan = (
            Fixed(tuple(f for f in schedule if f.machine == spec.name)) if isinstance(schedule, Sequence) else schedule
        )
        self.timeline = Timeline(spec, seed, self.faults)
        self._vibration = Vibration(spec, seed, self.timeline, self.faults)
        self._slow = Slow(spec, seed, self.timeline, self.faults)
        self.streams = (
            Stream(f"{spec.name}_{VIBRATION}", spec.vibration_channels, spec.rate),
            Stream(f"{spec.name}_{SLOW}", spec.slow_channels, spec.slow_rate),
            Stream(f"{spec.name}_{PLC}"),
        )
        self._rates = {VIBRATION: spec.rate, SLOW: spec.slow_rate, PLC: spec.plc_rate}

    def vibration(self, index: int, n: int) -> NDArray[np.int16]:
        """(n, 3) raw accelerations x, y, z; multiply by the channels' scale for m/s2."""
        return self._stuck(VIBRATION, index, self._vibration.read(index, n))

    def slow(self, index: int, n: int) -> NDArray[np.float32]:
        """(n, 4) temperature Cel, current A, pressure bar, speed rev/min."""
        return self._stuck(SLOW, index, self._slow.read(index, n))

    def plc(self, index: int, n: int) -> dict[str, Column]:
        """running (bool), product (enum), tool (int), n of each."""
        t = (np.arange(n) + index) / float(self.spec.plc_rate)
        return {
            "running": Column("bool", self.timeline.running(t).astype(np.uint8)),
            "product": Column("enum", self.timeline.product(t), labels=self.spec.products),
            "tool": Column("int", self.timeline.tool(t)),
        }

    def stop(self, at: int, until: int | None = None) -> None:
        """Stops the machine by command; it is at speed again at `until`. ns after the start."""
        self.timeline.stop(at / NS, float("inf") if until is None else until / NS)
        self._forget()

    def start(self, at: int) -> int:
        """Ends a commanded stop. Returns when the machine is at speed. ns after the start."""
        running = self.timeline.start(at / NS)
        self._forget()
        return int(running * NS)

    def count(self, stream: str, time: int) -> int:
        """How many samples of a stream (`vib`, `slow`, `plc`) are due before `time`, ns after the start."""
        return _ceil(Fraction(max(time, 0)) * self._rates[stream] / NS)

    def due(self, stream: str, index: int) -> int:
        """ns after the start at which a sample is taken."""
        return int(index * NS / self._rates[stream])

    def offset(self, time: int) -> int:
        """By how many ns the source's clock is off at `time`, ns after the start."""
        return sum(f.step for f in self.faults.overlapping(time, time + 1))

    def delivered(self, stream: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """What comes out of indices [start, end): (first, last + 1, clock offset in ns); silence leaves holes."""
        faults = self.faults.overlapping(self.due(stream, start), self.due(stream, end))
        cuts = {start, end}
        for fault in faults:
            if fault.kind == "clock_jump" or (fault.form == "silent" and fault.stream == stream):
                cuts |= {min(max(self.count(stream, at), start), end) for at in (fault.start, fault.end)}
        edges = sorted(cuts)
        for a, b in pairwise(edges):
            due = self.due(stream, a)
            if not any(f.form == "silent" and f.stream == stream and f.start <= due < f.end for f in faults):
                yield a, b, self.offset(due)

    def chunks(self, stream: str, start: int, end: int, began: int) -> Iterator[Chunk]:
        """What a source hands over for indices [start, end) of a stream; `began`: ns UTC of the start."""
        name = f"{self.spec.name}_{stream}"
        for a, b, offset in self.delivered(stream, start, end):
            time = began + self.due(stream, a) + offset
            if stream == PLC:
                times = np.array([began + self.due(stream, i) + offset for i in range(a, b)], dtype=np.int64)
                yield Records(name, times, self.plc(a, b - a))
            else:
                yield Samples(name, self.vibration(a, b - a) if stream == VIBRATION else self.slow(a, b - a), time)

    def _forget(self) -> None:
        self._vibration.forget()
        self._slow.forget()

    def _stuck(self, stream: str, index: int, samples: NDArray[S]) -> NDArray[S]:
        """Repeats the last value before a sensor stuck."""
        faults = self.faults.overlapping(self.due(stream, index), self.due(stream, index + len(samples)))
        for fault in faults:
            if fault.form != "stuck" or fault.stream != stream:
                continue
            channels = self.spec.vibration_channels if stream == VIBRATION else self.spec.slow_channels
            column = next(i for i, c in enumerate(channels) if c.name == fault.channel)
            first = self.count(stream, fault.start)
            a, b = max(first - index, 0), min(self.count(stream, fault.end) - index, len(samples))
            if b > a:
                read = self._vibration.read if stream == VIBRATION else self._slow.read
                held = read(max(first - 1, 0), 1)[0, column]
                samples = samples.copy()
                samples[a:b, column] = held
        return samples


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
