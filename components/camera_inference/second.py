"""Second opinions of one camera: who is asked, how long a verdict is held, and what comes of the answer."""

from __future__ import annotations

import math
import random
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from typing import Any, Final, Protocol

import numpy as np
from msgspec.structs import replace

from camera_inference import pictures
from camera_inference.configuration import Camera, area
from camera_inference.documents import ModelName, Result
from camera_inference.frame import Frame
from camera_inference.verdict import Box, Word
from edgeloop import clock, decode, durable, topics
from edgeloop.documents import encode
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.limits.expression import Expression, Operand
from edgeloop.opinions.messages import Answer, Ask, Said, Where, identity
from edgeloop.opinions.settings import Opinion
from edgeloop.supervise import Surroundings

OUTSTANDING: Final = 64
"""Pictures asked about and not answered; with more, the edge's verdict stands at once."""
WRITING: Final = 8
GRACE: Final = 10 * clock.NS
"""ns for which an answer that comes too late still counts for statistics and labels."""
SILENT: Final = 3
"""Asks in a row that nobody answered, after which none is waited for until `TRIAL` is over."""
TRIAL: Final = 5 * clock.NS
WINDOW, LEAST, FALL = 200, 50, 0.2
"""Opinions that agreement is taken over, the fewest of them, and how far it falls below what it was to be an alarm."""
MARGIN, NARROWEST = 0.25, 96
"""Around what the edge found: of its size to each side; pixels that a crop has at least."""


class Around(Surroundings, Protocol):
    """What second opinions need of the component."""

    def publish(self, topic: str, document: Any) -> bool: ...

    def upload(self, messages: list[bytes], kind: str = ...) -> None: ...

    def keep(self, camera: Camera, frame: Frame, result: Result) -> None: ...

    def agreement(self, id: str, asset: str, line: str) -> None:
        """The edge and the cloud agree less than they did (a line), or as ever."""
        ...


@dataclass(slots=True)
class Asked:
    """What was asked. settled: whether its verdict is out."""

    id: str
    frame: Frame
    result: Result
    view: tuple[float, float, float, float]
    due: int
    begun: int
    settled: bool
    name: str = ""


