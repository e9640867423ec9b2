"""The Stream Manager process: `python -m edgeloop_tools.core.stream_manager --store FOLDER …`.

Ends with 0 when told to (SIGTERM) or when the supervisor is gone, with 1 and one line if it cannot serve.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.stream_manager.cloud import AWS, Cloud
from edgeloop_tools.core.stream_manager.exports import Exporters
from edgeloop_tools.core.stream_manager.exports.exporter import Means
from edgeloop_tools.core.stream_manager.exports.pause import Hurry
from edgeloop_tools.core.stream_manager.exports.pool import Pool
from edgeloop_tools.core.stream_manager.exports.status import StatusWriter
from edgeloop_tools.core.stream_manager.exports.tasks import owner_of
from edgeloop_tools.core.stream_manager.link import Link
from edgeloop_tools.core.stream_manager.operations import Operations
from edgeloop_tools.core.stream_manager.server import Server
from edgeloop_tools.core.stream_manager.store import Streams

log = logging.getLogger("edgeloop.core.stream_manager")

DEFAULT_PORT = 8088
_HOUSEKEEPING = 10.0
_ONLY_TOKEN_EXCHANGE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
}
"""Where credentials do not come from."""


async def serve(arguments: argparse.Namespace) -> None:
    streams = Streams(Path(arguments.store or ".").absolute() / "streams")
    streams.open()
    cloud = Cloud(arguments.endpoint, arguments.region, create=bool(os.environ.get("EDGELOOP_ENDPOINT_CREATE")))
    hurry = Hurry()
    cloud.on_recovery = hurry.up
    pool = Pool(arguments.threads)
    exporters = Exporters(streams, Means(cloud, pool, StatusWriter(streams), hurry, owner_of(os.environ)))
    link = Link(arguments.control, cloud.fault) if arguments.control else None
    authenticate = link.authenticate if link and arguments.authenticate else _anybody
    server = Server(Operations(streams), authenticate)
    streams.on_change, streams.on_drop = exporters.refresh, exporters.dropping
    try:
        if link:
            await link.open()
        await server.start(arguments.port)
        log.info("listening on port %s, %s streams in %s", server.port, len(streams.names), streams.root)
        await _until_told(link, _export(cloud, exporters), _keep_house(streams))
    finally:
        await server.close()
        await exporters.close()
        pool.close()
        streams.close()
        if link:
            await link.close()


async def _anybody(token: str | None) -> str | None:
    return "a client"


async def _until_told(link: Link | None, *work: Coroutine[Any, Any, None]) -> None:
    """Returns at a signal, or when the supervisor is gone. Raises what one of `work` raises."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    waits = {asyncio.create_task(stop.wait()), *map(asyncio.create_task, work)}
    if link:
        waits.add(asyncio.create_task(link.ended()))
    done, waiting = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


async def _export(cloud: Cloud, exporters: Exporters) -> None:
    await cloud.reachable()
    exporters.start()
    await asyncio.Event().wait()


async def _keep_house(streams: Streams) -> None:
    while True:
        await asyncio.sleep(_HOUSEKEEPING)
        try:
            streams.expire(time.time_ns() // 1_000_000)
        except OSError as error:
            log.warning("messages that outlived their time cannot be deleted: %s", error)


def _number(key: str, text: str, default: int, highest: int) -> int:
    try:
        number = int(text or default)
    except ValueError:
        number = -1
    if not 0 <= number <= highest:
        raise EdgeloopError(f"{key} is out of range", why=repr(text), mend=f"give a number up to {highest}")
    return number


def _settle(arguments: argparse.Namespace) -> None:
    """The configuration's texts as values. Raises EdgeloopError."""
    own = int(os.environ.get("STREAM_MANAGER_SERVER_PORT") or DEFAULT_PORT)
    arguments.port = _number("STREAM_MANAGER_SERVER_PORT", arguments.port, own, 65535)
    arguments.threads = _number("STREAM_MANAGER_EXPORTER_THREAD_POOL_SIZE", arguments.threads, 5, 64) or 1
    if arguments.authenticate not in ("true", "false"):
        raise EdgeloopError(
            "STREAM_MANAGER_AUTHENTICATE_CLIENT is neither true nor false", why=repr(arguments.authenticate)
        )
    arguments.authenticate = arguments.authenticate == "true"
    arguments.endpoint = os.environ.get("EDGELOOP_ENDPOINT_URL") or AWS
    arguments.region = os.environ.get("AWS_REGION") or "us-east-1"
    os.environ.update(_ONLY_TOKEN_EXCHANGE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="edgeloop-stream-manager", description="Stream Manager of the local core.")
    parser.add_argument("--store", default="", help="STREAM_MANAGER_STORE_ROOT_DIR (the working directory)")
    parser.add_argument("--threads", default="5", help="STREAM_MANAGER_EXPORTER_THREAD_POOL_SIZE")
    parser.add_argument("--port", default="", help="STREAM_MANAGER_SERVER_PORT (8088)")
    parser.add_argument("--authenticate", default="true", help="STREAM_MANAGER_AUTHENTICATE_CLIENT: true or false")
    parser.add_argument("--control", type=Path, help="the supervisor's control socket; without it, anybody may connect")
    parser.add_argument("--debug", action="store_true", help="tracebacks, and more lines")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.DEBUG if arguments.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    try:
        _settle(arguments)
        asyncio.run(serve(arguments))
    except EdgeloopError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
