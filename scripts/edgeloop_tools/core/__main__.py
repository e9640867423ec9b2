"""The core's process: `python -m edgeloop_tools.core --root FOLDER --nucleus classic|lite`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.deployments import SETTLED
from edgeloop_tools.core.nucleus import Nucleus, Settings, make_root

log = logging.getLogger("edgeloop.core")


async def serve(settings: Settings, ready_fd: int | None) -> None:
    nucleus = Nucleus(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, nucleus.stop_requested.set)
    ready = asyncio.Event()
    running = asyncio.create_task(nucleus.run(ready))
    is_ready = asyncio.create_task(ready.wait())
    await asyncio.wait((running, is_ready), return_when=asyncio.FIRST_COMPLETED)
    if ready.is_set():
        tell(ready_fd, "ready")
    is_ready.cancel()
    await running


def tell(descriptor: int | None, line: str) -> None:
    if descriptor is not None:
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)


def settings_of(argv: list[str] | None = None) -> tuple[Settings, int | None]:
    parser = argparse.ArgumentParser(prog="edgeloop-core", description="The local core's process.")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--nucleus", choices=("classic", "lite"), default="classic")
    parser.add_argument("--component-user")
    parser.add_argument("--thing-name", default="edgeloop-core")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--token-exchange-port", type=int, default=0)
    parser.add_argument("--stream-manager-port", type=int, default=0)
    parser.add_argument("--settled", type=float, default=SETTLED, help=argparse.SUPPRESS)
    parser.add_argument("--poll", type=float, default=0.0)
    parser.add_argument("--token-exchange", choices=("ready", "broken", "absent"), default="ready")
    parser.add_argument("--fresh", action="store_true", help="forget what was deployed; work folders stay")
    parser.add_argument("--no-bus", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    return Settings(
        root=given.root.absolute(),
        nucleus=given.nucleus,
        component_user=given.component_user,
        thing_name=given.thing_name,
        region=given.region,
        token_exchange_port=given.token_exchange_port,
        stream_manager_port=given.stream_manager_port,
        settled=given.settled,
        poll=given.poll,
        token_exchange=given.token_exchange,
        resume=not given.fresh,
        bus=not given.no_bus,
        debug=given.debug,
    ), given.ready_fd


def main() -> int:
    settings, ready_fd = settings_of()
    os.umask(0o022)
    try:
        make_root(settings.root)
        start_log(settings)
        asyncio.run(serve(settings, ready_fd))
    except EdgeloopError as error:
        log.error("%s", error, exc_info=settings.debug)
        tell_failure(ready_fd, str(error))
        return 1
    except Exception as error:
        log.critical("the core ends: %s: %s", type(error).__name__, error, exc_info=True)
        tell_failure(ready_fd, f"the core ended unexpectedly ({type(error).__name__}: {error}); see logs/core.log")
        return 1
    return 0


class CoreLog(logging.handlers.RotatingFileHandler):
    """For its owner alone."""

    def _open(self) -> TextIOWrapper:
        file = super()._open()
        os.fchmod(file.fileno(), 0o600)
        return file


def start_log(settings: Settings) -> None:
    handler = CoreLog(settings.root / "logs" / "core.log", maxBytes=4 << 20, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG if settings.debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def tell_failure(descriptor: int | None, line: str) -> None:
    if descriptor is None:
        print(f"edgeloop-core: {line}", file=sys.stderr)
        return
    try:
        tell(descriptor, line)
    except OSError as error:
        log.debug("nobody waits: %s", error)


if __name__ == "__main__":
    sys.exit(main())
