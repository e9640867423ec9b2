"""Entry point: `sensor_ingest.pyz --root <root of the nucleus>`."""

from __future__ import annotations

import sys

from edgeloop import topics
from edgeloop.component import App
from sensor_ingest.declaration import DECLARATION
from sensor_ingest.ingest import Ingest
from sensor_ingest.sources import Registry

HEARING = 2.5
"""s between self-pings: actions that a dead bus swallows are missed for at most twice that."""


def main(argv: list[str] | None = None) -> int:
    Registry(lambda failure: None)  # a second to import, while a predecessor on the same work folder still senses
    with App.start(DECLARATION, argv) as app, app.made(lambda: Ingest(app)) as ingest:
        app.on_configuration(ingest.apply)
        ingest.apply(app.config)
        ingest.tick()
        app.bus.subscribe(topics.ACTIONS, ingest.actions.receive)
        app.bus.ping_every(HEARING)
        while not app.stop.is_set():
            ingest.rest(app.stop)
            ingest.tick()
    return 0


if __name__ == "__main__":
    sys.exit(main())
