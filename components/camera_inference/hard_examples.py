"""Images that are kept: examples to be labelled, and the last parts that failed, with what was seen on them."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Full, Queue
from typing import Any, Final

import msgspec

from camera_inference import pictures
from camera_inference.configuration import Camera
from camera_inference.documents import Result
from camera_inference.frame import Frame
from camera_inference.worth import Worth
from edgeloop import durable
from edgeloop.decode import OWN, document
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.queue import UploadQueue
from edgeloop.supervise import Surroundings

WAITING: Final = 8
LAST: Final = 20
"""Failed parts whose images are kept of each camera."""
EVIDENCE, CLEAN = "evidence", "clean"
"""Folders: what was seen, drawn on it; below it the same as it came."""
EXAMPLES: Final = "hard_examples"


class HardExamples:
    """`offer` never waits: what finds no room is counted and let go. Files are made on a thread of their own."""

    def __init__(self, work: Path, queue: UploadQueue, around: Surroundings) -> None:
        self._work, self._queue, self._around = work, queue, around
        self._waiting: Queue[tuple[Camera, Frame, Result, str] | None] = Queue(WAITING)
        self._worth: dict[str, Worth] = {}
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
        """Keeps what failed, and what is worth a label as far as the budgets go."""
        worth = self._worth.setdefault(result.camera, Worth())
        why = worth.reason(camera.examples, result)
        if not why and not _rejected(camera, result):
            return
        try:
            self._waiting.put_nowait((camera, frame, result, why))
        except Full:
            self._around.count(f"not_kept.{result.camera}")

    def overruled(self, camera: str, part: str) -> bool:
        """A person said that a verdict was wrong: the picture goes up before all others. False: it is not here."""
        for path in sorted((self._work / EVIDENCE / camera / CLEAN).glob("[0-9]*.json"), reverse=True):
            try:
                said = document(path.read_bytes(), dict[str, Any], bounds=OWN)
                if said.get("part") != part:
                    continue
                image = path.with_suffix(".jpg").read_bytes()
            except (OSError, DecodeError):
                continue
            self._put(camera, int(said["time"]), image, said, "overruled")
            return True
        return False

    def _run(self) -> None:
        while (entry := self._waiting.get()) is not None:
            camera, frame, result, why = entry
            key = f"camera.{result.camera}.images"
            try:
                if why:
                    self._example(camera, frame, result, why)
                if _rejected(camera, result):
                    self._evidence(camera, frame, result)
                self._around.clear(key)
            except (EdgeloopError, OSError) as error:
                self._around.count(f"not_kept.{result.camera}")
                self._around.problem(key, f"{result.camera}: an image cannot be kept: {error}")

    def _example(self, camera: Camera, frame: Frame, result: Result, why: str) -> None:
        assert frame.image is not None
        worth = self._worth[result.camera]
        if why != "random" and not worth.new(camera.examples, frame):
            self._around.count(f"alike.{result.camera}")
            return
        image = frame.jpeg or pictures.jpeg(frame.image, frame.colour, camera.examples.quality)
        if not worth.spend(camera.examples, len(image)):
            self._around.count(f"not_kept.{result.camera}")
            return
        self._put(result.camera, result.time, image, msgspec.to_builtins(result), why)

    def _put(self, camera: str, time: int, image: bytes, said: dict[str, Any], why: str) -> None:
        self._queue.put(EXAMPLES, f"{camera}_{time}.jpg", image, {**said, "kept": why}, time=time)
        self._around.count(f"hard_examples.{camera}")

    def _evidence(self, camera: Camera, frame: Frame, result: Result) -> None:
        """With what was seen on it, and clean, for whoever says that it was wrong."""
        assert frame.image is not None
        folder = self._work / EVIDENCE / result.camera
        clean = folder / CLEAN
        clean.mkdir(mode=0o700, parents=True, exist_ok=True)
        image = frame.jpeg or pictures.jpeg(frame.image, frame.colour, camera.examples.quality)
        durable.replace(clean / f"{result.time}.jpg", image, sync=False)
        durable.replace(clean / f"{result.time}.json", msgspec.json.encode(result), sync=False)
        line = f"{result.camera} {result.part}: {result.label} {result.score:.2f}"
        drawn = pictures.annotated(frame.image, frame.colour, result.boxes, line)
        durable.replace(folder / f"{result.time}.jpg", pictures.jpeg(drawn, "bgr", 90), sync=False)
        for place, pattern in ((folder, "[0-9]*.jpg"), (clean, "[0-9]*.jpg"), (clean, "[0-9]*.json")):
            for path in sorted(place.glob(pattern))[:-LAST]:
                path.unlink(missing_ok=True)


def _rejected(camera: Camera, result: Result) -> bool:
    return camera.policy == "every" and result.verdict == "fail"