class Second:
    """`consider` from the judging thread, `answer` from the bus's, `tick` from the loop's. `settle` is called exactly
    once for each verdict that is held: with the cloud's in time, else with the edge's own."""

    def __init__(
        self, id: str, camera: Camera, opinion: Opinion, folder: Path, around: Around, settle: Callable[[Result], None]
    ) -> None:
        self.id, self._camera, self._opinion = id, camera, opinion
        self._folder, self._around, self._settle = folder, around, settle
        self._condition = Expression(opinion.when) if opinion.when.strip() else None
        self._accept = frozenset(camera.accept.replace(",", " ").split())
        self._share, self._hold = opinion.share, int(opinion.deadline)
        self._region = area(camera.region)
        self._random = random.Random()
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._silent = 0
        self._paused = 0
        self._agreed: deque[bool] = deque(maxlen=WINDOW)
        self._before: float | None = None
        self._writing: Queue[Asked | None] = Queue(WRITING)
        self._thread = threading.Thread(target=self._write, name=f"opinions-{id}", daemon=True)

    def start(self) -> None:
        for path in self._folder.glob("*.jpg"):
            path.unlink(missing_ok=True)
        self._thread.start()

    def close(self) -> None:
        """What is held gets the edge's own verdict."""
        self._give_up(lambda asked: True, "given_up")
        self._around.clear(f"camera.{self.id}.opinion")
        try:
            self._writing.put(None, timeout=1.0)
        except Full:
            return
        self._thread.join(2.0)

    def consider(self, frame: Frame, result: Result) -> bool:
        """Perhaps asks; whether the part's verdict is held until `settle`."""
        if frame.image is None or not (self._unsure(result) or self._random.random() < self._share):
            return False
        now = clock.elapsed()
        if now < self._paused:
            self._around.count(f"opinions_not_asked.{self.id}")
            return False
        waits = self._camera.waits
        due = now + self._hold
        if waits and frame.seen:
            due = min(due, frame.seen + int(self._camera.deadline) - _reserve(self._camera))
        if waits and due <= now:
            return False
        asked = Asked(identity(frame.part, frame.time), frame, result, (0.0, 0.0, 1.0, 1.0), due, now, not waits)
        with self._lock:
            if len(self._asked) >= OUTSTANDING or asked.id in self._asked:
                self._around.count(f"opinions_not_asked.{self.id}")
                return False
            self._asked[asked.id] = asked
        try:
            self._writing.put_nowait(asked)
        except Full:
            with self._lock:
                del self._asked[asked.id]
            self._around.count(f"opinions_not_asked.{self.id}")
            return False
        self._around.count(f"opinions_asked.{self.id}")
        return waits

    def answer(self, payload: bytes) -> None:
        """VideoUpload's word about one of them."""
        key = f"camera.{self.id}.opinion"
        try:
            found = decode.document(payload, Answer, what="an opinion", where=topics.opinion(self.id, "+"))
        except DecodeError as error:
            self._around.count(f"opinions_damaged.{self.id}")
            self._around.problem(key, str(error))
            return
        with self._lock:
            asked = self._asked.pop(found.id, None)
            late = asked is None or asked.settled
            if asked is not None:
                asked.settled = True
            self._silent = 0
            self._paused = clock.elapsed() + min(found.pause, 60_000) * 1_000_000 if found.refused else 0
        if asked is None:
            return
        self._remove(asked)
        said = None if found.refused else found.said
        if said is None or not _sound(said, found.boxes):
            self._around.problem(
                key, f"{self.id}: no second opinion: {found.why or found.refused or 'it says nothing'}"
            )
            self._without(asked, late, found.refused or "error")
            return
        self._around.clear(key)
        self._with(asked, late, said, found)

    def tick(self) -> None:
        """Those whose time is over."""
        now = clock.elapsed()
        if self._give_up(lambda asked: asked.due <= now, "late"):
            with self._lock:
                self._silent += 1
                if self._silent >= SILENT:
                    self._paused = max(self._paused, now + TRIAL)
        with self._lock:
            gone = [a for a in self._asked.values() if a.settled and now - max(a.due, a.begun) > GRACE]
            for asked in gone:
                del self._asked[asked.id]
            if gone and not self._camera.waits:
                self._silent += 1
                self._paused = max(self._paused, now + TRIAL) if self._silent >= SILENT else self._paused
        for asked in gone:
            self._remove(asked)

    @property
    def due(self) -> int | None:
        """When the next verdict is held no longer, ns of the monotonic clock."""
        with self._lock:
            return min((a.due for a in self._asked.values() if not a.settled), default=None)

    def gauges(self) -> dict[str, float]:
        with self._lock:
            agreed = list(self._agreed)
        return {f"agreement.{self.id}": round(sum(agreed) / len(agreed), 4)} if agreed else {}

    # -- inside --------------------------------------------------------------------------------------------------------

    def _unsure(self, result: Result) -> bool:
        if self._condition is None:
            return False
        values: dict[Operand, Any] = {
            Operand("confidence"): result.confidence, Operand("novelty"): result.strange,
            Operand("score"): result.score, Operand("label"): result.label, Operand("verdict"): result.verdict,
        }  # fmt: skip
        return bool(self._condition.judge(values)[0])

    def _give_up(self, which: Callable[[Asked], bool], reason: str) -> int:
        """Settles those that are held with the edge's own verdict; how many."""
        with self._lock:
            over = [asked for asked in self._asked.values() if not asked.settled and which(asked)]
            for asked in over:
                asked.settled = True
        for asked in over:
            self._without(asked, False, reason)
        return len(over)

    def _without(self, asked: Asked, late: bool, reason: str) -> None:
        self._around.count(f"opinions_{reason.replace(' ', '_')}.{self.id}")
        if late:
            return
        result = replace(asked.result, decided=clock.now(), decided_by="edge", edge=_own(asked.result))
        self._settle(_timed(result, asked))
        self._around.keep(self._camera, asked.frame, result)

    def _with(self, asked: Asked, late: bool, said: Said, found: Answer) -> None:
        verdict = self._verdict(said)
        cloud = replace(said, verdict=verdict, model=said.model or found.endpoint)
        own = asked.result
        both = replace(own, edge=_own(own), cloud=cloud, decided_by="edge" if late else "cloud")
        agreed = own.verdict == verdict and (own.label == said.label or own.verdict == "pass")
        self._around.count(f"opinions_{'late' if late and self._camera.waits else 'heard'}.{self.id}")
        if not agreed:
            self._around.count(f"opinions_differ.{self.id}")
        if late:
            self._around.upload([encode(_document(both, found))], "opinions")
        else:
            boxes = tuple(_whole(box, asked.view) for box in found.boxes) or (own.boxes if agreed else ())
            both = replace(
                both, verdict=verdict, label=said.label, confidence=said.confidence, score=_badness(said, verdict),
                boxes=boxes, model=ModelName(cloud.model, cloud.version), decided=clock.now(), reason="",
            )  # fmt: skip
            both = _timed(both, asked)
            self._settle(both)
        if not late or not agreed:
            self._around.keep(self._camera, asked.frame, both)
        self._agree(agreed)

    def _verdict(self, said: Said) -> Word:
        if said.confidence < self._camera.certain:
            return "unknown"
        if said.verdict in ("pass", "fail", "unknown"):
            return said.verdict  # type: ignore[return-value]
        return "pass" if said.label in self._accept else "fail"

    def _agree(self, agreed: bool) -> None:
        with self._lock:
            self._agreed.append(agreed)
            count, share = len(self._agreed), sum(self._agreed) / len(self._agreed)
            if self._before is None and count == LEAST:
                self._before = share
            newest = list(self._agreed)[-LEAST:]
            before, now = self._before, sum(newest) / len(newest)
        if before is None or count < LEAST:
            return
        line = f"edge and cloud agree on {now:.0%} of the last {LEAST} pictures, {before:.0%} before"
        self._around.agreement(self.id, self._camera.asset, line if now < before - FALL else "")

    def _write(self) -> None:
        """Pictures to files and notices to the bus, on a thread of their own."""
        key = f"camera.{self.id}.opinions"
        while (asked := self._writing.get()) is not None:
            if asked.settled and self._camera.waits:
                continue
            try:
                notice = self._picture(asked)
                self._around.clear(key)
            except (EdgeloopError, OSError) as error:
                self._around.problem(key, f"{self.id}: a picture cannot be written: {error}")
                self._unasked(asked)
                continue
            if not self._around.publish(topics.ask(self.id), notice):
                self._unasked(asked)

    def _unasked(self, asked: Asked) -> None:
        with self._lock:
            self._asked.pop(asked.id, None)
            held, asked.settled = not asked.settled, True
        self._remove(asked)
        if held:
            self._without(asked, False, "error")

    def _picture(self, asked: Asked) -> Ask:
        """Raises EdgeloopError, OSError."""
        image = asked.frame.image
        assert image is not None
        height, width = image.shape[:2]
        if self._opinion.crop:
            asked.view = _view(asked.result.boxes, self._region, width, height)
        left, top, across, down = asked.view
        rows = slice(round(top * height), max(round((top + down) * height), round(top * height) + 1))
        columns = slice(round(left * width), max(round((left + across) * width), round(left * width) + 1))
        part = np.ascontiguousarray(image[rows, columns])
        data = pictures.jpeg(part, asked.frame.colour, self._opinion.quality)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        asked.name = f"{asked.id}.jpg"
        durable.replace(self._folder / asked.name, data, sync=False)
        own = asked.result
        due = asked.due if self._camera.waits else asked.begun + GRACE
        return Ask(camera=self.id, id=asked.id, time=own.time, file=asked.name, due=due, edge=_own(own), part=own.part)

    def _remove(self, asked: Asked) -> None:
        if asked.name:
            (self._folder / asked.name).unlink(missing_ok=True)


