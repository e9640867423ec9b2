"""Console: setup, then once a second a look at what changed, until it is stopped."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from console.configuration import Configuration
from console.declaration import DECLARATION
from console.memory import frugal
from edgeloop.component import App
from edgeloop.optional import load

if TYPE_CHECKING:
    from console.service import Console

PERIOD = 1.0
GIVES_WAY = 5
"""Niceness: what scores and acts goes before the page."""


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["user"]:
        from console import users_command

        return users_command.main(words[1:])
    frugal()
    os.nice(GIVES_WAY)
    with App.start(DECLARATION, argv) as app:
        app.need("console")
        with app.made(lambda: opened(app)) as console:
            app.on_configuration(console.apply)
            while not app.stop.wait(PERIOD):
                console.step()
    return 0


def opened(app: App[Configuration]) -> Console:
    """The page and what is behind it. Raises EdgeloopError while its packages are missing."""
    for package in ("starlette", "uvicorn", "argon2", "cryptography"):
        load(package, "the page")
    from console.service import Console

    return Console(app)


if __name__ == "__main__":
    sys.exit(main())
