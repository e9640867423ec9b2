"""A simulated machine in real time: vibration, process values, PLC records, faults on a schedule, and the truth."""

from __future__ import annotations

import threading
from collections import deque
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeloop import clock, durable, topics
from edgeloop.clock import NS
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.sim.faults import KINDS, Kind, Schedule
from edgeloop.sim.machine import PLC, SLOW, VIBRATION, Machine
from edgeloop.sim.play import truth
from edgeloop.sim.spec import Spec
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration

LONGEST = 2 * NS
"""ns without this thread that are made up for; a longer absence is a gap, as with any sensor."""
UNTOLD = 1000


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    first: Annotated[Duration, Meta(title="First", description="start of the first fault")] = Duration("20 s")
    every: Annotated[
        Duration, Meta(title="Every", description="time from one fault's start to the next", extra={"ge": "100 ms"})
    ] = Duration("60 s")
    hold: Annotated[Duration, Meta(title="Hold", description="how long a fault lasts", extra={"ge": "50 ms"})] = (
        Duration("15 s")
    )
    kinds: Annotated[
        tuple[Kind, ...], Meta(title="Kinds", description="outer_race imbalance drift dropout clock_jump, in words")
    ] = KINDS

    def __post_init__(self) -> None:
        if self.hold >= self.every:
            raise ValueError("hold must be shorter than every")


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="simulator"):
    seed: Annotated[int, Meta(title="Seed", description="everything random follows from it", ge=0)] = 0
    faults: Annotated[Faults | None, Meta(title="Faults", description="absent: the machine stays healthy")] = None
    speed: Annotated[float, Meta(title="Speed", description="simulated time against real time", gt=0, le=100)] = 1.0
    stops: Annotated[bool, Meta(title="Stops", description="the line stops now and then")] = True
    restart: Annotated[
        Duration, Meta(title="Restart", description="after a stop by command; 0: when 0 is written to stop")
    ] = Duration("5 s")


class State(msgspec.Struct):
    """What survives a restart.

    began: ns UTC. told: until when the truth was published, stops: [from, until), both ns after `began`.
    """

    seed: int
    speed: float
    began: int
    told: int = 0
    stops: list[tuple[int, int | None]] = []


class Simulator(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        faults = configuration.faults
        plan: Schedule | tuple[()] = ()
        if faults is not None:
            plan = Schedule(configuration.seed, outlet.id, faults.first, faults.every, faults.hold, faults.kinds)
        self._machine = Machine(Spec(outlet.id, stops=configuration.stops), configuration.seed, plan)
        self._lock = threading.Lock()
        self._untold: deque[dict[str, Any]] = deque(maxlen=UNTOLD)

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        machine = Machine(Spec(id), configuration.seed)
        columns = {f"{id}_{PLC}": tuple(machine.plc(0, 1))}
        return {s.name: columns.get(s.name) or tuple(c.name for c in s.channels) for s in machine.streams}

    def setup(self) -> None:
        self._state, self._clock = self._load(), clock.Steady()
        for start, until in self._state.stops:
            self._machine.stop(start, until)
        self._save()
        self.outlet.declare(*self._machine.streams)

    def run(self) -> None:
        at = self._now()
        longest = int(LONGEST * max(1.0, self.configuration.speed))
        next_index = {s: self._machine.count(s, at) for s in (PLC, VIBRATION, SLOW)}
        while not self.outlet.stop.wait(self.outlet.period / 2):
            if step := self._clock.stepped():
                with self._lock:
                    self._state.began += step
                    self._save()
            at = self._now()
            self._tell(at)
            with self._lock:
                for stream, first in next_index.items():
                    end = self._machine.count(stream, at)
                    first = max(first, self._machine.count(stream, at - longest))
                    for chunk in self._machine.chunks(stream, first, end, self._state.began):
                        self.outlet.put(chunk)
                    next_index[stream] = max(end, first)

    def write(self, target: str, value: float) -> None:
        if target != "stop":
            raise EdgeloopError(f"{target} is no target of a simulated machine", mend="its target is stop")
        with self._lock:
            at = self._now()
            if value:
                hold = int(self.configuration.restart)
                until = at + hold + 3 * NS if hold else None
                self._machine.stop(at, until)
                self._state.stops = [*self._state.stops[-50:], (at, until)]
            else:
                running = self._machine.start(at)
                self._state.stops = [(s, running if u is None or u > running else u) for s, u in self._state.stops]
            self._save()

    def _now(self) -> int:
        """ns of simulated time; never goes back."""
        return max(0, int((self._clock.now() - self._state.began) * self.configuration.speed))

    def _tell(self, at: int) -> None:
        """Publishes the faults that began or ended since the last time, also those of a time when nobody ran."""
        events = []
        for fault in self._machine.faults.overlapping(self._state.told - 1, at):
            moments: tuple[tuple[int, Literal["started", "ended"]], ...] = (
                (fault.start, "started"),
                (fault.end, "ended"),
            )
            events += [(when, state, fault) for when, state in moments if self._state.told <= when < at]
        for _, state, fault in sorted(events, key=lambda e: e[0]):
            self._untold.append(dict(truth(fault, state, self._state.began)))
        while self._untold and self.outlet.publish(topics.TRUTH, self._untold[0]):
            self._untold.popleft()
        if events and not self._untold:
            self._state.told = at
            with self._lock:
                self._save()
        elif not events and not self._untold:
            self._state.told = at

    def _load(self) -> State:
        fresh = State(self.configuration.seed, self.configuration.speed, clock.now())
        try:
            kept = durable.read(self.outlet.state, State)
        except (OSError, durable.Damaged) as error:
            self.outlet.log(f"the simulation begins anew: {self.outlet.state} cannot be read: {error}")
            return fresh
        if kept is None:
            return fresh
        same = (kept.seed, kept.speed) == (fresh.seed, fresh.speed)
        return kept if same and kept.began <= fresh.began else fresh

    def _save(self) -> None:
        durable.write(self.outlet.state, self._state, sync=False)


SOURCE = Simulator
