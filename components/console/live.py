"""What the bus says now: the newest word of each component, monitor, alarm and part."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from console import messages
from console.hub import Hub
from edgeloop import decode, topics
from edgeloop.alarms import Alarm
from edgeloop.alarms.journal import read
from edgeloop.bus import Bus
from edgeloop.errors import EdgeloopError
from edgeloop.topics import short

BOOKS: Final = ("io.edgeloop.AnomalyInference", "io.edgeloop.CameraInference")
"""Components that raise alarms."""
ALARMS_FILE: Final = "alarms.jsonl"
VERDICTS: Final = ("pass", "fail", "unknown")
PARTS: Final = 2_000
"""Verdicts kept of each camera."""
CLOSED: Final = 1_000
"""Alarms kept that are over."""
QUIET: Final = 25.0
"""s without a word after which a component counts as silent; it speaks every 10 s."""
LIVE: Final = 1.0
"""s between two sendings of the monitors' newest words to open pages."""
_DEPTH: Final = 2_048


class Health(msgspec.Struct, frozen=True):
    """heard: monotonic s."""

    document: dict[str, Any]
    heard: float

    @property
    def silent(self) -> bool:
        return time.monotonic() - self.heard > QUIET


class Live:
    """Filled by the bus's threads, read by the page's."""

    def __init__(self, root: Path, hub: Hub, problem: Any) -> None:
        self._root, self._hub, self._problem = root, hub, problem
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._healths: dict[str, Health] = {}
        self._monitors: dict[str, dict[str, Any]] = {}
        self._alarms: OrderedDict[str, Alarm] = OrderedDict()
        self._parts: dict[str, deque[dict[str, Any]]] = {}
        self._waiting: list[tuple[str, threading.Event]] = []
        self._told = 0.0
        self.changes = 0
        """Counts alarms and states that changed."""

    def start(self, bus: Bus) -> None:
        self.load()
        bus.subscribe(topics.ALARMS, self._alarm, _DEPTH)
        bus.subscribe(topics.results("+"), self._results, _DEPTH)
        bus.subscribe(topics.health("+"), self._health, _DEPTH)

    def load(self) -> None:
        """The alarms that their owners keep; the bus brings what changes."""
        for component in BOOKS:
            path = self._root / "work" / component / ALARMS_FILE
            try:
                alarms = read(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._problem(f"alarms of {short(component)}", f"cannot read {path}: {error.strerror}")
                continue
            self._problem(f"alarms of {short(component)}", None)
            with self._lock:
                for alarm in alarms:
                    known = self._alarms.get(alarm.id)
                    if known is None or known.time < alarm.time:
                        self._alarms[alarm.id] = alarm

    # -- what pages ask ------------------------------------------------------------------------------------------------

    @property
    def heard_for(self) -> float:
        """s since this process listens."""
        return time.monotonic() - self._began

    def alarms(self) -> list[Alarm]:
        """Oldest first."""
        with self._lock:
            return sorted(self._alarms.values(), key=lambda alarm: alarm.raised_at)

    def alarm(self, id: str) -> Alarm | None:
        with self._lock:
            return self._alarms.get(id)

    def healths(self) -> dict[str, Health]:
        with self._lock:
            return dict(sorted(self._healths.items()))

    def monitors(self) -> dict[str, dict[str, Any]]:
        """The newest result of each; `received` in monotonic s."""
        with self._lock:
            return dict(sorted(self._monitors.items()))

    def parts(self, cameras: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Newest first."""
        with self._lock:
            chosen = self._parts.values() if cameras is None else [self._parts.get(c, deque()) for c in cameras]
            found = [part for parts in chosen for part in parts]
        return sorted(found, key=lambda part: -int(part["decided"]))

    def counts(self) -> dict[str, dict[str, int]]:
        """Verdicts by camera since CameraInference began, by its own count: not every result is sent."""
        health = self.healths().get("CameraInference")
        counters = health.document.get("counters", {}) if health else {}
        found: dict[str, dict[str, int]] = {}
        for name, count in counters.items():
            verdict, _, camera = str(name).partition(".")
            if verdict in VERDICTS and camera:
                found.setdefault(camera, {})[verdict] = int(count)
        return found

    def confirmed(self, id: str, fits: Any, seconds: float) -> Alarm | None:
        """The alarm as soon as it is as `fits(alarm)` wants it, else as it is after `seconds`."""
        event = threading.Event()
        entry = (id, event)
        with self._lock:
            self._waiting.append(entry)
        try:
            end = time.monotonic() + seconds
            while True:
                alarm = self.alarm(id)
                if alarm is not None and fits(alarm):
                    return alarm
                left = end - time.monotonic()
                if left <= 0:
                    return alarm
                event.wait(left)
                event.clear()
        finally:
            with self._lock:
                self._waiting.remove(entry)

    # -- what the bus brings -------------------------------------------------------------------------------------------

    def _alarm(self, topic: str, payload: bytes) -> None:
        alarm = decode.document(payload, Alarm, what="an alarm", where=topic)
        with self._lock:
            known = self._alarms.get(alarm.id)
            if known is not None and known.time > alarm.time:
                return
            self._alarms[alarm.id] = alarm
            self.changes += 1
            over = [a.id for a in self._alarms.values() if not a.open]
            for id in over[: max(0, len(over) - CLOSED)]:
                del self._alarms[id]
            waiting = [event for id, event in self._waiting if id == alarm.id]
        for event in waiting:
            event.set()
        self._hub.tell("alarm", msgspec.to_builtins(alarm))

    def _results(self, topic: str, payload: bytes) -> None:
        document = decode.document(payload, messages.Results, what="results", where=topic)
        try:
            monitors, parts = messages.results(document)
        except msgspec.ValidationError as error:
            raise EdgeloopError("not results", where=topic, why=str(error)) from None
        received = time.monotonic()
        news = {one.monitor: {**msgspec.to_builtins(one), "received": received} for one in monitors}
        with self._lock:
            self._monitors.update(news)
            due = bool(news) and received - self._told >= LIVE
            if due:
                self._told = received
            for part in parts:
                self._parts.setdefault(part.camera, deque(maxlen=PARTS)).append(msgspec.to_builtins(part))
        if due:
            self._hub.tell("monitors", list(self.monitors().values()))
        for part in parts:
            self._hub.tell("part", part)

    def _health(self, topic: str, payload: bytes) -> None:
        said = decode.document(payload, messages.HealthDocument, what="a health document", where=topic)
        document = msgspec.to_builtins(said)
        name = topic.rpartition("/")[2]
        with self._lock:
            known = self._healths.get(name)
            self._healths[name] = Health(document, time.monotonic())
        if known is None or _said(known.document) != _said(document):
            self.changes += 1
            self._hub.tell("health", {"component": name, "state": document.get("state")})
        if known is None:
            self.load()


def _said(document: dict[str, Any]) -> tuple[Any, Any]:
    return document.get("state"), document.get("problems")
