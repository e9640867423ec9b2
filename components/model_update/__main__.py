"""Entry point: `model_update.pyz --root <root of the nucleus>`."""

from __future__ import annotations

import sys

from edgeloop.component import App
from model_update.declaration import DECLARATION
from model_update.updates import Updates


def main(argv: list[str] | None = None) -> int:
    with (
        App.start(DECLARATION, argv) as app,
        app.made(lambda: Updates(app.root, app.work, app.bus.publish, app.health, app.log)) as updates,
    ):
        app.on_configuration(updates.apply)
        updates.start(app.config)
        app.stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
