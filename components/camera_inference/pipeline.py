"""One camera with all that belongs to it: source, queue, preparation, parts, and what came of its frames."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from camera_inference import actions, pictures
from camera_inference.capture import Capture, Sink
from camera_inference.configuration import Camera, Policy, area
from camera_inference.counts import Counts
from camera_inference.documents import ModelName, Result
from camera_inference.frame import Every, Frame, Inbox, Latest
from camera_inference.gate import Gate
from camera_inference.inference import Preprocessor, Session
from camera_inference.parts import PartBook
from camera_inference.redaction import Redaction
from camera_inference.ring import Ring, forget
from camera_inference.second import Around as SecondAround
from camera_inference.second import Second
from camera_inference.sources import Place
from camera_inference.tracking import Event, Tracker
from camera_inference.trigger import Moment, Trigger, Waiting
from camera_inference.verdict import Box, Criteria, Finding
from camera_inference.zones import Zone
from edgeloop import clock, topics
from edgeloop.errors import EdgeloopError
from edgeloop.models.active import Loaded

CHANGES: Final = 200_000_000
"""ns between two results of a camera whose frames are no parts."""
STILL: Final = 10 * clock.NS
"""ns after which a result goes out although nothing changed."""
STOPPED: Final = "the camera was stopped"
HISTORY: Final = clock.NS
"""ns that pictures are kept longer than a part's deadline: a trigger may come late."""
EVENTS: Final = 20
"""Of one result."""
RING_QUALITY: Final = 90
SYNC: Final = 1.0
"""s: what a power cut can take."""


class Around(SecondAround, Protocol):
    """What a camera needs of the component."""

    def sight(self, id: str, asset: str, reason: str) -> None:
        """A camera's picture shows something (no reason), or nothing."""
        ...


