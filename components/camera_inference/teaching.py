"""Teaching on the device: `{"command": "teach", "camera": id, "good": 30, "by": who}` on the cameras' commands.

The next pictures of the camera are taken for good ones; the model that they make lies in this component's work folder,
and ModelUpdate is told. What is taught is what the camera's model would be given: its region, without what is masked.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from camera_inference.configuration import Camera, area
from camera_inference.frame import Frame, Pixels
from camera_inference.pictures import decode
from camera_inference.prepare import HIDDEN, cut_of
from camera_inference.zones import Zone
from edgeloop import topics
from edgeloop.errors import EdgeloopError
from edgeloop.models import store, taught
from edgeloop.models.versions import following
from edgeloop.supervise import Surroundings

APART: Final = 0.2
"""s between two pictures of a camera whose frames are no parts."""
PATIENCE: Final = 600.0
"""s without a new picture after which a lesson ends."""
AGAIN, TIMES = 10.0, 6
"""s until ModelUpdate is told again, where it has not taken the model, and how often."""
KEPT: Final = 2
"""Packages of a model."""
DIGITS: Final = 16
"""Of a digest, in a file's name."""
NICE: Final = 10


class Teach(msgspec.Struct, frozen=True, tag_field="command", tag="teach"):
    """good: pictures. reject: share of good parts that may be rejected. template: for flat things that always lie the
    same. by: a person's name, for the record."""

    camera: str
    good: Annotated[int, Meta(ge=12, le=400)] = 30
    reject: Annotated[float, Meta(gt=0, le=0.2)] = 0.01
    template: bool = False
    by: Annotated[str, Meta(max_length=64)] = ""


class Seen(Protocol):
    """A camera at work."""

    id: str
    camera: Camera
    watchers: list[Callable[[Frame], None]]


class Teaching:
    """One lesson at a time. `begin` and `tick` from the loop's thread."""

    def __init__(
        self, root: Path, device: str, around: Surroundings, publish: Callable[[str, Mapping[str, Any]], bool]
    ) -> None:
        self._root, self._device, self._around, self._publish = root, device, around, publish
        self._lesson: _Lesson | None = None
        self._told: dict[str, Any] | None = None
        self._due, self._left = 0.0, 0

    def begin(self, command: Teach, camera: Seen | None) -> None:
        """A lesson of the camera; what stands against it is said."""
        key = f"camera.{command.camera}.teach"
        if camera is None:
            self._around.problem(key, f"{command.camera}: there is no such camera to be taught with")
        elif not camera.camera.model:
            mend = f"set cameras.{camera.id}.model: the name of what is taught"
            self._around.problem(key, f"{camera.id}: it has no model to be taught; {mend}")
        elif self._lesson is not None:
            self._around.problem(key, f"{camera.id}: {self._lesson.id} is being taught; teach one after the other")
        else:
            self._around.clear(key)
            self._around.log("teaching begins", camera=camera.id, good=command.good, by=command.by)
            self._lesson = _Lesson(command, camera, self._made)
            self._lesson.start()

    def tick(self, running: Mapping[str, Any]) -> None:
        """running: the cameras that are at work."""
        lesson = self._lesson
        if lesson is not None:
            if lesson.id not in running:
                lesson.stop("the camera was stopped")
            if lesson.count > lesson.counted:
                self._around.count(f"shown.{lesson.id}", lesson.count - lesson.counted)
                lesson.counted = lesson.count
            if lesson.ended:
                self._lesson = None
                lesson.close()
                self._finish(lesson)
        if self._told is not None and time.monotonic() >= self._due:
            self._tell()

    def close(self) -> None:
        if self._lesson is not None:
            self._lesson.stop("the component ended")
            self._lesson.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _made(self, lesson: _Lesson) -> dict[str, Any]:
        """On the lesson's thread: the package, and what ModelUpdate is to be told. Raises EdgeloopError, OSError."""
        from edgeloop.teach import template
        from edgeloop.teach.lesson import Options, teach
        from edgeloop.teach.package import write
        from edgeloop.teach.shown import Shown

        name, command = lesson.camera.camera.model, lesson.command
        shown = [Shown(f"picture {k}", pixels) for k, pixels in enumerate(lesson.taken, 1)]
        lesson.taken = []
        make = template.teach if command.template else teach
        found = make(shown, (), Options(reject=command.reject))
        pointer = store.read(store.directory(self._root, name))
        before = pointer.active if pointer is not None else None
        version, parent = "1.0.0", None
        if before is not None:
            version, parent = following(before.version), before.digest
        folder = taught.folder(self._root)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder / f".{name}.new"
        digest = write(
            found, fresh, name, version, by=command.by, made_on=self._device, source=f"camera {lesson.id}",
            parent=parent,
        )  # fmt: skip
        fresh.replace(taught.place(self._root, name, digest))
        known = sorted(folder.glob(f"{name}-{'[0-9a-f]' * DIGITS}.tar"), key=lambda path: path.stat().st_mtime_ns)
        for path in known[:-KEPT]:
            path.unlink(missing_ok=True)
        lesson.said = {
            "usable": int(found.metrics["pictures"]), "left_out": sum(bool(j.refused) for j in found.judged),
            "false_rejects": found.metrics["false_rejects_held_out"],
        }  # fmt: skip
        return {"command": "taught", "name": name, "digest": digest, "version": version, "by": command.by}

    def _finish(self, lesson: _Lesson) -> None:
        key = f"camera.{lesson.id}.teach"
        if lesson.error or lesson.made is None:
            self._around.count(f"not_taught.{lesson.id}")
            self._around.problem(key, f"{lesson.id}: nothing was learned: {lesson.error}")
            return
        self._around.clear(key)
        self._around.count(f"lessons.{lesson.id}")
        facts = {name: lesson.made[name] for name in ("name", "version", "digest")}
        self._around.log("taught", camera=lesson.id, **facts, **lesson.said)
        self._told, self._left = lesson.made, TIMES
        self._tell()

    def _tell(self) -> None:
        assert self._told is not None
        here = store.directory(self._root, self._told["name"]) / self._told["digest"]
        if here.exists() or not self._left:
            self._told = None
            return
        self._left -= 1
        self._due = time.monotonic() + AGAIN
        self._publish(topics.MODEL_COMMANDS, self._told)


