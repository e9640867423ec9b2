"""Parts that another machine announces: the edge, the time until the part is in view, and the picture taken then."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from camera_inference.configuration import Camera
from camera_inference.frame import Frame
from edgeloop import clock, durable
from edgeloop.join import Condition, Latest
from edgeloop.join.asof import Value, column
from edgeloop.journal.segment import Position
from edgeloop.samples import SamplesSubscriber
from edgeloop.wire.batch import Batch, Item, RecordBatch

LARGEST: Final = 256 << 20
"""Bytes of the pictures that are kept for parts that are announced late."""
BURST: Final = 1000
"""Parts that one reading of a counter may announce."""
SAVE: Final = clock.NS


@dataclass(frozen=True, slots=True)
class Moment:
    """A part was announced. time: ns UTC of the edge; due: of the moment from which on a picture shows the part."""

    part: str
    time: int
    due: int


class Seen(msgspec.Struct, frozen=True):
    """What a trigger remembers: whether its condition held, and its counter's last reading."""

    held: bool | None = None
    counted: tuple[int, float] | None = None


class Trigger:
    """What announces one camera's parts. `take` gets all samples of its streams, in order.

    >>> Trigger(Camera(uri="x", policy="every", trigger="plc.present", part="mes.part")).streams == {"plc", "mes"}
    True
    """

    def __init__(self, camera: Camera) -> None:
        self._delay = int(camera.delay)
        self._edge = Condition.parse(camera.trigger) if camera.trigger else None
        self._counter = Condition.parse(camera.pulses.stream) if camera.pulses else None
        self._every = camera.pulses.every if camera.pulses else 0
        self._name = Condition.parse(camera.part) if camera.part else None
        self._names = Latest()
        self.seen = Seen()

    @property
    def streams(self) -> set[str]:
        return {each.stream for each in (self._edge, self._counter, self._name) if each is not None}

    def take(self, items: Sequence[Item]) -> list[Moment]:
        for time, value in _values(items, self._name):
            self._names.add(time, value)
        times = [time for time, value in _values(items, self._edge) if self._rises(value)]
        for time, value in _values(items, self._counter):
            times += self._crossed(time, value)
        return [Moment(self._called(time), time, time + self._delay) for time in times]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _rises(self, value: Value) -> bool:
        assert self._edge is not None
        if value != value:
            return False
        before, held = self.seen.held, self._edge.holds(value)
        if held != before:
            self.seen = msgspec.structs.replace(self.seen, held=held)
        return before is False and held

    def _crossed(self, time: int, value: Value) -> Iterable[int]:
        """When a counter passed each multiple, between two readings as if it ran evenly."""
        if isinstance(value, str) or value != value:
            return
        before = self.seen.counted
        self.seen = msgspec.structs.replace(self.seen, counted=(time, float(value)))
        if before is None or value <= before[1]:
            return
        began, count = before
        first, last = int(count // self._every) + 1, int(value // self._every)
        for k in range(max(first, last - BURST + 1), last + 1):
            yield began + int((time - began) * (k * self._every - count) / (value - count))

    def _called(self, time: int) -> str:
        """The part's id: what the stream says as of the edge, else the time itself, so that it is the same again."""
        value = self._names.at(time) if self._name is not None else None
        if value is None or value == "" or value != value:
            return f"{time:x}"
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value) if whole else value)[:64]


def _values(items: Sequence[Item], wanted: Condition | None) -> Iterable[tuple[int, Value]]:
    if wanted is None:
        return
    for item in items:
        if isinstance(item, Batch | RecordBatch) and item.stream == wanted.stream:
            yield from column(item, wanted.column) or ()


class Waiting:
    """Parts whose picture is still to come, and the pictures of the last moments. Safe on any thread."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._lock = threading.Lock()
        self._parts: OrderedDict[str, Moment] = OrderedDict()
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def frame(self, frame: Frame) -> list[Moment]:
        """The parts that this picture is the first of."""
        with self._lock:
            self._frames.append(frame)
            self._bytes += _size(frame)
            while self._frames and (frame.time - self._frames[0].time > self._span or self._bytes > LARGEST):
                self._bytes -= _size(self._frames.popleft())
            found = [moment for moment in self._parts.values() if moment.due <= frame.time]
            for moment in found:
                del self._parts[moment.part]
            return found

    def part(self, moment: Moment) -> Frame | None:
        """The first picture taken when the part was in view, if it was taken; else the part waits for it."""
        with self._lock:
            for frame in self._frames:
                if frame.time >= moment.due:
                    return frame
            self._parts[moment.part] = moment
            return None

    def drop(self, part: str) -> bool:
        """Whether a part was still waiting for its picture; now it is not."""
        with self._lock:
            return self._parts.pop(part, None) is not None


def _size(frame: Frame) -> int:
    return frame.image.nbytes if frame.image is not None else 0


class Cursor(msgspec.Struct, frozen=True):
    """How far the samples were read, and what each camera's trigger had seen by then."""

    segment: str
    offset: int
    seen: dict[str, Seen] = {}


Fire = Callable[[Sequence[Moment]], None]


class Announcements:
    """Reads the samples on a thread of its own, and hands the parts they announce to the cameras that follow.

    Kept in a file is how far it came: what was announced while nobody read is announced then, late.
    """

    def __init__(self, directory: Path, path: Path, log: Callable[[str], None]) -> None:
        self._path, self._log = path, log
        kept = self._recalled()
        self._seen = dict(kept.seen) if kept is not None else {}
        position = Position(kept.segment, kept.offset) if kept is not None else None
        self._samples = SamplesSubscriber(directory, None, position)
        self._followers: dict[str, tuple[Trigger, Fire]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._saved = 0
        self._thread = threading.Thread(target=self._run, name="triggers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def notice(self, topic: str, payload: bytes) -> None:
        """The handler of the samples topic."""
        self._samples.notice(payload)

    def follow(self, id: str, trigger: Trigger, fire: Fire) -> None:
        with self._lock:
            if known := self._seen.pop(id, None):
                trigger.seen = known
            self._followers[id] = trigger, fire

    def leave(self, id: str) -> None:
        with self._lock:
            self._followers.pop(id, None)

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        if not self._thread.is_alive():
            self._save()
            self._samples.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            items = self._samples.read(0.5) if self._followers else []
            with self._lock:
                for trigger, fire in self._followers.values() if items else ():
                    if moments := trigger.take(items):
                        fire(moments)
            if not self._followers:
                self._stop.wait(0.1)
            elif clock.elapsed() - self._saved > SAVE:
                self._save()

    def _save(self) -> None:
        self._saved = clock.elapsed()
        here = self._samples.position
        with self._lock:
            seen = {id: trigger.seen for id, (trigger, _) in self._followers.items()}
        cursor = Cursor(here.segment, here.offset, self._seen | seen)
        try:
            durable.write(self._path, cursor, sync=False)
        except OSError as error:
            self._log(f"how far the samples were read cannot be kept: {error.strerror}")

    def _recalled(self) -> Cursor | None:
        try:
            return durable.read(self._path, Cursor)
        except (OSError, durable.Damaged) as error:
            self._log(f"triggers begin now: {self._path} cannot be read: {error}")
            return None
