"""VideoUpload: setup, then a look around twice a second until it is stopped."""

from __future__ import annotations

import sys

from edgeloop.component import App
from video_upload.configuration import Configuration
from video_upload.declaration import DECLARATION
from video_upload.service import PERIOD, Service


def main(argv: list[str] | None = None) -> int:
    with App.start(DECLARATION, argv) as app, app.made(lambda: Service(app)) as service:

        def apply(configuration: Configuration) -> None:
            if any(camera.video is not None for camera in configuration.cameras.values()):
                app.need("video")
            service.apply(configuration)

        apply(app.config)
        app.on_configuration(apply)
        while not app.stop.wait(PERIOD):
            service.tick()
    return 0


if __name__ == "__main__":
    sys.exit(main())
