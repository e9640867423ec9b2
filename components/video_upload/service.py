"""What leaves the device of cameras."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Final, Self

from edgeloop.bus.credentials import ask
from edgeloop.component import App
from edgeloop.queue import UploadQueue
from video_upload.aws.credentials import CredentialSource
from video_upload.cameras import Cameras
from video_upload.configuration import Configuration
from video_upload.declaration import NAME
from video_upload.opinions.desk import Desk

PERIOD: Final = 0.25
SAVED: Final = 5.0
"""s between two times that what was spent is written down."""


class Service:
    """`apply` from any thread; all else from the loop's."""

    def __init__(self, app: App[Configuration]) -> None:
        self._app = app
        credentials = CredentialSource(ask=lambda: ask(app.bus))
        self._queue = UploadQueue(app.root, NAME, budget=int(app.config.upload))
        self._desk = Desk(app, credentials)
        device = os.environ.get("AWS_IOT_THING_NAME") or "unknown"
        self._cameras = Cameras(app, credentials, self._queue, device)
        self._saved = time.monotonic()

    def __enter__(self) -> Self:
        self._desk.start()
        self._cameras.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._desk.close()
        self._cameras.close()
        self._queue.close()

    def apply(self, configuration: Configuration) -> None:
        cameras = configuration.cameras
        self._desk.apply({id: c.opinion for id, c in cameras.items() if c.opinion is not None})
        self._cameras.apply({id: c.video for id, c in cameras.items() if c.video is not None})

    def tick(self) -> None:
        self._cameras.step()
        if time.monotonic() - self._saved < SAVED:
            return
        self._saved = time.monotonic()
        for name, value in self._desk.gauges().items():
            self._app.health.gauge(name, value)
        self._app.health.gauge("upload_bytes", self._queue.size)
        self._app.health.gauge("upload_lost", self._queue.lost)
        self._desk.save()
