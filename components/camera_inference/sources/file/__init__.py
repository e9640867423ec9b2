"""A video file, at its own pace or another, or one image."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from camera_inference.pictures import cv2, decode
from camera_inference.sources import STILLS
from camera_inference.sources.base import Options, Source
from edgeloop.config.quantities import Rate
from edgeloop.decode import content
from edgeloop.errors import EdgeloopError

LARGEST = 256 << 20
"""Bytes of a file that is read."""


class FileOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate: Annotated[Rate, Meta(title="Rate", description="frames a second; 0: what the file says")] = Rate(0)
    bits: Annotated[
        int, Meta(title="Bits", description="of a value, where an image of 16 bits does not use all", ge=0, le=16)
    ] = 0
    loop: Annotated[bool, Meta(title="Loop", description="begin again at the end")] = False


class File(Source[FileOptions]):
    schemes = ("file",)
    options = FileOptions

    def run(self) -> None:
        if not Path(self.place).is_file():
            raise EdgeloopError("there is no such file", where=self.place, mend="correct the URI")
        still = Path(self.place).suffix.lower() in STILLS
        while self._image() if still else self._clip():
            if not self.configuration.loop:
                self.outlet.stop.wait()
                return

    def _image(self) -> bool:
        image = decode(
            content(Path(self.place), what="an image", most=LARGEST), self.place, bits=self.configuration.bits
        )
        rate = float(self.configuration.rate) or 1.0
        return self.outlet.put(image, "bgr") and not self.outlet.wait(1 / rate)

    def _clip(self) -> bool:
        """Plays it once; False: the source has to end."""
        capture = cv2("reading videos").VideoCapture(self.place)
        try:
            rate = float(self.configuration.rate) or capture.get(cv2().CAP_PROP_FPS)
            period = 1 / rate if 0 < rate < 1000 else 0.04
            due, frames = time.monotonic(), 0
            while True:
                good, image = capture.read()
                if not good:
                    break
                frames += 1
                if not self.outlet.put(image, "bgr"):
                    return False
                due = max(due + period, time.monotonic() - 1)
                if self.outlet.wait(max(0.0, due - time.monotonic())):
                    return False
        finally:
            capture.release()
        if not frames:
            raise EdgeloopError("the video cannot be read", where=self.place)
        return True


SOURCE = File
