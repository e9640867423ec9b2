"""Entry point: `model_update.pyz --root <root of the nucleus>`."""

from __future__ import annotations

import sys
from functools import partial

from edgeloop import topics
from edgeloop.bus import credentials
from edgeloop.component import App
from edgeloop.queue import UploadQueue
from model_update.cloud import Cloud
from model_update.configuration import Configuration
from model_update.declaration import DECLARATION
from model_update.updates import Updates


def _updates(app: App[Configuration]) -> Updates:
    queue = UploadQueue(app.root, app.name, budget=4 << 20)
    append = partial(queue.append, sync=True)
    return Updates(
        app.root, app.work, app.bus.publish, app.health, app.log, append, lambda: credentials.ask(app.bus)
    )


def main(argv: list[str] | None = None) -> int:
    with (
        App.start(DECLARATION, argv) as app,
        app.made(lambda: _updates(app)) as updates,
    ):

        def needed(configuration: Configuration) -> Configuration:
            if configuration.models:
                app.need("vision")
            if any(model.uri.startswith("s3:") for model in configuration.models.values()):
                app.need("upload")
            return configuration

        cloud = Cloud(app.bus, updates.wishes, app.log)

        def apply(configuration: Configuration) -> None:
            updates.apply(needed(configuration))
            cloud.follow(configuration.desired)

        updates.start(needed(app.config))
        app.bus.subscribe(topics.MODEL_COMMANDS, updates.command)
        app.on_configuration(apply)
        cloud.follow(app.config.desired)
        app.stop.wait()
        cloud.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
