"""Capture → preparation → inference, each in its own thread: while one frame is inferred, the next is prepared and the
one after that is captured. Cameras with the same model share its session and its thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from camera_inference.documents import Result
from camera_inference.frame import Frame, Inbox
from camera_inference.gate import Gate
from camera_inference.prepare import Area, Placement, Preparation
from camera_inference.verdict import Criteria, Finding, interpret
from camera_inference.zones import Zone
from edgeloop.errors import EdgeloopError
from edgeloop.models.active import Loaded
from edgeloop.models.errors import ModelError

SAMPLES, CHANGED, ANEW = 90, 24, 10.0
"""Of a picture's shorter side, grey levels by which a sample has changed, and s after which a still picture is inferred
all the same."""
AHEAD: Final = 3
"""Frames of one camera that are being prepared, inferred or judged."""


class Models(Protocol):
    """A model that may change at any moment, as ActiveModel is one."""

    @property
    def current(self) -> Loaded | None: ...

    def used(self, loaded: Loaded, count: int = 1, said: str = "") -> None: ...

    def failed(self, loaded: Loaded, count: int = 1) -> None: ...


class Nobody:
    """No model at all."""

    current: Loaded | None = None

    def used(self, loaded: Loaded, count: int = 1, said: str = "") -> None:
        pass

    def failed(self, loaded: Loaded, count: int = 1) -> None:
        pass


class Offered(Protocol):
    """Takes a picture and what was said of it; never waits."""

    def offer(self, frame: Frame, result: Result, criteria: Criteria, area: Area) -> None: ...


Done = Callable[[Frame, Finding | None, Loaded | None, str, float], None]
"""Called once for each frame taken, on the judging thread: what was found, or why nothing was, and how unlike
the usual the picture is. A frame with a reason is one that shows nothing."""


@dataclass(slots=True)
class _Job:
    """A frame on its way through the session."""

    preprocessor: Preprocessor
    frame: Frame
    loaded: Loaded | None = None
    tensor: NDArray[Any] | None = None
    placement: Placement | None = None
    outputs: Sequence[NDArray[Any]] = ()
    error: str = ""
    strange: float = 0.0


class Session:
    """Infers with one model, frame by frame, in the order they were prepared; a second thread judges what came out
    while the next frame is inferred."""

    def __init__(
        self, name: str, models: Models, unexpected: Callable[[Exception], None], shadow: Offered | None = None
    ) -> None:
        self._models, self._unexpected = models, unexpected
        self.shadow = shadow
        """Is offered each picture that was judged, once its verdict is out."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._inferred: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = (
            threading.Thread(target=self._infer, name=f"session-{name}", daemon=True),
            threading.Thread(target=self._judge, name=f"judge-{name}", daemon=True),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Infers what waits, then ends."""
        self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2.0)

    @property
    def current(self) -> Loaded | None:
        return self._models.current

    def put(self, job: _Job) -> None:
        self._jobs.put(job)

    def _infer(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._run(job)
            self._inferred.put(job)
        self._inferred.put(None)

    def _run(self, job: _Job) -> None:
        """A model that changed since the frame was prepared prepares it again: nothing is lost in a swap."""
        loaded = self._models.current
        if loaded is not job.loaded:
            job.preprocessor.prepare(job, loaded)
        if job.error or loaded is None or job.tensor is None:
            job.error = job.error or "there is no model"
            return
        try:
            job.outputs = loaded.runner.run(job.tensor)
        except ModelError as error:
            self._models.failed(loaded)
            job.error = str(error)

    def _judge(self) -> None:
        while (job := self._inferred.get()) is not None:
            preprocessor, frame, loaded, finding = job.preprocessor, job.frame, job.loaded, None
            if not job.error and loaded is not None and job.placement is not None:
                try:
                    finding = interpret(
                        loaded.manifest, job.outputs, job.placement, preprocessor.criteria, loaded.decoder
                    )
                    self._models.used(loaded, said=preprocessor.criteria.judge(finding, loaded.manifest))
                except Exception as error:
                    self._models.failed(loaded)
                    known = isinstance(error, ModelError)
                    job.error = str(error) if known else f"no verdict: {type(error).__name__}: {error}"
            error_line, strange = job.error, job.strange
            preprocessor.free.put(job)
            try:
                preprocessor.done(frame, finding, loaded, error_line, strange)
            except Exception as failure:
                self._unexpected(failure)


class Preprocessor:
    """The preparing thread of one camera. interval: s between two frames, at least."""

    def __init__(
        self,
        id: str,
        inbox: Inbox,
        session: Session,
        area: Area,
        criteria: Criteria,
        gate: Gate,
        done: Done,
        interval: float = 0.0,
        masks: Sequence[Zone] = (),
        motion: float = 0.0,
        still: Callable[[], None] = lambda: None,
    ) -> None:
        self.criteria, self.gate, self.done = criteria, gate, done
        self.free: SimpleQueue[_Job | None] = SimpleQueue()
        self._inbox, self._session, self._area, self._interval = inbox, session, area, interval
        self._masks = tuple(masks)
        self._motion, self._still = motion, still
        self._shown: tuple[NDArray[np.int16], float, Loaded | None] | None = None
        self._preparation: tuple[Loaded, Preparation | str] | None = None
        self._buffers: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"preprocessor-{id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        self._stop.set()
        self._inbox.close()
        self.free.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        for _ in range(AHEAD):
            self.free.put(_Job(self, Frame("", 0, 0, None)))
        due = time.monotonic()
        while (job := self.free.get()) is not None:
            if self._interval:
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                due = max(due, time.monotonic()) + self._interval
            frame = self._inbox.take()
            if frame is None:
                return
            if self._motion and self._stands(frame):
                self._still()
                self.free.put(job)
                continue
            reason = self.gate.small(frame) or self.gate.frozen(frame)
            job.frame = replace(frame, reason=reason) if reason else frame
            self.prepare(job, self._session.current)
            self._session.put(job)

    def _stands(self, frame: Frame) -> bool:
        """Whether a picture shows what the last one that was inferred did, a while ago at most."""
        if frame.image is None or frame.part:
            return False
        plane = frame.image if frame.image.ndim == 2 else frame.image[:, :, 1]
        step = max(1, min(plane.shape) // SAMPLES)
        small = plane[::step, ::step].astype(np.int16)
        now, known, current = time.monotonic(), self._shown, self._session.current
        alike = known is not None and known[0].shape == small.shape and known[2] is current and now - known[1] < ANEW
        if alike and known is not None and float((np.abs(small - known[0]) > CHANGED).mean()) < self._motion:
            return True
        self._shown = small, now, current
        return False

    def enough(self, width: int, height: int) -> bool:
        """Whether a picture of that size has all that the model can see. From any thread."""
        known = self._preparation
        return known is not None and isinstance(known[1], Preparation) and known[1].enough(width, height)

    def prepare(self, job: _Job, loaded: Loaded | None) -> None:
        """Fills a job for a model; on the preprocessor's thread, or on the session's after a swap."""
        job.loaded, job.tensor, job.placement, job.error = loaded, None, None, job.frame.reason
        job.strange = 0.0
        if loaded is None or job.frame.image is None or job.error:
            return
        with self._lock:
            try:
                preparation = self._for(loaded)
                buffer = self._buffers.get(id(job))
                if buffer is None:
                    buffer = self._buffers[id(job)] = preparation.buffer()
                job.tensor, job.placement = preparation.fill(job.frame, buffer)
                assert preparation.pixels is not None
                reason = self.gate.refuses(preparation.pixels, preparation.view, loaded.manifest.pictures)
                job.strange = self.gate.strange
                if reason:
                    job.frame, job.error = replace(job.frame, reason=reason), reason
            except EdgeloopError as error:
                job.error = str(error)
            except Exception as error:
                job.error = f"the image could not be prepared: {type(error).__name__}: {error}"
                job.tensor = None

    def _for(self, loaded: Loaded) -> Preparation:
        """Raises EdgeloopError where the model takes no images."""
        known = self._preparation
        if known is None or known[0] is not loaded:
            self._buffers.clear()
            try:
                known = loaded, Preparation(loaded.manifest, self._area, self._masks)
            except EdgeloopError as error:
                known = loaded, str(error)
            self._preparation = known
        if isinstance(known[1], str):
            raise EdgeloopError(known[1])
        return known[1]
