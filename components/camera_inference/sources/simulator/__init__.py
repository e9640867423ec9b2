"""A simulated conveyor in real time: parts with surface defects, a trigger with an id for each, and the truth."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from camera_inference.sources.base import Options, Outlet, Source
from edgeloop import clock, durable, topics
from edgeloop.clock import NS
from edgeloop.config.quantities import Rate
from edgeloop.sim.conveyor import Camera, Conveyor, truth

LATE = NS // 2
"""ns after which a part has left the field of view."""
MISSED = 60 * NS
"""ns: parts that went by longer ago while nobody looked are only counted."""
WENT_BY = "it went by while nobody looked"
"""Before this run of the source began, or while the process was held up: the camera sees well."""
UNTOLD = 1000


class SimulatorOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seed: Annotated[int, Meta(title="Seed", description="everything random follows from it", ge=0)] = 0
    rate: Annotated[Rate, Meta(title="Rate", description="parts a second", extra={"ge": "0.01 Hz", "le": "1 kHz"})] = (
        Rate(5)
    )
    width: Annotated[int, Meta(title="Width", description="pixels", ge=64, le=4096)] = 320
    height: Annotated[int, Meta(title="Height", description="pixels", ge=64, le=4096)] = 240
    defective: Annotated[float, Meta(title="Defective", description="share of the parts", ge=0, le=1)] = 0.15


class State(msgspec.Struct):
    """What survives a restart. began: ns UTC."""

    seed: int
    rate: str
    began: int


class Simulator(Source[SimulatorOptions]):
    schemes = ("simulator",)
    options = SimulatorOptions

    def __init__(self, place: str, options: SimulatorOptions, outlet: Outlet) -> None:
        super().__init__(place, options, outlet)
        conveyor = Conveyor(
            outlet.id, options.seed, options.width, options.height, float(options.rate), options.defective
        )
        self._conveyor, self._camera = conveyor, Camera(conveyor)
        self._untold: deque[dict[str, Any]] = deque(maxlen=UNTOLD)

    def setup(self) -> None:
        self._load()
        if self.outlet.policy == "every":
            self._camera.image(0)

    def run(self) -> None:
        steady = clock.Steady()
        number, opened = self._first(steady.now()), steady.now()
        while True:
            if step := steady.stepped():
                self._begin(self._began + step)
                opened += step
            due = self._began + self._conveyor.due(number)
            wait = due - steady.now()
            if wait > 0 and self.outlet.wait(wait / NS):
                return
            if self.outlet.stop.is_set():
                return
            self._tell(number, due)
            name = self._name(number)
            if due < opened or steady.now() - due > LATE:
                self.outlet.missed(name, due, WENT_BY, blind=False)
            elif not self.outlet.put(self._camera.image(number), "rgb", time=due, part=name):
                return
            number += 1

    def _name(self, number: int) -> str:
        """The id of a part: no other run of the conveyor has it."""
        return f"{self._began // NS:x}-{number}"

    def _first(self, time: int) -> int:
        """The part after the last one seen, or the next where there is none; too old ones are left out."""
        now = time - self._began
        upcoming = self._conveyor.count(max(0, now))
        run, _, last = self.outlet.last_part.rpartition("-")
        if run != f"{self._began // NS:x}" or int(last) >= upcoming:
            return upcoming
        oldest = self._conveyor.count(max(0, now - MISSED))
        following = int(last) + 1
        if oldest > following:
            self.outlet.count("unseen", oldest - following)
        return max(following, oldest)

    def _tell(self, number: int, time: int) -> None:
        self._untold.append(truth(self._camera.part(number), self.outlet.id, self._name(number), time))
        while self._untold and self.outlet.publish(topics.TRUTH, self._untold[0]):
            self._untold.popleft()

    def _load(self) -> None:
        """The start, ns UTC, as it is kept in the work folder."""
        now, own = clock.now(), (self.configuration.seed, str(self.configuration.rate))
        try:
            kept = durable.read(self.outlet.state, State)
        except (OSError, durable.Damaged) as error:
            self.outlet.log(f"the simulation begins anew: {self.outlet.state} cannot be read: {error}")
            kept = None
        if kept is not None and (kept.seed, kept.rate) == own and kept.began <= now:
            self._began = kept.began
        else:
            self._begin(now)

    def _begin(self, at: int) -> None:
        state = State(self.configuration.seed, str(self.configuration.rate), at)
        durable.write(self.outlet.state, state)
        self._began = at


SOURCE = Simulator