def _reserve(camera: Camera) -> int:
    """ns before a part's own deadline at which its held verdict goes out, so that it is never late."""
    return min(20_000_000, int(camera.deadline) // 10)


def _own(result: Result) -> Said:
    return Said(result.label, result.confidence, result.score, result.verdict, result.model.name, result.model.version)


def _timed(result: Result, asked: Asked) -> Result:
    latency = (clock.elapsed() - asked.frame.seen) / 1e6 if asked.frame.seen else result.latency_ms
    return replace(result, latency_ms=round(latency, 2))


def _badness(said: Said, verdict: Word) -> float:
    if said.score:
        return said.score
    return round(said.confidence if verdict == "fail" else 1 - said.confidence, 4)


def _sound(said: Said, boxes: tuple[Where, ...]) -> bool:
    numbers = [said.confidence, said.score, *(v for b in boxes for v in (b.x, b.y, b.width, b.height, b.score))]
    return bool(said.label) and all(math.isfinite(v) and -0.001 <= v <= 1.001 for v in numbers)


def _view(
    boxes: tuple[Box, ...], region: tuple[float, float, float, float], width: int, height: int
) -> tuple[float, float, float, float]:
    """Around what was found, with a margin; else the region.

    >>> _view((Box("scratch", 0.6, 0.4, 0.4, 0.2, 0.2),), (0.0, 0.0, 1.0, 1.0), 1000, 1000)
    (0.35, 0.35, 0.3, 0.3)
    """
    if not boxes:
        return region
    left, top = min(b.x for b in boxes), min(b.y for b in boxes)
    right, bottom = max(b.x + b.width for b in boxes), max(b.y + b.height for b in boxes)
    sides = []
    for low, high, pixels in ((left, right, width), (top, bottom, height)):
        size = min(1.0, max((high - low) * (1 + 2 * MARGIN), NARROWEST / pixels))
        begin = min(max(0.0, (low + high - size) / 2), 1.0 - size)
        sides.append((round(begin, 6), round(size, 6)))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _whole(box: Where, view: tuple[float, float, float, float]) -> Box:
    """From shares of the crop to shares of the picture."""
    left, top, across, down = view
    return Box(
        box.label, round(box.score, 4), round(left + box.x * across, 4), round(top + box.y * down, 4),
        round(box.width * across, 4), round(box.height * down, 4),
    )  # fmt: skip


def _document(result: Result, found: Answer) -> dict[str, Any]:
    return {"schema": 1, "result": result, "endpoint": found.endpoint, "took_ms": found.took_ms}
