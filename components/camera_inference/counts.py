"""What a camera saw in the last second, as samples: for monitors, limits and pages."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from camera_inference.tracking import Event
from edgeloop import clock

SECOND: Final = 1.0
SHARES: Final = 60
"""Seconds over which shares are taken."""
WORDS: Final = ("pass", "fail", "unknown")


class Counts:
    """`verdict` and `events` from any thread, `due` from the loop's: one document a second."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        """zones: name → polygon or line."""
        self._zones = dict(zones)
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self._past: deque[Counter[str]] = deque(maxlen=SHARES)
        self._inside: Mapping[str, int] = {}
        self._told = time.monotonic()

    def verdict(self, word: str) -> None:
        with self._lock:
            self._now[word] += 1

    def events(self, events: Iterable[Event], inside: Mapping[str, int]) -> None:
        with self._lock:
            self._inside = inside
            for event in events:
                self._now[f"{event.zone}_{event.way or event.kind}"] += 1

    def due(self) -> dict[str, Any] | None:
        """What is to be published now: of the last second how many of each verdict, of the last minute their shares
        (none where nothing was judged), of each line how many went in and out, of each zone who is inside."""
        now = time.monotonic()
        if now - self._told < SECOND:
            return None
        self._told = max(self._told + SECOND, now - SECOND)
        with self._lock:
            seen, self._now = self._now, Counter()
            inside = dict(self._inside)
        self._past.append(seen)
        found: dict[str, Any] = {"time": clock.rfc3339(clock.now()), **{word: seen[word] for word in WORDS}}
        total = sum(each[word] for each in self._past for word in WORDS)
        for word in WORDS[1:]:
            if total:
                found[f"{word}_share"] = round(sum(each[word] for each in self._past) / total, 4)
        for name, form in self._zones.items():
            for what in ("in", "out") if form == "line" else ("entered", "left"):
                found[f"{name}_{what}"] = seen[f"{name}_{what}"]
            if form != "line":
                found[f"{name}_inside"] = inside.get(name, 0)
        return found
