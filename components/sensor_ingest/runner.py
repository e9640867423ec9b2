"""A source's thread and its outlet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Chunk, Stream
from edgeloop.supervise import Supervisor, Surroundings
from sensor_ingest.intake import Intake
from sensor_ingest.sources.base import Closable, Source, SourceConfiguration, Target

UNHEARD = 30.0
"""s after its start until a source that has brought nothing is told."""


class Around(Surroundings, Protocol):
    """What a runner needs of the component."""

    def declare(self, source: str, streams: tuple[Stream, ...]) -> None:
        """Raises ConfigurationError where another source has one of the names."""
        ...

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool) -> Closable: ...

    def hurry(self) -> None: ...

    def newest(self, stream: str) -> int: ...

    def dead(self, source: str, stream: str, payload: bytes, why: str) -> None: ...


class Runner(Supervisor[Source[Any], Around]):
    """The outlet of one source, and its thread."""

    def __init__(
        self,
        id: str,
        kind: type[Source[Any]],
        configuration: SourceConfiguration,
        around: Around,
        *,
        state: Path,
        period: float,
    ) -> None:
        super().__init__("source", id, around)
        self.configuration = configuration
        self.state, self.period = state, period
        self.intake = Intake(int(configuration.queue), live=kind.live(configuration))
        self.connections = 0
        """How often it began anew with the machine: a run, or what `reconnected` told."""
        self._kind = kind
        self._began = time.monotonic()
        self._unheard = kind.foresee(id, configuration) != {}
        self._streams: set[str] = set()
        self._interrupted: set[str] = set()

    def make(self) -> Source[Any]:
        self.state.parent.mkdir(mode=0o700, exist_ok=True)
        source = self._kind(self.configuration, self)
        self.reconnected()
        return source

    def failed(self) -> None:
        self._interrupted |= self._streams

    def end(self) -> None:
        self.stop.set()
        self.intake.close()
        super().end()

    def targets(self) -> Mapping[str, Target]:
        return self.configuration.actions

    def carry(self, target: str, value: float, cause: Mapping[str, Any]) -> None:
        """Raises EdgeloopError."""
        source = self.source
        if source is None:
            raise EdgeloopError(f"the source {self.id} is not connected")
        source.carry(target, value, cause)

    def write(self, target: str, value: float) -> None:
        """Raises EdgeloopError."""
        source = self.source
        if source is None:
            raise EdgeloopError(f"the source {self.id} is not connected")
        source.write(target, value)

    def listen(self, now: float) -> None:
        """Tells where nothing has ever come. now: s, monotonic."""
        if self._unheard and now - self._began >= UNHEARD and not self.ended and not self._parts:
            self.problem(f"{self.id}: nothing has come since it was started; look at what it listens to", "unheard")

    def declare(self, *streams: Stream) -> None:
        self.around.declare(self.id, streams)

    def put(self, chunk: Chunk) -> bool:
        self.delivered()
        if self._unheard:
            self._unheard = False
            self.clear("unheard")
        if chunk.stream in self._interrupted:
            self._interrupted.discard(chunk.stream)
            chunk = replace(chunk, gap=True)
        self._streams.add(chunk.stream)
        return self.intake.put(chunk)

    def confirm(self, written: Callable[[], None]) -> None:
        self.intake.confirm(written)

    def hurry(self) -> None:
        self.around.hurry()

    def dead(self, stream: str, payload: bytes, why: str) -> None:
        self.around.dead(self.id, stream, payload, why)

    def newest(self, stream: str) -> int:
        return self.around.newest(stream)

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool = False) -> Closable:
        return self.around.subscribe(filter, handler, cloud=cloud)

    def reconnected(self) -> None:
        with self._lock:
            self.connections += 1
