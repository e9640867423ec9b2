"""A camera of a device is taught by the device itself: the command, and what came of it."""

from __future__ import annotations

import argparse
import getpass
import time
from pathlib import Path
from typing import Final

from edgeloop import topics
from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop_tools.core.daemon import default_root
from edgeloop_tools.operate.console import CONSOLE, SOCKET, ask, say

DEVICE: Final = "device"
"""In place of pictures: the camera's own, on the device."""
PATIENCE: Final = 900.0
LOOK: Final = 0.5


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 once the model is active. Raises EdgeloopError."""
    if not arguments.camera:
        raise EdgeloopError("which camera?", where="--camera", mend="its id, as in the line's configuration")
    if arguments.bad or arguments.region or arguments.size:
        raise EdgeloopError("a device teaches from its camera's own pictures", mend="leave out --bad, --region, --size")
    root: Path = arguments.root or default_root()
    by = arguments.by or getpass.getuser()
    command = {
        "command": "teach", "camera": arguments.camera, "good": arguments.good, "reject": arguments.reject,
        "template": arguments.template, "by": by,
    }  # fmt: skip
    folder = store.directory(root, arguments.name)
    before = _active(folder)
    console = root / "work" / CONSOLE / SOCKET
    if console.is_socket():
        ask(console, command)
    else:
        say(root, topics.CAMERA_COMMANDS, command)
    print(f"{arguments.camera}: its next {arguments.good} pictures are taken for good ones", flush=True)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if (now := _active(folder)) not in (before, ""):
            print(f"{arguments.name} {now} is active")
            return 0
        time.sleep(LOOK)
    raise EdgeloopError("the model did not become active", where=arguments.name, why=f"not within {PATIENCE:g} s",
                        mend="see `edgeloop status`")  # fmt: skip


def _active(folder: Path) -> str:
    pointer = store.read(folder)
    return pointer.active.version if pointer is not None and pointer.active is not None else ""
