"""`part wrong`: through the Console where there is one, else over the bus of the local core."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from edgeloop import clock, topics
from edgeloop.bus import Bus
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.daemon import default_root
from edgeloop_tools.operate.channel import CONSOLE, SOCKET

WAIT = 15.0


def wrong(arguments: argparse.Namespace) -> int:
    camera, slash, part = arguments.part.partition("/")
    if not (camera and slash and part):
        mend = "CAMERA/PART, as in results"
        raise EdgeloopError("which part?", where="CAMERA/PART", why=repr(arguments.part), mend=mend)
    root = arguments.root or default_root()
    by = arguments.by or getpass.getuser()
    console = root / "work" / CONSOLE / SOCKET
    if console.is_socket():
        _by_console(console, {"camera": camera, "part": part, "label": arguments.label, "by": by})
    else:
        _by_bus(root, camera, part, arguments.label, by)
    print(f"{camera}/{part} is {arguments.label}, says {by}")
    return 0


def _by_console(path: Path, request: dict[str, Any]) -> None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(WAIT)
            caller.connect(str(path))
            caller.sendall(msgspec.json.encode({"command": "part wrong", **request}) + b"\n")
            with caller.makefile("rb") as answers:
                answer = msgspec.json.decode(answers.readline(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        mend = "is io.edgeloop.Console running, and are you in its user's group?"
        raise EdgeloopError("cannot reach the console", where=str(path), why=str(error), mend=mend) from None
    if "error" in answer:
        where = f"{request['camera']}/{request['part']}"
        raise EdgeloopError("the label was refused", where=where, why=str(answer["error"]))


def _by_bus(root: Path, camera: str, part: str, label: str, by: str) -> None:
    core = CoreClient(root)
    try:
        address, token = core.observer()
        device = str(core.status().get("thing_name") or os.environ.get("AWS_IOT_THING_NAME", "edgeloop-core"))
    except ControlError as error:
        raise EdgeloopError("cannot send a label", where=str(root), why=str(error),
                            mend="start the core, or give the line a console:") from None  # fmt: skip
    now = clock.now()
    record = {
        "schema": 2, "subject": f"part:{device}/{camera}/{part}", "label": label, "by": by, "time": now,
        "time_rfc3339": clock.rfc3339(now), "source": "operator", "boxes": [], "replaces": "",
    }  # fmt: skip
    command = {"command": "label", "camera": camera, "part": part, "record": record}
    with Bus(address, token) as bus:
        if not bus.wait_connected(WAIT):
            raise EdgeloopError("cannot send a label", where=str(address), why="the bus does not answer")
        bus.publish(topics.PART_COMMANDS, msgspec.json.encode(command))
        bus.flush(WAIT)
    core.close()
