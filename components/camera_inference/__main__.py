"""CameraInference: setup, then a round every tick until it is stopped."""

from __future__ import annotations

import sys

from camera_inference.configuration import Configuration
from camera_inference.declaration import DECLARATION
from camera_inference.service import Service
from edgeloop.component import App


def main(argv: list[str] | None = None) -> int:
    with App.start(DECLARATION, argv) as app, app.made(lambda: Service(app)) as service:

        def apply(configuration: Configuration) -> None:
            if configuration.cameras:
                app.need("vision")
            service.apply(configuration)

        apply(app.config)
        app.on_configuration(apply)
        while not app.stop.wait(service.pause()):
            service.tick()
    return 0


if __name__ == "__main__":
    sys.exit(main())
