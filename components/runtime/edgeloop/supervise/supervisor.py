"""What sensors and cameras have in common: a driver that fails, and a thread that starts it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from edgeloop.durable import BackOff
from edgeloop.errors import EdgeloopError

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
HEALTHY: Final = 30.0
"""s: before the second run; at most; a run this long is no failure in a row."""


class Supervised(Protocol):
    """One run of a source. An EdgeloopError or OSError ends it with one line, and a new run follows after a while."""

    def setup(self) -> None: ...

    def run(self) -> None:
        """Returns at the end of the source, or once it was interrupted."""
        ...

    def interrupt(self) -> None:
        """Called from another thread: ends whatever `run` waits for."""
        ...

    def close(self) -> None: ...


class Surroundings(Protocol):
    """What a supervisor needs of the component."""

    def problem(self, key: str, line: str) -> None: ...

    def clear(self, key: str) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...

    def unexpected(self, error: Exception) -> None: ...

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool: ...


S = TypeVar("S", bound=Supervised)
A = TypeVar("A", bound=Surroundings)


class Supervisor(Generic[S, A]):
    """The thread of a source, and what it says of itself. Keys of health: `<noun>.<id>`, `<noun>.<id>.<part>`."""

    def __init__(self, noun: str, id: str, around: A) -> None:
        self.id, self.around = id, around
        self.stop = threading.Event()
        self._noun = noun
        self._lock = threading.Lock()
        self._source: S | None = None
        self._parts: set[str] = set()
        self._delivers = False
        self._thread = threading.Thread(target=self._run, name=f"{noun}-{id}", daemon=True)

    def make(self) -> S:
        """The source of one run."""
        raise NotImplementedError

    def failed(self) -> None:
        """Called between a run that failed and the next."""

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks the source to end; does not wait."""
        self.stop.set()
        source = self.source
        if source is not None:
            source.interrupt()

    @property
    def source(self) -> S | None:
        """That of the run that is under way."""
        with self._lock:
            return self._source

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def delivered(self) -> None:
        """Says that something came: what made the run before fail is over."""
        if not self._delivers:
            self._delivers = True
            self.clear()

    # what a source calls

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self.around.publish(topic, document)

    def problem(self, line: str, part: str = "") -> None:
        self._parts.add(part)
        self.around.problem(self._key(part), line)

    def clear(self, part: str = "") -> None:
        if part in self._parts:
            self._parts.discard(part)
            self.around.clear(self._key(part))

    def count(self, name: str, n: int = 1) -> None:
        self.around.count(f"{name}.{self.id}", n)

    def log(self, line: str, **fields: Any) -> None:
        self.around.log(line, **{self._noun: self.id}, **fields)

    def _key(self, part: str) -> str:
        return f"{self._noun}.{self.id}.{part}" if part else f"{self._noun}.{self.id}"

    def _run(self) -> None:
        pause = BackOff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while not self.stop.is_set():
                began = time.monotonic()
                if self._once():
                    break
                if time.monotonic() - began >= HEALTHY:
                    pause.succeeded()
                self._delivers = False
                self.failed()
                self.count("restarts")
                self.stop.wait(pause.failed())
        finally:
            if self.stop.is_set():
                for part in tuple(self._parts):
                    self.clear(part)

    def _once(self) -> bool:
        """One run; whether it was the last."""
        source: S | None = None
        try:
            source = self.make()
            with self._lock:
                self._source = source
            if not self.stop.is_set():
                source.setup()
                source.run()
            return True
        except EdgeloopError as error:
            self._say(str(error))
        except OSError as error:
            self._say(f"the {self._noun} {self.id} failed: {error}")
        except Exception as error:
            self._say(f"the {self._noun} {self.id} failed unexpectedly: {type(error).__name__}: {error}")
            self.around.unexpected(error)
        finally:
            with self._lock:
                self._source = None
            if source is not None:
                source.close()
        return self.stop.is_set()

    def _say(self, line: str) -> None:
        if not self.stop.is_set():
            self.problem(line)
