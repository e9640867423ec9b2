"""StreamUpload: setup, then pass after pass until it is stopped."""

from __future__ import annotations

import sys

from edgeloop.component import App
from stream_upload.configuration import Configuration
from stream_upload.declaration import DECLARATION
from stream_upload.uploader import Uploader


def main(argv: list[str] | None = None) -> int:
    with App.start(DECLARATION, argv) as app, app.made(lambda: Uploader(app)) as uploader:

        def apply(configuration: Configuration) -> None:
            if configuration.bucket:
                app.need("upload")
            uploader.apply(configuration)

        apply(app.config)
        app.on_configuration(apply)
        while not app.stop.wait(uploader.pause()):
            uploader.step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
