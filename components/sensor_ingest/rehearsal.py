"""A source on its own, without nucleus, journal or bus: for whoever writes one, and for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.config.load import convert
from edgeloop.sequence import Chunk, Samples, Stream
from sensor_ingest.sources.base import Closable, Source


class Rehearsal:
    """Everything a source said. `room`: chunks taken before `put` refuses."""

    def __init__(self, id: str, folder: Path, room: int = 1_000_000) -> None:
        self.id, self.state, self.period = id, folder / f"{id}.json", 0.02
        self.stop = threading.Event()
        self.streams: dict[str, Stream] = {}
        self.chunks: list[Chunk] = []
        self.published: list[tuple[str, Mapping[str, Any]]] = []
        self.problems: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.lines: list[str] = []
        self.letters: list[tuple[str, bytes, str]] = []
        self.known: dict[str, int] = {}
        """What `newest` answers, by stream."""
        self.reachable = True
        self.connections = 1
        self.handlers: list[tuple[str, Callable[[str, bytes], None]]] = []
        self._changed = threading.Condition()
        self._room = room

    def declare(self, *streams: Stream) -> None:
        self.streams |= {s.name: s for s in streams}

    def put(self, chunk: Chunk) -> bool:
        with self._changed:
            self.chunks.append(chunk)
            self._changed.notify_all()
        return len(self.chunks) < self._room and not self.stop.is_set()

    def confirm(self, written: Callable[[], None]) -> None:
        written()

    def hurry(self) -> None:
        """There is no tick."""

    def dead(self, stream: str, payload: bytes, why: str) -> None:
        self.letters.append((stream, payload, why))

    def newest(self, stream: str) -> int:
        return self.known.get(stream, 0)

    def wait(self, true: Callable[[], object], seconds: float) -> bool:
        """Until a condition holds, looked at whenever the source said anything."""
        with self._changed:
            return bool(self._changed.wait_for(true, seconds))

    def ended(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        if self.reachable:
            self.published.append((topic, document))
        return self.reachable

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool = False) -> Closable:
        self.handlers.append((filter, handler))
        return self

    def close(self) -> None:
        self.handlers.clear()

    def reconnected(self) -> None:
        self.connections += 1

    def problem(self, line: str, part: str = "") -> None:
        self.problems[part] = line
        self.ended()

    def clear(self, part: str = "") -> None:
        self.problems.pop(part, None)
        self.ended()

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n
        self.ended()

    def log(self, line: str, **fields: Any) -> None:
        self.lines.append(line)
        self.ended()

    def samples(self, stream: str = "") -> NDArray[Any]:
        """All samples of a stream, (n, channels); NaN before a channel was there."""
        found = [c.samples for c in self.chunks if isinstance(c, Samples) and c.stream == (stream or self.id)]
        if len({each.shape[1] for each in found}) > 1:
            most = max(each.shape[1] for each in found)
            found = [
                np.pad(each.astype(np.float64), ((0, 0), (0, most - each.shape[1])), constant_values=np.nan)
                for each in found
            ]
        return np.concatenate(found) if found else np.empty((0, 0))

    def times(self, stream: str = "") -> list[int]:
        """Of all samples, or of those of one stream."""
        said = [c for c in self.chunks if isinstance(c, Samples) and c.stream in (stream or c.stream,)]
        return [int(t) for c in said if c.times is not None for t in c.times]


def play(kind: type[Source[Any]], outlet: Rehearsal, **options: Any) -> None:
    """Runs a source to its end."""
    source = kind(convert(options, kind.options, outlet.id), outlet)
    try:
        source.setup()
        source.run()
    finally:
        source.close()


class Running:
    """A source in a thread, as `with` block; what it raised is in `error`."""

    def __init__(self, kind: type[Source[Any]], outlet: Rehearsal, **options: Any) -> None:
        self.outlet = outlet
        self.source = kind(convert(options, kind.options, outlet.id), outlet)
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.source.setup()
            self.source.run()
        except Exception as error:
            self.error = error
        finally:
            self.outlet.ended()

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.outlet.stop.set()
        self.source.interrupt()
        self._thread.join(5)
        self.source.close()

    def until(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Raises TimeoutError, with what the source said."""
        if not self.outlet.wait(lambda: self.error or true(), seconds) or self.error:
            raise TimeoutError(f"{self.error} {self.outlet.problems} {self.outlet.lines}")
