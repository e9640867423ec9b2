"""A source's thread: runs it, runs it again after a failure, and keeps its troubles to itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Chunk, Stream
from sensor_ingest.intake import Intake
from sensor_ingest.sources.base import Closable, Source, SourceConfiguration, Target

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY = 0.5, 60.0, 30.0
"""s: before the second run; at most; a run this long is no failure in a row."""


class Surroundings(Protocol):
    """What a runner needs of the component."""

    def declare(self, source: str, streams: tuple[Stream, ...]) -> None:
        """Raises ConfigurationError where another source has one of the names."""
        ...

    def problem(self, key: str, line: str) -> None: ...

    def clear(self, key: str) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...

    def unexpected(self, error: Exception) -> None: ...

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool: ...

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool) -> Closable: ...


class Runner:
    """The outlet of one source, and its thread. Keys of health: `source.<id>` and `source.<id>.<part>`."""

    def __init__(
        self,
        id: str,
        kind: type[Source[Any]],
        configuration: SourceConfiguration,
        around: Surroundings,
        *,
        state: Path,
        period: float,
    ) -> None:
        self.id, self.configuration = id, configuration
        self.state, self.period = state, period
        self.stop = threading.Event()
        self.intake = Intake(int(configuration.queue), live=kind.live(configuration))
        self._kind, self._around = kind, around
        self._source: Source[Any] | None = None
        self._lock = threading.Lock()
        self.connections = 0
        """How often it began anew with the machine: a run, or what `reconnected` told."""
        self._parts: set[str] = set()
        self._delivers = False
        self._streams: set[str] = set()
        self._interrupted: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"source-{id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks the source to end; does not wait."""
        self.stop.set()
        self.intake.close()
        with self._lock:
            source = self._source
        if source is not None:
            source.interrupt()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def targets(self) -> Mapping[str, Target]:
        return self.configuration.actions

    def write(self, target: str, value: float) -> None:
        """Raises EdgeloopError."""
        with self._lock:
            source = self._source
        if source is None:
            raise EdgeloopError(f"the source {self.id} is not connected")
        source.write(target, value)

    def declare(self, *streams: Stream) -> None:
        self._around.declare(self.id, streams)

    def put(self, chunk: Chunk) -> bool:
        if not self._delivers:
            self._delivers = True
            self.clear()
        if chunk.stream in self._interrupted:
            self._interrupted.discard(chunk.stream)
            chunk = replace(chunk, gap=True)
        self._streams.add(chunk.stream)
        return self.intake.put(chunk)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self._around.publish(topic, document)

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool = False) -> Closable:
        return self._around.subscribe(filter, handler, cloud=cloud)

    def reconnected(self) -> None:
        with self._lock:
            self.connections += 1

    def problem(self, line: str, part: str = "") -> None:
        self._parts.add(part)
        self._around.problem(self._key(part), line)

    def clear(self, part: str = "") -> None:
        if part in self._parts:
            self._parts.discard(part)
            self._around.clear(self._key(part))

    def count(self, name: str, n: int = 1) -> None:
        self._around.count(f"{name}.{self.id}", n)

    def log(self, line: str, **fields: Any) -> None:
        self._around.log(line, source=self.id, **fields)

    def _key(self, part: str) -> str:
        return f"source.{self.id}.{part}" if part else f"source.{self.id}"

    def _run(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self.stop.is_set():
                began = time.monotonic()
                if self._once():
                    break
                pause = FIRST_PAUSE if time.monotonic() - began >= HEALTHY else pause
                self._delivers = False
                self._interrupted |= self._streams
                self.count("restarts")
                self.stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            if self.stop.is_set():
                for part in tuple(self._parts):
                    self.clear(part)

    def _once(self) -> bool:
        """One run; whether it was the last."""
        source: Source[Any] | None = None
        try:
            self.state.parent.mkdir(mode=0o700, exist_ok=True)
            source = self._kind(self.configuration, self)
            with self._lock:
                self._source = source
                self.connections += 1
            if not self.stop.is_set():
                source.setup()
                source.run()
            return True
        except EdgeloopError as error:
            self._failed(str(error))
        except OSError as error:
            self._failed(f"the source {self.id} failed: {error}")
        except Exception as error:
            self._failed(f"the source {self.id} failed unexpectedly: {type(error).__name__}: {error}")
            self._around.unexpected(error)
        finally:
            with self._lock:
                self._source = None
            if source is not None:
                source.close()
        return self.stop.is_set()

    def _failed(self, line: str) -> None:
        if not self.stop.is_set():
            self.problem(line)
