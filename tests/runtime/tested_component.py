"""A component of few lines, for tests: what it does is in its configuration."""

from __future__ import annotations

import sys
import threading

import msgspec

from edgeloop import component
from edgeloop.bus import keeper
from edgeloop.component import App
from edgeloop.config.declaration import Declaration
from edgeloop.config.quantities import Duration


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: str = "plant"
    tick: Duration = Duration("50 ms")
    password: str = ""
    crash: str = ""


DECLARATION = Declaration(
    name="io.edgeloop.Tested", description="A component for tests.", package="tested", configuration=Configuration
)


def fail() -> None:
    raise RuntimeError("a bug, token=hunter2")


def main() -> int:
    with App.start(DECLARATION) as app:
        app.on_configuration(lambda configuration: app.log.info("site is now %s", configuration.site))
        app.log.info("running at %s", app.config.site, threads=[thread.name for thread in threading.enumerate()])
        if app.config.crash == "main":
            fail()
        if app.config.crash == "thread":
            threading.Thread(target=fail).start()
        app.stop.wait()
        app.health.count("ends")
    return 0


if __name__ == "__main__":
    keeper._REFUSED_FOR = 1.0  # type: ignore[misc]
    component._START = 1.0  # type: ignore[misc]
    sys.exit(main())
