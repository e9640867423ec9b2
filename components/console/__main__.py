"""Console: setup, then once a second a look at what changed, until it is stopped."""

from __future__ import annotations

import sys

from console.declaration import DECLARATION
from edgeloop.component import App
from edgeloop.errors import EdgeloopError
from edgeloop.optional import load

PERIOD = 1.0
PATIENCE = 5.0


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["user"]:
        from console import users_command

        return users_command.main(words[1:])
    with App.start(DECLARATION, argv) as app:
        while not app.stop.is_set():
            try:
                for package in ("starlette", "uvicorn", "argon2", "cryptography"):
                    load(package, "the page")
            except EdgeloopError as error:
                app.health.problem("packages", str(error))
                app.stop.wait(PATIENCE)
                continue
            app.health.clear("packages")
            from console.service import Console

            with Console(app) as console:
                app.on_configuration(console.apply)
                while not app.stop.wait(PERIOD):
                    console.step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
