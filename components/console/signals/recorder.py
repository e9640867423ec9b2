"""Follows the samples and keeps the history of the streams that are charted."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from console.configuration import Configuration
from console.hub import Hub
from console.signals.pyramid import Pyramid, trim
from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError
from edgeloop.journal import Position, directory
from edgeloop.samples import SamplesSubscriber
from edgeloop.wire.batch import Batch, Item, RecordBatch

SLOW: Final = 100.0
"""Hz up to which a stream's history is kept without being named."""
FLUSH: Final = 10.0
TRIM: Final = 300.0
LIVE: Final = 1.0
"""s between two sendings of the newest values to open pages."""


class Seen(msgspec.Struct, kw_only=True):
    """A stream as it was last seen. rate: Hz, 0 where each row has its time."""

    stream: str
    rate: float
    channels: tuple[tuple[str, str], ...]
    time: int
    kept: bool
    values: tuple[float, ...]


class _Place(msgspec.Struct, frozen=True):
    segment: str = ""
    offset: int = 0


class Recorder:
    """A thread of its own; pages read `streams` and the files."""

    def __init__(self, root: Path, folder: Path, hub: Hub, problem: Any) -> None:
        self.folder = folder
        self._hub, self._problem = hub, problem
        self._place = Document(folder / "place.json", _Place, _Place)
        self._samples = SamplesSubscriber(directory(root), None, self._restored())
        self._pyramids: dict[str, Pyramid] = {}
        self._named: frozenset[str] = frozenset()
        self._watched: frozenset[str] = frozenset()
        self._budget = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
        self.streams: dict[str, Seen] = {}
        self.bytes = 0

    def start(self, bus: Bus) -> None:
        bus.subscribe(topics.SAMPLES, lambda topic, payload: self._samples.notice(payload))
        self._thread.start()

    def apply(self, configuration: Configuration, watched: frozenset[str]) -> None:
        """watched: streams of monitors."""
        self._named, self._watched = frozenset(configuration.streams.split()), watched
        self._budget = int(configuration.budget)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(3.0)
        self._samples.close()

    @property
    def gaps(self) -> int:
        return self._samples.gaps

    def _run(self) -> None:
        flushed = trimmed = told = time.monotonic()
        while not self._stop.is_set():
            try:
                self._take(self._samples.read(1.0))
            except EdgeloopError as error:
                self._problem("signals", str(error))
                self._stop.wait(1.0)
                continue
            now = time.monotonic()
            if now - told >= LIVE and self._hub.pages:
                told = now
                self._hub.tell("values", {s.stream: [s.time // 1_000_000, s.values] for s in self.streams.values()})
            if now - flushed >= FLUSH:
                flushed = now
                self._flush()
            if now - trimmed >= TRIM:
                trimmed = now
                self.bytes = trim(self.folder, self._budget)
        self._flush()

    def _take(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Batch) and len(item):
                rate = float(item.rate) if item.rate is not None else 0.0
                kept = self._kept(item.stream, rate)
                last = tuple(float(v) for v in item.values()[-1])
                channels = tuple((c.name, c.unit) for c in item.channels)
                self.streams[item.stream] = Seen(
                    stream=item.stream, rate=rate, channels=channels, time=item.time_of(len(item) - 1), kept=kept,
                    values=last,
                )  # fmt: skip
                if kept:
                    if item.stream not in self._pyramids:
                        self._pyramids[item.stream] = Pyramid(self.folder / item.stream)
                    self._pyramids[item.stream].add(item)
            elif isinstance(item, RecordBatch) and len(item):
                names = tuple((name, column.unit) for name, column in item.columns.items())
                self.streams[item.stream] = Seen(
                    stream=item.stream, rate=0.0, channels=names, time=int(item.times[-1]), kept=False, values=()
                )

    def _kept(self, stream: str, rate: float) -> bool:
        return stream in self._named if self._named else rate <= SLOW or stream in self._watched

    def _flush(self) -> None:
        try:
            written = sum(pyramid.flush() for pyramid in self._pyramids.values())
            if written:
                position = self._samples.position
                self._place.save(_Place(position.segment, position.offset))
        except OSError as error:
            self._problem("signals", f"cannot keep the history of signals: {error.strerror}; free space on the disk")
        else:
            self._problem("signals", None)

    def _restored(self) -> Position | None:
        """Where the last process stood: bins that come again are not written twice. Behind the journal it goes on at
        its tail."""
        place = self._place.load()
        return Position(place.segment, place.offset) if place.segment else None
