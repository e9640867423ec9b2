"""Images that are kept: examples to be labelled, and the last parts that failed, with what was seen on them."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from queue import Full, Queue
from typing import Final

import msgspec

from camera_inference import pictures
from camera_inference.configuration import Camera
from camera_inference.documents import Result
from camera_inference.frame import Frame
from edgeloop import durable
from edgeloop.errors import EdgeloopError
from edgeloop.queue import UploadQueue
from edgeloop.supervise import Surroundings

WAITING: Final = 8
EVIDENCE: Final = 20
"""Annotated images kept of each camera."""
HOUR: Final = 3600.0
EXAMPLES: Final = "hard_examples"


class HardExamples:
    """`offer` never waits: what finds no room is counted and let go. Files are made on a thread of their own."""

    def __init__(self, work: Path, queue: UploadQueue, around: Surroundings) -> None:
        self._work, self._queue, self._around = work, queue, around
        self._waiting: Queue[tuple[Camera, Frame, Result, bool] | None] = Queue(WAITING)
        self._kept: dict[str, deque[float]] = {}
        self._thread = threading.Thread(target=self._run, name="examples", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        try:
            self._waiting.put(None, timeout=1.0)
        except Full:
            return
        self._thread.join(2.0)

    def offer(self, camera: Camera, frame: Frame, result: Result) -> None:
        """Keeps what failed, and what the model was unsure of as far as the budget goes."""
        own = result.edge.confidence if result.edge is not None else result.confidence
        differs = _differ(result) and self._within(camera, f"{result.camera} differ")
        unsure = differs or (own < camera.examples.below and self._within(camera, result.camera))
        if not unsure and not _rejected(camera, result):
            return
        try:
            self._waiting.put_nowait((camera, frame, result, unsure))
        except Full:
            self._around.count(f"not_kept.{result.camera}")

    def _within(self, camera: Camera, id: str) -> bool:
        times = self._kept.setdefault(id, deque())
        now = time.monotonic()
        while times and now - times[0] > HOUR:
            times.popleft()
        if len(times) >= camera.examples.most:
            return False
        times.append(now)
        return True

    def _run(self) -> None:
        while (entry := self._waiting.get()) is not None:
            camera, frame, result, unsure = entry
            key = f"camera.{result.camera}.images"
            try:
                if unsure:
                    self._example(camera, frame, result)
                if _rejected(camera, result):
                    self._evidence(frame, result)
                self._around.clear(key)
            except (EdgeloopError, OSError) as error:
                self._around.count(f"not_kept.{result.camera}")
                self._around.problem(key, f"{result.camera}: an image cannot be kept: {error}")

    def _example(self, camera: Camera, frame: Frame, result: Result) -> None:
        assert frame.image is not None
        image = frame.jpeg or pictures.jpeg(frame.image, frame.colour, camera.examples.quality)
        name = f"{result.camera}_{result.time}.jpg"
        self._queue.put(EXAMPLES, name, image, msgspec.to_builtins(result), time=result.time)
        self._around.count(f"hard_examples.{result.camera}")

    def _evidence(self, frame: Frame, result: Result) -> None:
        assert frame.image is not None
        folder = self._work / "evidence" / result.camera
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = f"{result.camera} {result.part}: {result.label} {result.score:.2f}"
        drawn = pictures.annotated(frame.image, frame.colour, result.boxes, line)
        durable.replace(folder / f"{result.time}.jpg", pictures.jpeg(drawn, "bgr", 90), sync=False)
        for path in sorted(folder.glob("[0-9]*.jpg"))[:-EVIDENCE]:
            path.unlink(missing_ok=True)


def _differ(result: Result) -> bool:
    """Whether edge and cloud say different things: the most worth a label."""
    edge, cloud = result.edge, result.cloud
    return edge is not None and cloud is not None and edge.verdict != cloud.verdict


def _rejected(camera: Camera, result: Result) -> bool:
    return camera.policy == "every" and result.verdict == "fail"
