"""Rows on their way from whoever receives messages to the source's outlet."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.config.identifiers import is_id
from edgeloop.errors import ConfigurationError
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
PROMPT = 0.005
"""s that what comes waits for more, where it does not wait for the tick."""
SHOWN = 30.0
"""s: how long a bad payload is shown as a problem."""
DEVICE, UNSET = Clock("device"), Clock("free")


@dataclass(slots=True, eq=False)
class _Stream:
    decoder: Decoder
    declared: tuple[Channel, ...] = ()
    title: str = ""
    refused: bool = False
    gap: bool = False
    newest: int = 0
    seen: float = 0.0
    silent: bool = False
    pace: Pace | None = None
    waiting: list[tuple[Rows, int]] = field(default_factory=list)


class Feed:
    """`take` from any thread; `run` in the source's. expect: s of a stream's silence that is a gap, 0: any.

    written: asked before what waits is handed over; what it returns is called once that is in the journal. With it
    nothing is dropped for want of room: `take` waits. prompt: what comes does not wait for the tick.
    """

    def __init__(
        self,
        outlet: Outlet,
        expect: float = 0.0,
        written: Callable[[], Callable[[], None] | None] | None = None,
        *,
        prompt: bool = False,
    ) -> None:
        self._outlet, self._expect, self._written, self._prompt = outlet, expect, written, prompt
        self._hurried = threading.Event()
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._rows = 0
        self._error: Exception | None = None
        self._shown: dict[str, float] = {}
        self._titles: dict[str, str] = {}

    def take(
        self, stream: str, form: Form, payload: bytes, arrival: int, *, again: bool = False, title: str = ""
    ) -> None:
        """One message of a stream, that arrived at a time (ns UTC). again: it may have been delivered before."""
        known = self._known(stream, form, title)
        if known is None:
            return
        before = known.decoder.odd
        try:
            rows = known.decoder.decode(payload, arrival)
        except BadPayload as error:
            self.refused(stream, payload, str(error))
            return
        if known.decoder.odd > before:
            self._outlet.count("bad_values", known.decoder.odd - before)
            self._show("value", f"{stream}: a value is left out: {known.decoder.numerals.why}")
        self._add(stream, known, rows, arrival, again, known.decoder.channels)

    def put(
        self, stream: str, form: Form, rows: Rows, arrival: int, channels: tuple[Channel, ...] | None = None
    ) -> None:
        """Rows that are decoded, of the channels that the form names, or of those given."""
        known = self._known(stream, form)
        if known is not None:
            self._add(stream, known, rows, arrival, False, known.decoder.channels if channels is None else channels)

    def title(self, stream: str, title: str) -> None:
        """The full name of what a stream is about."""
        self._titles[stream] = title

    def gone(self, stream: str, why: str) -> None:
        """A device has said that nothing more comes: a problem and a gap until it is `back`."""
        self._outlet.problem(f"{stream}: {why}", f"gap.{stream}")
        known = self._streams.get(stream)
        if known is not None:
            known.gap = True

    def back(self, stream: str) -> None:
        self._outlet.clear(f"gap.{stream}")

    def lost(self, line: str) -> None:
        """Messages that never came."""
        self._outlet.count("lost_messages")
        self._show("lost", line)

    def _known(self, name: str, form: Form, title: str = "") -> _Stream | None:
        known = self._streams.get(name)
        if known is None:
            if len(self._streams) >= STREAMS:
                self.bad(f"{name}: a source has at most {STREAMS} streams; narrow its topics", "streams")
                return None
            title = title or self._titles.get(name, "")
            known = _Stream(Decoder(form), title=title, pace=None if form.rate is None else Pace(form.rate, live=True))
            if self._written is not None:
                known.newest = self._outlet.newest(name)
            with self._lock:
                self._streams[name] = known
        return None if known.refused else known

    def _add(
        self, name: str, known: _Stream, rows: Rows, arrival: int, again: bool, channels: tuple[Channel, ...]
    ) -> None:
        if channels != known.declared and not self._declare(name, known, channels):
            return
        if rows.unset:
            self._outlet.count("unset_clocks", len(rows.values))
            self._show("clock", f"{name}: its device does not know the time; the time of arrival is taken")
        elif rows.times is not None:
            newest = int(rows.times[-1])
            if newest <= known.newest:
                if again:
                    self._outlet.count("duplicates", len(rows.values))
                    return
                if newest < known.newest:
                    self._outlet.count("late", len(rows.values))
            known.newest = newest
        while self._written is not None and self._rows > WAITING and not self._outlet.stop.wait(0.02):
            self._event.set()
        with self._lock:
            if self._rows + len(rows.values) > WAITING and self._written is None:
                self._outlet.count("dropped", len(rows.values))
                known.gap = True
                return
            self._rows += len(rows.values)
            known.waiting.append((rows, arrival))
            known.seen = time.monotonic()
        self._event.set()

    def _declare(self, name: str, known: _Stream, channels: tuple[Channel, ...]) -> bool:
        if not is_id(name):
            why = "a stream is named by a-z, 0-9, _ and -, at most 32 characters"
            return self._refuse(known, f"the stream {name[:64]!r} is left out: {why}")
        if known.declared:
            more = channels[len(known.declared) :] if channels[: len(known.declared)] == known.declared else ()
            if more:
                self._outlet.log(f"{name} has more channels: {_listed(more)}")
                self._widen(known, len(channels))
            else:
                self._outlet.log(f"the channels of {name} have changed: {_listed(channels)}")
                self._flush(name)
                known.gap = True
            self._outlet.count("changes")
        else:
            self._outlet.log(f"{name} has the channels {_listed(channels)}")
        said = known.decoder.form.rate
        rate = None if said is None else Fraction(said)
        try:
            self._outlet.declare(Stream(name, channels, rate, title=known.title))
        except ConfigurationError as error:
            return self._refuse(known, str(error))
        known.declared = channels
        return True

    def _widen(self, known: _Stream, columns: int) -> None:
        """What waits gets the channels that are new: missing."""
        with self._lock:
            known.waiting = [
                (replace(rows, values=np.pad(rows.values, ((0, 0), (0, columns - rows.values.shape[1])),
                                             constant_values=np.nan)), at)
                for rows, at in known.waiting
            ]  # fmt: skip

    def _refuse(self, known: _Stream, line: str) -> bool:
        known.refused = True
        self._outlet.problem(line, "streams")
        return False

    def refused(self, stream: str, payload: bytes, why: str) -> None:
        """A payload that was not understood: counted, told, and kept for a person to look at."""
        self.bad(f"{stream}: a payload is dropped: {why}", "payload")
        self._outlet.dead(stream, payload, why)

    def bad(self, line: str, part: str) -> None:
        """Something that was dropped: counted, and one line for a while."""
        self._outlet.count(f"bad_{part}s" if not part.endswith("s") else f"bad_{part}")
        self._show(part, line)

    def _show(self, part: str, line: str) -> None:
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
        if self._outlet.stop.is_set():
            self._hurried.set()

    def hurry(self) -> None:
        """What waits goes into the journal now."""
        self._hurried.set()
        self._event.set()

    def run(self, due: Callable[[], float | None] = lambda: None) -> None:
        """Until `outlet.stop` or `fail`. due: called once a round; s until it wants to be called again."""
        while not self._outlet.stop.is_set():
            self._event.wait(self._rest(due()))
            self._hurried.wait(PROMPT if self._prompt else self._outlet.period / 2)
            hurried = self._prompt or self._hurried.is_set()
            self._hurried.clear()
            if self._outlet.stop.is_set():
                break
            self._event.clear()
            self._flush()
            if hurried:
                self._outlet.hurry()
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

    def _flush(self, only: str = "") -> None:
        if not only:
            self._watch()
        written = self._written() if self._written is not None and not only else None
        with self._lock:
            streams = self._streams.items() if not only else [(only, self._streams[only])]
            taken = [(name, k, k.waiting, k.gap, k.declared) for name, k in streams if k.waiting]
            for _, known, waiting, _, _ in taken:
                known.waiting, known.gap = [], False
                self._rows -= sum(len(rows.values) for rows, _ in waiting)
        for name, known, waiting, gap, channels in taken:
            for chunk in _chunks(name, known, waiting, gap):
                self._outlet.put(replace(chunk, channels=channels))
        if written is not None:
            self._outlet.confirm(written)

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
    """What waits, joined as far as its times are of one kind and go on."""
    chunks: list[Samples] = []
    for kind, group in itertools.groupby(waiting, key=lambda each: _clock(each[0])):
        together = list(group)
        if known.pace is not None:
            chunks += _regular(name, known.pace, together, gap, kind)
        else:
            chunks += _timed(name, together, gap, kind)
        gap = False
    return chunks


def _clock(rows: Rows) -> Clock | None:
    return UNSET if rows.unset else None if rows.times is None else DEVICE


def _timed(name: str, waiting: list[tuple[Rows, int]], gap: bool, clock: Clock | None) -> list[Samples]:
    values = np.concatenate([rows.values for rows, _ in waiting])
    times = np.concatenate(
        [np.full(len(rows.values), at, dtype=np.int64) if rows.times is None else rows.times for rows, at in waiting]
    )
    return [Samples(name, values[a:b], times=times[a:b], clock=clock, gap=gap and a == 0) for a, b in _rising(times)]


def _regular(name: str, pace: Pace, waiting: list[tuple[Rows, int]], gap: bool, clock: Clock | None) -> list[Samples]:
    """Messages that follow on are one chunk: a tick's worth has one time, and the rate says the others."""
    if waiting[0][0].times is None:
        return _paced(name, pace, waiting, gap, clock)
    firsts = np.array([rows.times[0] for rows, _ in waiting if rows.times is not None], dtype=np.int64)
    lengths = np.array([len(rows.values) for rows, _ in waiting], dtype=np.int64)
    begins = np.cumsum(lengths) - lengths
    period = NS / float(pace.rate)
    whole = bool((firsts % 1_000_000 == 0).all())
    slack = min(period / 2 + 1e6, 3 * period / 2) if whole else period / 2
    chunks = []
    start = 0
    while start < len(waiting):
        due = firsts[start] + (begins[start:] - begins[start]) * period
        off = np.flatnonzero(np.abs(firsts[start:] - due) > slack)
        end = start + int(off[0]) if len(off) else len(waiting)
        values = np.concatenate([rows.values for rows, _ in waiting[start:end]])
        chunks.append(Samples(name, values, time=int(firsts[start]), clock=clock, gap=gap and not start))
        start = end
    return chunks


def _paced(name: str, pace: Pace, waiting: list[tuple[Rows, int]], gap: bool, clock: Clock | None) -> list[Samples]:
    """Without times of their own: counted on, held to the arrival of each."""
    chunks: list[Samples] = []
    values: list[NDArray[np.float64]] = []
    first = due = 0
    for rows, arrival in waiting:
        at = pace.first(len(rows.values), arrival)
        if values and abs(at - due) > NS / float(pace.rate) / 2:
            chunks.append(Samples(name, np.concatenate(values), time=first, clock=clock, gap=gap and not chunks))
            values = []
        if not values:
            first = at
        values.append(rows.values)
        due = first + round(sum(map(len, values)) * NS / float(pace.rate))
    chunks.append(Samples(name, np.concatenate(values), time=first, clock=clock, gap=gap and not chunks))
    return chunks


def _listed(channels: tuple[Channel, ...]) -> str:
    more = f" and {len(channels) - 8} more" if len(channels) > 8 else ""
    return ", ".join(channel.name for channel in channels[:8]) + more


def _rising(times: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches within which the times do not go back."""
    cuts = [0, *(np.flatnonzero(np.diff(times) < 0) + 1).tolist(), len(times)]
    return list(itertools.pairwise(cuts))
