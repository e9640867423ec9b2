"""A folder of images, the oldest first, and those that come later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from camera_inference.frame import Pixels
from camera_inference.pictures import reduced
from camera_inference.sources import STILLS
from camera_inference.sources.base import Options, Outlet, Source
from edgeloop import durable
from edgeloop.config.quantities import Duration, Rate
from edgeloop.decode import content
from edgeloop.errors import EdgeloopError
from edgeloop.supervise.handling import Handling

LARGEST = 256 << 20
"""Bytes of a file that is read."""
SAVE = 1.0
"""s between two savings of how far it came."""


class FolderOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate: Annotated[Rate, Meta(title="Rate", description="images a second; 0: as fast as they are judged")] = Rate(0)
    loop: Annotated[bool, Meta(title="Loop", description="begin again after the last one")] = False
    bits: Annotated[
        int, Meta(title="Bits", description="of a value, where a file of 16 bits does not use all", ge=0, le=16)
    ] = 0
    poll: Annotated[
        Duration, Meta(title="Poll", description="how often it looks for new ones", extra={"ge": "10 ms", "le": "1 h"})
    ] = Duration("500 ms")


class Mark(msgspec.Struct, order=True, frozen=True):
    """An image, in the order they are taken. time: ns of its last change."""

    time: int = 0
    name: str = ""


class Folder(Source[FolderOptions]):
    """Each file is a part, named by the file, and taken once, also across restarts."""

    schemes = ("folder",)
    options = FolderOptions

    def __init__(self, place: str, options: FolderOptions, outlet: Outlet) -> None:
        super().__init__(place, options, outlet)
        self._folder = Path(place)
        self._once = outlet.policy == "every" and not options.loop
        self._mark = self._kept = Mark()
        self._saved = 0.0
        self._ignored: set[str] = set()
        self._handling: Handling | None = None

    def setup(self) -> None:
        if not self._folder.is_dir():
            raise EdgeloopError("there is no such folder", where=self.place, mend="create it, or correct the URI")
        self._handling = Handling.of_source(self.outlet, "an image")
        if self._once:
            self._mark = self._load()

    def run(self) -> None:
        while not self.outlet.stop.is_set():
            found = False
            for mark in self._listed():
                found = True
                if not self._take(mark):
                    return
            if self._once:
                self._save()
            elif self.configuration.loop and found:
                self._mark = Mark()
                continue
            if self.outlet.wait(self.configuration.poll.seconds):
                return

    def close(self) -> None:
        if self._handling is not None:
            self._handling.close()
        if self._once:
            self._save()

    def _take(self, mark: Mark) -> bool:
        began = time.monotonic()
        if not self.outlet.room():
            return False
        part, path = mark.name if self._once else "", self._folder / mark.name
        try:
            image, jpeg, scale = self._decoded(path, mark)
        except (EdgeloopError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                return True
            self.outlet.count("bad_frames")
            self.outlet.problem(str(error), "image")
            self.outlet.missed(part, mark.time, str(error))
        else:
            self.outlet.clear("image")
            if not self.outlet.put(image, "bgr", part=part, jpeg=jpeg, scale=scale):
                return False
        self._mark = mark
        if self._once and time.monotonic() - self._saved > SAVE:
            self._save()
        rate = float(self.configuration.rate)
        return not (rate and self.outlet.wait(max(0.0, began + 1 / rate - time.monotonic())))

    def _decoded(self, path: Path, mark: Mark) -> tuple[Pixels, bytes, int]:
        """The image, its file where that is a JPEG, and how far it is reduced."""
        assert self._handling is not None
        if self._handling.deadly(str(path), mark.time):
            raise EdgeloopError("the image is set aside", where=str(path), why="the process died with it in hand")
        with self._handling.of(str(path), mark.time):
            data = content(path, what="an image", most=LARGEST)
            image, scale = reduced(data, str(path), self.outlet.enough, bits=self.configuration.bits)
            return image, data if data[:2] == b"\xff\xd8" else b"", scale

    def _listed(self) -> Iterator[Mark]:
        marks = []
        for path in self._folder.iterdir():
            if path.suffix.lower() not in STILLS and path.name not in self._ignored and not path.name.startswith("."):
                if not self._ignored:
                    self.outlet.log(f"{path.name} is no image by its name; such files are left out and counted")
                self._ignored.add(path.name)
                self.outlet.count("ignored")
            if path.suffix.lower() in STILLS and not path.name.startswith("."):
                try:
                    mark = Mark(_changed(path), path.name)
                except FileNotFoundError:
                    continue
                if mark > self._mark:
                    marks.append(mark)
        return iter(sorted(marks))

    def _load(self) -> Mark:
        try:
            return durable.read(self.outlet.state, Mark) or Mark()
        except (OSError, durable.Damaged) as error:
            self.outlet.log(f"the folder begins anew: {self.outlet.state} cannot be read: {error}")
            return Mark()

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._mark != self._kept:
            durable.write(self.outlet.state, self._mark)
            self._kept = self._mark


def _changed(path: Path) -> int:
    """ns; of a loop of links, the link's own. Raises FileNotFoundError."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        raise
    except OSError:
        return path.lstat().st_mtime_ns


SOURCE = Folder
