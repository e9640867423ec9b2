"""A camera that gives one picture for each request."""

from __future__ import annotations

import time

from camera_inference.pictures import reduced
from camera_inference.sources.base import Nothing, Source
from camera_inference.sources.stream import authorities, redacted, web
from edgeloop import clock
from edgeloop.errors import EdgeloopError


class Snapshot(Source[Nothing]):
    schemes = ("snapshot+http", "snapshot+https")
    options = Nothing
    whole = live = True
    authenticated = schemes

    def run(self) -> None:
        uri = self.place.removeprefix("snapshot+")
        period = 1 / (self.outlet.rate or 1.0)
        due = time.monotonic()
        while not self.outlet.wait(max(0.0, due - time.monotonic())):
            due = max(due + period, time.monotonic())
            asked = clock.now()
            try:
                with web.opened(uri, self.outlet.credentials_file, self.outlet.patience, authorities()) as answer:
                    data = answer.read(web.LARGEST)
            except web.FAILURES as error:
                raise EdgeloopError("the camera does not answer", where=redacted(uri), why=str(error)) from None
            try:
                image, scale = reduced(data, redacted(uri), self.outlet.enough)
            except EdgeloopError as error:
                self.outlet.count("bad_frames")
                self.outlet.missed("", asked, str(error))
                continue
            jpeg = data if data[:2] == b"\xff\xd8" else b""
            if not self.outlet.put(image, "bgr", time=asked, jpeg=jpeg, scale=scale):
                return


SOURCE = Snapshot
