"""A command without an answer of its own: through the line's Console, or over the bus of the local core."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.bus import Bus
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.operate.channel import CONSOLE, SOCKET

WAIT = 15.0
MEND = "start the core, or give the line a console:"
__all__ = ["CONSOLE", "MEND", "SOCKET", "ask", "say"]


def ask(path: Path, request: dict[str, Any]) -> Any:
    """What the Console at that socket answers. Raises EdgeloopError, also where it refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(WAIT)
            caller.connect(str(path))
            caller.sendall(msgspec.json.encode(request) + b"\n")
            with caller.makefile("rb") as answers:
                answer = msgspec.json.decode(answers.readline(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        mend = "is io.edgeloop.Console running, and are you in its user's group?"
        raise EdgeloopError("cannot reach the console", where=str(path), why=str(error), mend=mend) from None
    if "error" in answer:
        where = "/".join(str(request[name]) for name in ("camera", "part") if name in request)
        raise EdgeloopError(f"{request['command']} was refused", where=where, why=str(answer["error"]))
    return answer.get("ok")


def say(root: Path, topic: str, document: dict[str, Any]) -> None:
    """Over the local core's bus. Raises EdgeloopError."""
    core = CoreClient(root)
    try:
        address, token = core.observer()
    except ControlError as error:
        raise EdgeloopError("cannot send a command", where=str(root), why=str(error), mend=MEND) from None
    with Bus(address, token) as bus:
        if not bus.wait_connected(WAIT):
            raise EdgeloopError("cannot send a command", where=str(address), why="the bus does not answer")
        bus.publish(topic, msgspec.json.encode(document))
        bus.flush(WAIT)
    core.close()
