"""Rows on their way from whoever receives messages to the source's outlet."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgeloop.config.identifiers import is_id
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Samples, Stream
from edgeloop.wire.batch import Channel, Clock
from sensor_ingest.pace import Pace
from sensor_ingest.payload.decoder import Decoder, Rows
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Form
from sensor_ingest.sources.base import Outlet

STREAMS = 128
"""Streams of one source."""
WAITING = 100_000
"""Rows that wait for the next tick."""
SHOWN = 30.0
"""s: how long a bad payload is shown as a problem."""
DEVICE = Clock("device")


@dataclass(slots=True, eq=False)
class _Stream:
    decoder: Decoder
    declared: tuple[Channel, ...] = ()
    refused: bool = False
    gap: bool = False
    newest: int = 0
    seen: float = 0.0
    silent: bool = False
    pace: Pace | None = None
    waiting: list[tuple[Rows, int]] = field(default_factory=list)


class Feed:
    """`take` from any thread; `run` in the source's. expect: s of a stream's silence that is a gap, 0: any."""

    def __init__(self, outlet: Outlet, expect: float = 0.0) -> None:
        self._outlet, self._expect = outlet, expect
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._rows = 0
        self._error: Exception | None = None
        self._shown: dict[str, float] = {}

    def take(self, stream: str, form: Form, payload: bytes, arrival: int, *, again: bool = False) -> None:
        """One message of a stream, that arrived at a time (ns UTC). again: it may have been delivered before."""
        known = self._known(stream, form)
        if known is None:
            return
        before = known.decoder.odd
        try:
            rows = known.decoder.decode(payload, arrival)
        except BadPayload as error:
            self.bad(f"{stream}: a payload is dropped: {error}", "payload")
            return
        if known.decoder.odd > before:
            self._outlet.count("bad_values", known.decoder.odd - before)
        self._add(stream, known, rows, arrival, again)

    def put(self, stream: str, form: Form, rows: Rows, arrival: int) -> None:
        """Rows that are decoded, of the channels that the form names."""
        known = self._known(stream, form)
        if known is not None:
            self._add(stream, known, rows, arrival, again=False)

    def _known(self, name: str, form: Form) -> _Stream | None:
        known = self._streams.get(name)
        if known is None:
            if len(self._streams) >= STREAMS:
                self.bad(f"{name}: a source has at most {STREAMS} streams; narrow its topics", "streams")
                return None
            known = _Stream(Decoder(form), pace=None if form.rate is None else Pace(form.rate, live=True))
            with self._lock:
                self._streams[name] = known
        return None if known.refused else known

    def _add(self, name: str, known: _Stream, rows: Rows, arrival: int, again: bool) -> None:
        if known.decoder.channels != known.declared and not self._declare(name, known):
            return
        if rows.times is not None:
            newest = int(rows.times[-1])
            if newest <= known.newest:
                if again:
                    self._outlet.count("duplicates", len(rows.values))
                    return
                if newest < known.newest:
                    self._outlet.count("late", len(rows.values))
            known.newest = newest
        with self._lock:
            if self._rows + len(rows.values) > WAITING:
                self._outlet.count("dropped", len(rows.values))
                known.gap = True
                return
            self._rows += len(rows.values)
            known.waiting.append((rows, arrival))
            known.seen = time.monotonic()
        self._event.set()

    def _declare(self, name: str, known: _Stream) -> bool:
        if not is_id(name):
            why = "a stream is named by a-z, 0-9, _ and -, at most 32 characters"
            return self._refuse(known, f"the stream {name[:64]!r} is left out: {why}")
        if known.declared:
            now = ", ".join(channel.name for channel in known.decoder.channels[:8])
            self.fail(EdgeloopError(f"the channels of {name} have changed", why=f"now {now}", mend="it begins anew"))
            return False
        said = known.decoder.form.rate
        rate = None if said is None else Fraction(said)
        try:
            self._outlet.declare(Stream(name, known.decoder.channels, rate))
        except ConfigurationError as error:
            return self._refuse(known, str(error))
        known.declared = known.decoder.channels
        return True

    def _refuse(self, known: _Stream, line: str) -> bool:
        known.refused = True
        self._outlet.problem(line, "streams")
        return False

    def bad(self, line: str, part: str) -> None:
        """Something that was dropped: counted, and one line for a while."""
        self._outlet.count(f"bad_{part}s" if not part.endswith("s") else f"bad_{part}")
        self._outlet.problem(line, part)
        with self._lock:
            self._shown[part] = time.monotonic() + SHOWN
        self._event.set()

    def fail(self, error: Exception) -> None:
        """Ends `run` with an error."""
        self._error = error
        self._event.set()

    def wake(self) -> None:
        """Makes `run` look at `outlet.stop`."""
        self._event.set()

    def run(self, due: Callable[[], float | None] = lambda: None) -> None:
        """Until `outlet.stop` or `fail`. due: called once a round; s until it wants to be called again."""
        while not self._outlet.stop.is_set():
            self._event.wait(self._rest(due()))
            if self._outlet.stop.wait(self._outlet.period / 2):
                break
            self._event.clear()
            self._flush()
            if self._error is not None:
                raise self._error
        self._flush()

    def _rest(self, due: float | None) -> float | None:
        """s until something has to be looked at without a message."""
        now = time.monotonic()
        with self._lock:
            times = list(self._shown.values())
            if self._expect:
                times += [k.seen + self._expect for k in self._streams.values() if k.declared and not k.silent]
        if due is not None:
            times.append(now + due)
        return max(0.0, min(times) - now) if times else None

    def _flush(self) -> None:
        self._watch()
        with self._lock:
            taken = [(name, k, k.waiting, k.gap) for name, k in self._streams.items() if k.waiting]
            for _, known, _, _ in taken:
                known.waiting, known.gap = [], False
            self._rows = 0
        for name, known, waiting, gap in taken:
            for chunk in _chunks(name, known, waiting, gap):
                self._outlet.put(chunk)

    def _watch(self) -> None:
        """Streams that fell silent; problems that are old enough to go."""
        now = time.monotonic()
        with self._lock:
            over = [part for part, until in self._shown.items() if until <= now]
            for part in over:
                del self._shown[part]
            streams = list(self._streams.items()) if self._expect else []
        for part in over:
            self._outlet.clear(part)
        for name, known in streams:
            late = bool(known.declared) and now - known.seen > self._expect and not known.waiting
            if late and not known.silent:
                known.silent = known.gap = True
                self._outlet.count("silences")
                self._outlet.problem(f"{name}: nothing came for {self._expect:g} s", f"gap.{name}")
            elif known.silent and not late:
                known.silent = False
                self._outlet.clear(f"gap.{name}")


def _chunks(name: str, known: _Stream, waiting: list[tuple[Rows, int]], gap: bool) -> list[Samples]:
    if known.pace is not None:
        return _regular(name, known.pace, waiting, gap)
    stamped = waiting[0][0].times is not None
    values = np.concatenate([rows.values for rows, _ in waiting])
    times = np.concatenate(
        [np.full(len(rows.values), at, dtype=np.int64) if rows.times is None else rows.times for rows, at in waiting]
    )
    return [
        Samples(name, values[a:b], times=times[a:b], clock=DEVICE if stamped else None, gap=gap and a == 0)
        for a, b in _rising(times)
    ]


def _regular(name: str, pace: Pace, waiting: list[tuple[Rows, int]], gap: bool) -> list[Samples]:
    chunks = []
    for rows, arrival in waiting:
        if rows.times is None:
            chunks.append(Samples(name, rows.values, time=pace.first(len(rows.values), arrival), gap=gap))
        else:
            chunks.append(Samples(name, rows.values, time=int(rows.times[0]), clock=DEVICE, gap=gap))
        gap = False
    return chunks


def _rising(times: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches within which the times do not go back."""
    cuts = [0, *(np.flatnonzero(np.diff(times) < 0) + 1).tolist(), len(times)]
    return list(itertools.pairwise(cuts))
