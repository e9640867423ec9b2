"""A camera's thread: runs its source, runs it again after a failure, and keeps its troubles to itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from camera_inference.configuration import Policy
from camera_inference.frame import Colour, Frame, Pixels
from camera_inference.sources import Place
from camera_inference.sources.base import Source
from edgeloop import clock
from edgeloop.errors import EdgeloopError

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY = 0.5, 60.0, 30.0
"""s: before the second run; at most; a run this long is no failure in a row."""
STALE: Final = 5 * clock.NS
"""ns: a frame's time stamp further away from now is not believed for its age."""


class Surroundings(Protocol):
    """What capturing needs of the component."""

    def problem(self, key: str, line: str) -> None: ...

    def clear(self, key: str) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...

    def unexpected(self, error: Exception) -> None: ...

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sink:
    """Where frames go. Neither waits but `room`."""

    put: Callable[[Frame], None]
    room: Callable[[], bool]
    last_part: Callable[[], str]


class Capture:
    """The outlet of one source, and its thread. Keys of health: `camera.<id>` and `camera.<id>.<part>`."""

    def __init__(self, id: str, place: Place, policy: Policy, state: Path, sink: Sink, around: Surroundings) -> None:
        self.id, self.policy, self.state = id, policy, state
        self.stop = threading.Event()
        self._place, self._sink, self._around = place, sink, around
        self._source: Source[Any] | None = None
        self._lock = threading.Lock()
        self._parts: set[str] = set()
        self._delivers = False
        self._run_id, self._frames = f"{clock.now() // 1_000_000:x}", 0
        self._thread = threading.Thread(target=self._run, name=f"camera-{id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks the source to end; does not wait."""
        self.stop.set()
        with self._lock:
            source = self._source
        if source is not None:
            source.interrupt()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    # what a source calls

    @property
    def last_part(self) -> str:
        return self._sink.last_part()

    def put(self, image: Pixels, colour: Colour, *, time: int = 0, part: str = "") -> bool:
        if not self._delivers:
            self._delivers = True
            self.clear()
        self._hand_over(image, colour, time, part, "")
        return not self.stop.is_set()

    def missed(self, part: str, time: int, reason: str) -> None:
        self._hand_over(None, "rgb", time, part, reason)

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(seconds)

    def room(self) -> bool:
        return self._sink.room() and not self.stop.is_set()

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self._around.publish(topic, document)

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
        self._around.log(line, camera=self.id, **fields)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hand_over(self, image: Pixels | None, colour: Colour, at: int, part: str, reason: str) -> None:
        now = clock.now()
        self._frames += 1
        if self.policy == "every" and not part:
            part = f"{self._run_id}-{self._frames}"
        age = now - at if at and 0 <= now - at < STALE else 0
        if image is not None:
            self.count("frames")
        self._sink.put(Frame(self.id, at or now, time.monotonic_ns() - age, image, colour, part, reason))

    def _key(self, part: str) -> str:
        return f"camera.{self.id}.{part}" if part else f"camera.{self.id}"

    def _run(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self.stop.is_set():
                began = time.monotonic()
                if self._once():
                    break
                pause = FIRST_PAUSE if time.monotonic() - began >= HEALTHY else pause
                self._delivers = False
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
            source = self._place.kind(self._place.place, self._place.options, self)
            with self._lock:
                self._source = source
            if not self.stop.is_set():
                source.setup()
                source.run()
            return True
        except EdgeloopError as error:
            self._failed(str(error))
        except OSError as error:
            self._failed(f"the camera {self.id} failed: {error}")
        except Exception as error:
            self._failed(f"the camera {self.id} failed unexpectedly: {type(error).__name__}: {error}")
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
