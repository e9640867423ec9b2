"""A nucleus's IPC server as a process: `python nucleus_process.py SOCKET classic|lite`, with commands as JSON lines.

The tokens and the configuration of the components come in the first line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from edgeloop_tools.core.ipc.backend import ConfigurationChanged, Identity, MemoryBackend
from edgeloop_tools.core.ipc.server import Server


def answer(server: Server, backend: MemoryBackend, command: dict[str, Any]) -> Any:
    match command:
        case {"fault": kind, "arguments": arguments}:
            return server.faults.apply(kind, arguments)
        case {"states": _}:
            return backend.states
        case {"status": _}:
            return server.status()
    raise ValueError(command)


async def main() -> None:
    path, nucleus = sys.argv[1:]
    backend = MemoryBackend()
    server = Server(Path(path), backend, "lite" if nucleus == "lite" else "classic")
    loop = asyncio.get_running_loop()

    async def next_command() -> Any:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        return json.loads(line) if line else None

    for component in await next_command():
        name = component["name"]
        backend.tokens[component["token"]] = Identity(name, component["policy"], component["policy"] == {})
        backend.configuration[name] = component["configuration"]
    await server.start()
    serving = asyncio.create_task(server.serve())
    print("null", flush=True)
    while (command := await next_command()) is not None:
        if "configure" in command:
            result = None
            backend.configuration[command["component"]] = command["configure"]
            backend.emit(ConfigurationChanged(command["component"], (("changed",),)))
        else:
            result = answer(server, backend, command)
        print(json.dumps(result), flush=True)
    serving.cancel()
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
