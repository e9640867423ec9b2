"""The bus process: `python -m edgeloop_tools.core.ipc --socket PATH --control PATH --nucleus classic|lite`.

Ends with 0 when told to (SIGTERM) or when the supervisor is gone, with 1 and one line if it cannot serve.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from edgeloop.errors import EdgeloopError

from .backend import BackendError
from .control_backend import ControlBackend
from .server import Server

log = logging.getLogger("edgeloop.core.ipc")


async def serve(arguments: argparse.Namespace) -> None:
    backend = ControlBackend(arguments.control)
    server = Server(arguments.socket, backend, arguments.nucleus)
    backend.on_fault = server.faults.apply
    backend.on_statistics = server.status
    await backend.open()
    try:
        backend.restore_faults()
        await server.start()
        log.info("serving %s (%s)", arguments.socket, arguments.nucleus)
        serving = asyncio.create_task(server.serve())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        await asyncio.wait((serving,))
        if not serving.cancelled():
            serving.result()
            log.info("the supervisor is gone")
    finally:
        await server.close()
        await backend.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="edgeloop-ipc", description="The Greengrass IPC server of the local core.")
    parser.add_argument("--socket", type=Path, required=True, help="the socket that components connect to")
    parser.add_argument("--control", type=Path, required=True, help="the supervisor's control socket")
    parser.add_argument("--nucleus", choices=("classic", "lite"), default="classic")
    parser.add_argument("--debug", action="store_true", help="tracebacks, and more lines")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.DEBUG if arguments.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    try:
        asyncio.run(serve(arguments))
    except (EdgeloopError, BackendError) as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
