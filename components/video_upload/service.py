"""What leaves the device of cameras."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from edgeloop.component import App
from video_upload.aws.credentials import CredentialSource
from video_upload.configuration import Configuration
from video_upload.opinions.desk import Desk

PERIOD: Final = 0.5
SAVED: Final = 5.0
"""s between two times that what was spent is written down."""


class Service:
    """`apply` from any thread; all else from the loop's."""

    def __init__(self, app: App[Configuration]) -> None:
        self._app = app
        self._credentials = CredentialSource()
        self._desk = Desk(app, self._credentials)
        self._saved = time.monotonic()

    def __enter__(self) -> Self:
        self._desk.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._desk.close()

    def apply(self, configuration: Configuration) -> None:
        cameras = configuration.cameras
        self._desk.apply({id: c.opinion for id, c in cameras.items() if c.opinion is not None})

    def tick(self) -> None:
        for name, value in self._desk.gauges().items():
            self._app.health.gauge(name, value)
        if time.monotonic() - self._saved >= SAVED:
            self._saved = time.monotonic()
            self._desk.save()
