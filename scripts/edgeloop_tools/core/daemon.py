"""Starting the core's process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient

Nucleus = Literal["classic", "lite"]
TokenExchangeState = Literal["ready", "broken", "absent"]


def default_root(name: str = "core") -> Path:
    """Where a core of this name lives: `$EDGELOOP_CORE_ROOT`, else below the user's state folder."""
    if root := os.environ.get("EDGELOOP_CORE_ROOT"):
        return Path(root)
    if os.geteuid() == 0:
        return Path("/var/lib/edgeloop") / name
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "edgeloop" / name


def start(
    root: Path,
    nucleus: Nucleus = "classic",
    *,
    component_user: str | None = None,
    thing_name: str = "edgeloop-core",
    region: str = "us-east-1",
    token_exchange_port: int = 0,
    stream_manager_port: int = 0,
    settled: float | None = None,
    poll: float = 0.0,
    token_exchange: TokenExchangeState = "ready",
    resume: bool = True,
    bus: bool = True,
    debug: bool = False,
    timeout: float = 60,
) -> CoreClient:
    """Start a core in the background and return once it answers and components can reach the bus.

    resume: run what was deployed last; False forgets it, while work folders stay. bus: False starts no IPC server.
    stream_manager_port: 0 is any that is free, told to components in STREAM_MANAGER_SERVER_PORT (a device has 8088).
    settled: seconds for which components must be well until a deployment has succeeded.
    poll: seconds between looks for deployments, 15 on a device. token_exchange: broken as without a role alias, absent
    as where no recipe names it.
    Raises EdgeloopError with the core's own line.
    """
    command = [
        sys.executable,
        "-m",
        "edgeloop_tools.core",
        "--root",
        str(Path(root).absolute()),
        "--nucleus",
        nucleus,
        "--thing-name",
        thing_name,
        "--region",
        region,
    ]
    if component_user:
        command += ["--component-user", component_user]
    command += ["--token-exchange-port", str(token_exchange_port)]
    command += ["--stream-manager-port", str(stream_manager_port)]
    command += ["--settled", str(settled)] if settled is not None else []
    command += ["--poll", str(poll), "--token-exchange", token_exchange]
    command += [word for word, wanted in (("--fresh", not resume), ("--no-bus", not bus), ("--debug", debug)) if wanted]
    ready_read, ready_write = os.pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, sys.path)))}
    try:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(ready_write)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(ready_write,),
            start_new_session=True,
            env=environment,
        )
    finally:
        os.close(ready_write)
    line = _first_line(ready_read, timeout)
    if line != "ready":
        if process.poll() is None:
            process.terminate()
        process.wait()
        raise EdgeloopError(line or f"the core did not start within {timeout:g} s", where="" if line else str(root))
    return CoreClient(Path(root))


def _first_line(descriptor: int, timeout: float) -> str:
    end, received = time.monotonic() + timeout, b""
    try:
        while (remaining := end - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], remaining)[0]:
                break
            part = os.read(descriptor, 4096)
            if not part:
                break
            received += part
            if b"\n" in received:
                break
    finally:
        os.close(descriptor)
    return received.decode(errors="replace").partition("\n")[0]
