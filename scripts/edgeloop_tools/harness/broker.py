"""Debian's mosquitto, as a peer of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.ports import free_port

BINARY: Final = shutil.which("mosquitto", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
PATIENCE: Final = 30.0


class Broker:
    """On a port of its own; keeps whatever its clients are to get. Raises EdgeloopError where there is none."""

    def __init__(self, folder: Path) -> None:
        if BINARY is None:
            raise EdgeloopError("there is no mosquitto", mend="apt-get install mosquitto")
        self.host, self.port = "127.0.0.1", free_port()
        folder.mkdir(parents=True, exist_ok=True)
        user = "user root\n" if os.geteuid() == 0 else ""
        lines = "persistence false\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        (folder / "mosquitto.conf").write_text(f"{user}{lines}listener {self.port} {self.host}\n")
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
                return
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                raise EdgeloopError("mosquitto does not start", where=str(folder / "log"))
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def freeze(self, frozen: bool) -> None:
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
