"""Listens to everything on the bus, as an unmodified client with an operator's token."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.clock import NS, now
from edgeloop.errors import WireError
from edgeloop.samples import SamplesSubscriber
from edgeloop.samples.notice import decode as decode_notice
from edgeloop.wire.batch import Batch, Dropped, Item, RecordBatch
from edgeloop_tools.harness.documents import (
    ActionResult,
    AlarmEvent,
    Health,
    Inspections,
    ModelState,
    PartTruth,
    Results,
    TruthEvent,
    read,
)
from edgeloop_tools.harness.recording import Inspected, Received, Recording, Score

SCORED = frozenset({"shadow", "live"})
"""States of a monitor whose score means something."""
EVERYTHING = "edgeloop/#"


@dataclass(slots=True)
class StreamNow:
    """A stream as the live view shows it. levels: RMS (or the first value) of the last batches, newest last.

    newest: the last batch of samples, None for records.
    """

    samples: int = 0
    channels: int = 0
    unit: str = ""
    at: int = 0
    levels: deque[float] = field(default_factory=lambda: deque(maxlen=40))
    counts: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=400))
    note: str = ""
    newest: Batch | None = None

    def rate(self, window: int = 2 * NS) -> float:
        """Samples a second as they arrived over the last `window` ns."""
        since = now() - window
        return sum(n for at, n in list(self.counts) if at >= since) * NS / window


class Observer:
    """Fills a Recording from the bus, and `streams` from the samples topic. Close it when done."""

    def __init__(self, access: Callable[[], tuple[Path, str]], journal: Path, recording: Recording) -> None:
        """access: the bus's socket and a token; asked again when the nucleus no longer knows the token."""
        self.recording = recording
        self.streams: dict[str, StreamNow] = {}
        self._access = access
        self._closing, self._refused = threading.Event(), threading.Event()
        self._samples = SamplesSubscriber(journal, None)
        self._bus = self._connect()
        self._reader = threading.Thread(target=self._read, name="samples", daemon=True)
        self._reader.start()

    @property
    def bus(self) -> Bus:
        """For publishing what no component would, and for questions."""
        return self._bus

    def close(self) -> None:
        self._closing.set()
        self._reader.join(timeout=5)
        self._bus.__exit__(None, None, None)
        self._samples.close()

    def _connect(self) -> Bus:
        socket, token = self._access()
        bus = Bus(socket=socket, token=token, on_refused=self._refused.set)
        bus.__enter__()
        bus.subscribe(EVERYTHING, self._receive, depth=8192)
        return bus

    def _receive(self, topic: str, payload: bytes) -> None:
        at, seen = now(), self.recording
        seen.messages[topic] += 1
        seen.message_bytes += len(payload)
        seen.per_second[at // NS] += 1
        kind = topic.split("/")[1] if "/" in topic else topic
        handler = self._handlers.get(topic) or self._handlers.get(kind)
        if handler is not None and not handler(self, at, payload):
            seen.unreadable[topic] += 1

    def _notice(self, at: int, payload: bytes) -> bool:
        try:
            notice = decode_notice(payload)
        except WireError:
            return False
        ends = self.recording.announced_bytes
        ends[notice.segment] = max(ends.get(notice.segment, 0), notice.end)
        self._samples.notice(payload)
        return True

    def _truth(self, at: int, payload: bytes) -> bool:
        event = read(payload, TruthEvent)
        if event is None:
            return self._part(payload)
        known = self.recording.truth.get(event.id)
        if known is None or event.state == "ended":
            self.recording.truth[event.id] = event
        where = f"{event.machine} {event.channel or ''}".strip()
        verb = "begins" if event.state == "started" else "ends"
        self.recording.say("truth", f"{event.kind.replace('_', ' ')} {verb} on {where}")
        return True

    def _part(self, payload: bytes) -> bool:
        part = read(payload, PartTruth)
        if part is None:
            return False
        self.recording.parts[part.camera, part.part] = part
        return True

    def _inspections(self, at: int, payload: bytes) -> bool:
        document = read(payload, Inspections)
        if document is None:
            return False
        for inspection in document.results:
            self.recording.inspections.append(Inspected(at, inspection))
            if inspection.verdict == "fail" and inspection.part:
                words = f"{inspection.camera} part {inspection.part}: {inspection.label} {inspection.score:.2f}"
                self.recording.say("reject", words)
        return True

    def _model(self, at: int, payload: bytes) -> bool:
        state = read(payload, ModelState)
        if state is None:
            return False
        self.recording.models[state.name].append(state)
        version = state.active.version if state.active else "the default"
        self.recording.say("model", f"{state.name}: {version}, {state.state.replace('_', ' ')}")
        return True

    def _alarm(self, at: int, payload: bytes) -> bool:
        event = read(payload, AlarmEvent)
        if event is None:
            return False
        self.recording.alarms.append(Received(at, event))
        words = f"{event.state}: {event.asset} {event.called}: {event.text}"
        first = self.recording.after(event) if event.state == "raised" else ""
        self.recording.say("alarm", f"{words}; {first}" if first else words)
        return True

    def _results(self, at: int, payload: bytes) -> bool:
        document = read(payload, Results)
        if document is None:
            return False
        for result in document.results:
            if result.score is None or result.state not in SCORED:
                continue
            if self.recording.first_score is None:
                self.recording.first_score = at
                self.recording.say("score", f"first score: {result.monitor} {result.score:.2f}")
            self.recording.scores[result.monitor].append(Score(at, result))
        return True

    def _action(self, at: int, payload: bytes) -> bool:
        result = read(payload, ActionResult)
        if result is None:
            return False
        self.recording.actions.append(result)
        what = f"{result.target}={result.value} on {result.source}"
        self.recording.say("action", f"{what}: {result.outcome}" + (f" ({result.reason})" if result.reason else ""))
        return True

    def _health(self, at: int, payload: bytes) -> bool:
        health = read(payload, Health)
        if health is None:
            return False
        known = self.recording.health.get(health.component)
        self.recording.health[health.component] = health
        if known is None or known.state != health.state:
            self.recording.say("health", f"{topics.short(health.component)} is {health.state}")
        for problem in health.problems:
            if " is refused: " in problem.line and self.recording.refusals.get(problem.key) != problem.line:
                self.recording.refusals[problem.key] = problem.line
                self.recording.say("model", problem.line)
        return True

    _handlers: ClassVar[dict[str, Callable[[Observer, int, bytes], bool]]] = {
        topics.SAMPLES: _notice,
        topics.TRUTH: _truth,
        topics.results("CameraInference"): _inspections,
        "models": _model,
        "alarms": _alarm,
        "results": _results,
        topics.ACTION_RESULTS: _action,
        "health": _health,
    }

    def _read(self) -> None:
        while not self._closing.is_set():
            for item in self._samples.read(timeout=0.5):
                self._see(item)
            if self._refused.is_set():
                self._refused.clear()
                self._bus.__exit__(None, None, None)
                self._bus = self._connect()

    def _see(self, item: Item) -> None:
        if isinstance(item, Dropped):
            return
        self.recording.announce(item.stream, item.epoch, item.index, len(item))
        stream = self.streams.setdefault(item.stream, StreamNow())
        stream.samples += len(item)
        stream.at = now()
        stream.counts.append((stream.at, len(item)))
        if isinstance(item, Batch):
            stream.channels = len(item.channels)
            stream.unit = item.channels[0].unit if item.channels else ""
            stream.levels.append(_level(item))
            stream.newest = item
        else:
            stream.channels = len(item.columns)
            stream.note = _last_record(item)


def _level(batch: Batch) -> float:
    first = np.asarray(batch.samples[:, 0], dtype=np.float64) * batch.channels[0].scale + batch.channels[0].offset
    return float(np.std(first)) if len(first) > 16 else float(first[-1])


def _last_record(item: RecordBatch) -> str:
    parts = []
    for name, column in item.columns.items():
        value = column.values[-1]
        if column.type == "bool":
            parts.append(name if value else f"not {name}")
        elif column.labels:
            parts.append(column.labels[int(value)])
        else:
            parts.append(f"{name} {value}")
    return ", ".join(parts)