class CameraPipeline:
    """`start`, then `tick` and `collect` from the loop's thread, then `end` and, once `ended`, `close`."""

    def __init__(self, id: str, camera: Camera, place: Place, session: Session, folder: Path, around: Around) -> None:
        self.id, self.camera = id, camera
        self._around = around
        self._book: PartBook | None = None
        self._out: deque[Result] = deque()
        self._unsent: deque[tuple[str, dict[str, Any]]] = deque()
        """Actions that found no place on the bus; sent while they are worth something."""
        self._told: Result | None = None
        self._latest: Result | None = None
        self._latencies: deque[float] = deque(maxlen=1000)
        self._inferred = self._counted = 0
        self._synced = self._gauged = time.monotonic()
        zones = {name: Zone.parse(text) for name, text in camera.zones.items()}
        self._shadow = session.shadow
        self._tracker = Tracker(zones) if camera.track else None
        self._events: list[Event] = []
        self._counts = Counts({name: zone.form for name, zone in zones.items()}) if camera.stream else None
        self._redaction: Redaction | None = None
        if camera.redact is not None:
            self._redaction = Redaction(camera.redact.labels, [zones[n] for n in _words(camera.redact.zones)])
        self._trigger = Trigger(camera) if camera.triggered else None
        self._waiting = Waiting(int(camera.deadline) + HISTORY) if camera.triggered else None
        self.watchers: list[Callable[[Frame], None]] = []
        """Called with each frame as it comes, on the camera's thread."""
        inbox: Inbox = Latest()
        if camera.policy == "every":
            inbox = Every(camera.queue)
            self._book = PartBook(folder / "parts", id)
        self._inbox = inbox
        (folder / "cameras").mkdir(mode=0o700, exist_ok=True)
        sink = Sink(self._put, inbox.room, lambda: self._book.last if self._book else "", self._enough)
        self._ring = self._made(folder / "video" / id)
        policy: Policy = "latest" if self._waiting is not None else camera.policy
        ring = self._ring if self._redaction is None else None
        self._capture = Capture(id, place, policy, folder / "cameras" / f"{id}.json", sink, around, ring)
        criteria = Criteria(frozenset(camera.accept.replace(",", " ").split()), camera.threshold, camera.certain)
        interval = 1 / float(camera.rate) if camera.rate and camera.policy == "latest" else 0.0
        self._second: Second | None = None
        if camera.opinion is not None:
            self._second = Second(id, camera, camera.opinion, folder / "opinions" / id, around, self._settled)
        self._gate = Gate(camera.pictures, folder / "cameras" / f"{id}.pictures.json")
        region = area(camera.region)
        masks = [zones[name] for name in _words(camera.mask)]
        self._preprocessor = Preprocessor(
            id, inbox, session, region, criteria, self._gate, self._done, interval, masks,
            camera.motion if camera.policy == "latest" else 0.0, lambda: around.count(f"still.{id}"),
        )  # fmt: skip

    def start(self) -> None:
        if self._book is not None:
            for result in self._book.pending():
                self._announce(result)
            for part in self._book.left:
                self._decide(self._unknown(part.part, part.time, 0, "the process ended before it was judged"))
        if self._second is not None:
            self._second.start()
        self._preprocessor.start()
        self._capture.start()

    def end(self) -> None:
        """Asks everything to end; does not wait."""
        self._capture.end()
        self._inbox.close()

    @property
    def ended(self) -> bool:
        return self._capture.ended

    def close(self, timeout: float = 1.0) -> None:
        self._capture.join(timeout)
        self._preprocessor.close(timeout)
        if self._second is not None:
            self._second.close()
        if self._book is not None:
            for part in self._book.overdue(time.monotonic_ns()):
                self._decide(self._unknown(part.part, part.time, part.seen, STOPPED))

    def release(self) -> None:
        """The last step, when nothing is to be collected any more."""
        if self._ring is not None and self._capture.ended:
            self._ring.close()
        self._keep_learned()
        if self._book is not None:
            self._book.sync()
            self._book.close()

    def tick(self) -> None:
        """Parts that are too old; what has to reach the disk; gauges."""
        now = time.monotonic()
        book = self._book
        self._act_late()
        if self._second is not None:
            self._second.tick()
        if book is not None:
            deadline = int(self.camera.deadline)
            for part in book.overdue(time.monotonic_ns() - deadline):
                reason = f"no verdict within {self.camera.deadline}"
                if self._waiting is not None and self._waiting.drop(part.part):
                    reason = "no picture"
                if self._decide(self._unknown(part.part, part.time, part.seen, reason)):
                    self._around.count(f"late.{self.id}")
            if now - self._synced >= SYNC:
                self._synced = now
                book.sync()
            key = f"camera.{self.id}.parts"
            if book.trouble:
                line = f"{self.id}: verdicts cannot be journalled: {book.trouble}; free space on the disk"
                self._around.problem(key, line)
            else:
                self._around.clear(key)
        if self._gate.due:
            self._keep_learned()

    def _act_late(self) -> None:
        while self._unsent:
            topic, document = self._unsent[0]
            late = document["expires"] < clock.now()
            if late:
                self._around.count(f"actions_late.{self.id}")
            elif not self._around.publish(topic, document):
                return
            self._unsent.popleft()

    def counted(self) -> dict[str, Any] | None:
        """What the camera saw in the last second, once a second, where that is a stream."""
        return self._counts.due() if self._counts is not None else None

    @property
    def trigger(self) -> Trigger | None:
        """What announces its parts, and is to be given to `fire`."""
        return self._trigger

    @property
    def fire(self) -> Callable[[Sequence[Moment]], None]:
        return self._announced

    def learn(self) -> None:
        """What its pictures are usually like is learned anew."""
        try:
            self._gate.forget()
        except OSError as error:
            self._around.problem(f"camera.{self.id}.learned", f"{self.id}: what was learned cannot be deleted: {error}")

    def due(self) -> float:
        """s until the next part is too old; infinite where none waits."""
        oldest = self._book.oldest if self._book is not None else None
        held = self._second.due if self._second is not None else None
        ends = [oldest + int(self.camera.deadline)] if oldest is not None else []
        ends += [held] if held is not None else []
        return max(0.0, (min(ends) - time.monotonic_ns()) / 1e9) if ends else float("inf")

    def opinion(self, payload: bytes) -> None:
        """A second opinion, from the bus."""
        if self._second is not None:
            self._second.answer(payload)

    def collect(self) -> list[Result]:
        """What is to be published now."""
        if self._book is not None:
            found = []
            while self._out:
                found.append(self._out.popleft())
            return found
        latest, told = self._latest, self._told
        if latest is not None and self._events:
            events, self._events = self._events, []
            self._told = latest
            return [msgspec.structs.replace(latest, events=tuple(events))]
        if latest is None or latest is told:
            return []
        if told is not None:
            age = latest.decided - told.decided
            if age < CHANGES or (age < STILL and not _differs(latest, told)):
                return []
        self._told = latest
        return [latest]

    def again(self, results: list[Result]) -> None:
        """Results that nobody took."""
        if self._book is not None:
            self._out.extendleft(reversed(results))

    def announced(self, parts: list[str]) -> None:
        if self._book is not None:
            self._book.announced(parts)

    def gauges(self) -> dict[str, float]:
        """Frames a second since the last call, and latencies in ms."""
        now = time.monotonic()
        span, self._gauged = now - self._gauged, now
        done, self._counted = self._inferred - self._counted, self._inferred
        numbers = {f"fps.{self.id}": round(done / max(span, 1e-6), 2)}
        if values := sorted(self._latencies):
            numbers[f"latency_ms_p50.{self.id}"] = round(values[len(values) // 2], 2)
            numbers[f"latency_ms_p99.{self.id}"] = round(values[min(len(values) - 1, len(values) * 99 // 100)], 2)
        return numbers | (self._second.gauges() if self._second is not None else {})

    # -- inside --------------------------------------------------------------------------------------------------------

    def _made(self, folder: Path) -> Ring | None:
        key = f"camera.{self.id}.ring"
        try:
            self._around.clear(key)
            if self.camera.kept:
                return Ring(folder, int(self.camera.kept))
            forget(folder)
            return None
        except OSError as error:
            self._around.problem(key, f"{self.id}: its last pictures cannot be kept: {error}")
            return None

    def _enough(self, width: int, height: int) -> bool:
        """Whether a smaller picture does: not where it is shown to others than the model."""
        shown = self.camera.opinion is not None or self._redaction is not None or self.watchers
        return not shown and self._preprocessor.enough(width, height)

    def _put(self, frame: Frame) -> None:
        """From the camera's thread."""
        for watch in list(self.watchers):
            watch(frame)
        if self._waiting is not None:
            for moment in self._waiting.frame(frame):
                self._view(moment, frame)
        elif self._book is None:
            if frame.image is None:
                self._blind(frame)
            elif self._inbox.put(frame) is not None:
                self._around.count(f"skipped.{self.id}")
        elif not self._book.open(frame.part, frame.time, frame.seen):
            self._around.count(f"repeated.{self.id}")
        else:
            self._take(frame)

    def _announced(self, moments: Sequence[Moment]) -> None:
        """Parts that a trigger announced, from its thread."""
        assert self._book is not None
        assert self._waiting is not None
        for moment in moments:
            if not self._book.open(moment.part, moment.time, _seen(moment)):
                self._around.count(f"repeated.{self.id}")
                continue
            self._around.count(f"triggers.{self.id}")
            frame = self._waiting.part(moment)
            if frame is not None:
                self._view(moment, frame)

    def _view(self, moment: Moment, frame: Frame) -> None:
        """The first picture that was taken when a part was in view."""
        self._take(replace(frame, part=moment.part, time=moment.time, seen=_seen(moment)))

    def _take(self, frame: Frame) -> None:
        """A part that is open."""
        if frame.image is None:
            self._decide(self._unknown(frame.part, frame.time, frame.seen, frame.reason))
        elif self._inbox.put(frame) is not None:
            self._around.count(f"skipped.{self.id}")
            reason = STOPPED if self._inbox.closed else "too many parts wait"
            self._decide(self._unknown(frame.part, frame.time, frame.seen, reason))

    def _done(
        self, frame: Frame, finding: Finding | None, loaded: Loaded | None, error: str, strange: float = 0.0
    ) -> None:
        """From the judging thread."""
        if frame.reason:
            self._blind(frame)
            return
        key = f"camera.{self.id}.inference"
        if finding is None or loaded is None:
            if not self.camera.judged_by:
                error = f"no model: edgeloop teach NAME --from URI --camera {self.id} makes one of thirty good parts"
            self._around.problem(key, f"{self.id}: {error}")
            self._around.count(f"not_inferred.{self.id}")
            self._judged(self._unknown(frame.part, frame.time, frame.seen, error))
            return
        self._around.clear(key)
        self._sees("")
        self._around.count(f"inferred.{self.id}")
        self._inferred += 1
        latency = (time.monotonic_ns() - frame.seen) / 1e6
        self._latencies.append(latency)
        manifest = loaded.manifest
        boxes, events = self._followed(finding, frame.time)
        result = Result(
            camera=self.id,
            part=frame.part,
            asset=self.camera.asset,
            time=frame.time,
            decided=clock.now(),
            verdict=self._preprocessor.criteria.judge(finding, manifest),
            label=finding.label,
            score=finding.score,
            confidence=finding.confidence,
            boxes=boxes,
            events=() if self._book is None else events,
            model=ModelName(manifest.name, manifest.version),
            latency_ms=round(latency, 2),
            reason=finding.reason,
            strange=round(strange, 2),
            margin=finding.margin,
            entropy=finding.entropy,
        )
        shown = self._shown(frame, boxes, manifest.task == "detection")
        if self._second is not None and shown is not None and self._second.consider(shown, result):
            return
        self._judged(result)
        if shown is not None:
            self._around.keep(self.camera, shown, result)
        if self._shadow is not None:
            self._shadow.offer(frame, result, self._preprocessor.criteria, area(self.camera.region))

    def _followed(self, finding: Finding, at: int) -> tuple[tuple[Box, ...], tuple[Event, ...]]:
        """Its boxes with the numbers of what they show, and what that did."""
        if self._tracker is None:
            return finding.boxes, ()
        boxes, events = self._tracker.update(finding.boxes, at)
        if self._counts is not None:
            self._counts.events(events, self._tracker.inside)
        if self._book is None and events:
            self._events = [*self._events, *events][-EVENTS:]
        return boxes, tuple(events[:EVENTS])

    def _shown(self, frame: Frame, boxes: Sequence[Box], located: bool) -> Frame | None:
        """What others may see of a picture; None: nothing."""
        if self._redaction is None or frame.image is None:
            return frame
        key = f"camera.{self.id}.redaction"
        try:
            image = self._redaction.applied(frame.image, boxes, located=located)
            if self._ring is not None:
                jpeg = pictures.jpeg(image, frame.colour, RING_QUALITY)
                self._ring.picture(jpeg, frame.time, image.shape[1], image.shape[0])
        except (EdgeloopError, OSError) as error:
            self._around.count(f"not_kept.{self.id}")
            self._around.problem(key, f"{self.id}: {error}")
            return None
        self._around.clear(key)
        return replace(frame, image=image, jpeg=b"")

    def _judged(self, result: Result) -> None:
        if self._book is None:
            self._word(result)
            self._latest = result
        else:
            self._decide(result)

    def _word(self, result: Result) -> None:
        self._around.count(f"{result.verdict}.{self.id}")
        if self._counts is not None:
            self._counts.verdict(result.verdict)

    def _settled(self, result: Result) -> None:
        """The verdict of a part that was held for a second opinion."""
        self._latencies.append(result.latency_ms)
        self._decide(result)

    def _blind(self, frame: Frame) -> None:
        """A picture that shows nothing is no good one, whatever a model would say of it."""
        self._around.count(f"blind.{self.id}")
        if frame.blind:
            self._sees(frame.reason)
        self._judged(self._unknown(frame.part, frame.time, frame.seen, frame.reason))

    def _keep_learned(self) -> None:
        key = f"camera.{self.id}.learned"
        try:
            self._gate.save()
            self._around.clear(key)
        except OSError as error:
            self._around.problem(key, f"{self.id}: what its pictures are like cannot be kept: {error}")

    def _sees(self, reason: str) -> None:
        key = f"camera.{self.id}.picture"
        if reason:
            self._around.problem(key, f"{self.id}: {reason}")
        else:
            self._around.clear(key)
        self._around.sight(self.id, self.camera.asset, reason)

    def _decide(self, result: Result) -> bool:
        assert self._book is not None
        first = self._book.decide(result)
        if first:
            self._word(result)
            self._announce(result)
        return first

    def _announce(self, result: Result) -> None:
        action = actions.act(self.camera, result)
        if action is not None:
            document: dict[str, Any] = actions.document(action, result)
            if not self._around.publish(topics.action(action.source), document):
                self._unsent.append((topics.action(action.source), document))
            self._around.count(f"actions.{self.id}")
        self._out.append(result)

    def _unknown(self, part: str, at: int, seen: int, reason: str) -> Result:
        latency = round((time.monotonic_ns() - seen) / 1e6, 2) if seen else 0.0
        return Result(
            camera=self.id, part=part, asset=self.camera.asset, time=at, decided=clock.now(),
            verdict="unknown", latency_ms=latency, reason=reason,
        )  # fmt: skip


def _seen(moment: Moment) -> int:
    """When a part was in view, ns of the monotonic clock."""
    return time.monotonic_ns() - (clock.now() - moment.due)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _differs(one: Result, other: Result) -> bool:
    """Whether a result says something else than another."""
    labels = [sorted(box.label for box in result.boxes) for result in (one, other)]
    return (one.verdict, one.label, one.model) != (other.verdict, other.label, other.model) or labels[0] != labels[1]
