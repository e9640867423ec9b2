"""`part wrong`: through the Console where there is one, else over the bus of the local core."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from edgeloop import clock, topics
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.daemon import default_root
from edgeloop_tools.operate.console import CONSOLE, MEND, SOCKET, ask, say


def wrong(arguments: argparse.Namespace) -> int:
    camera, slash, part = arguments.part.partition("/")
    if not (camera and slash and part):
        mend = "CAMERA/PART, as in results"
        raise EdgeloopError("which part?", where="CAMERA/PART", why=repr(arguments.part), mend=mend)
    root = arguments.root or default_root()
    by = arguments.by or getpass.getuser()
    console = root / "work" / CONSOLE / SOCKET
    if console.is_socket():
        ask(console, {"command": "part wrong", "camera": camera, "part": part, "label": arguments.label, "by": by})
    else:
        _by_bus(root, camera, part, arguments.label, by)
    print(f"{camera}/{part} is {arguments.label}, says {by}")
    return 0


def _by_bus(root: Path, camera: str, part: str, label: str, by: str) -> None:
    core = CoreClient(root)
    try:
        device = str(core.status().get("thing_name") or os.environ.get("AWS_IOT_THING_NAME", "edgeloop-core"))
    except ControlError as error:
        raise EdgeloopError("cannot send a label", where=str(root), why=str(error), mend=MEND) from None
    now = clock.now()
    record = {
        "schema": 2, "subject": f"part:{device}/{camera}/{part}", "label": label, "by": by, "time": now,
        "time_rfc3339": clock.rfc3339(now), "source": "operator", "boxes": [], "replaces": "",
    }  # fmt: skip
    command = {"command": "label", "camera": camera, "part": part, "record": record}
    core.close()
    say(root, topics.PART_COMMANDS, command)