class _Lesson:
    """Pictures are taken on the camera's thread, learned from on one of its own."""

    def __init__(self, command: Teach, camera: Seen, made: Callable[[_Lesson], dict[str, Any]]) -> None:
        self.command, self.camera, self.id = command, camera, camera.id
        self.taken: list[Pixels] = []
        self.count = self.counted = 0
        self.error = ""
        self.made: dict[str, Any] | None = None
        self.said: dict[str, Any] = {}
        self._make = made
        self._last = self._since = time.monotonic()
        self._full = threading.Event()
        self._stopped = ""
        wanted = camera.camera
        zones = {name: Zone.parse(text) for name, text in wanted.zones.items()}
        self._masks = [zones[name] for name in wanted.mask.replace(",", " ").split()]
        self._area = area(wanted.region)
        self._parts = wanted.policy == "every"
        self._thread = threading.Thread(target=self._run, name=f"teach-{camera.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.camera.watchers.append(self._watch)

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self, why: str) -> None:
        if not self._full.is_set():
            self._stopped = why
            self._full.set()

    def close(self) -> None:
        self._leave()
        self._thread.join(1.0)

    def _leave(self) -> None:
        if self._watch in self.camera.watchers:
            self.camera.watchers.remove(self._watch)

    def _watch(self, frame: Frame) -> None:
        now = time.monotonic()
        if frame.image is None or self._full.is_set() or (not self._parts and now - self._last < APART):
            return
        self._last = self._since = now
        try:
            self.taken.append(self._seen(frame))
        except EdgeloopError:
            return
        self.count = len(self.taken)
        if self.count >= self.command.good:
            self._full.set()

    def _seen(self, frame: Frame) -> Pixels:
        """RGB, as the model would be given it. Raises EdgeloopError."""
        image, colour = frame.image, frame.colour
        assert image is not None
        if frame.scale > 1 and frame.jpeg:
            image, colour = decode(frame.jpeg, self.id), "bgr"
        rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
        rgb = rgb[:, :, ::-1] if colour == "bgr" else rgb
        whole = np.array(rgb)
        for zone in self._masks:
            whole[zone.mask(*whole.shape[:2])] = HIDDEN
        cut, _, _ = cut_of(whole, self._area)
        return np.ascontiguousarray(cut)

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._full.wait(1.0):
            if time.monotonic() - self._since > PATIENCE:
                self._stopped = f"no picture for {PATIENCE:g} s"
                break
        self._leave()
        if self._stopped:
            self.error = self._stopped
            return
        try:
            self.made = self._make(self)
        except (EdgeloopError, OSError, ValueError) as error:
            self.error = str(error)
