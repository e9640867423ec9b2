"""The page of a demo's line: where it is, who may log in, and that it is seen."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.demo.plan import CONSOLE, RUNTIME

USUAL = 8321
NAME = "demo"


@dataclass(frozen=True, slots=True)
class Page:
    port: int
    password: str

    @classmethod
    def free(cls) -> Page:
        """At the usual port, or at another where that is taken."""
        for port in (USUAL, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return cls(int(probe.getsockname()[1]), secrets.token_hex(4))
        raise EdgeloopError("no port is free for the page", where="127.0.0.1")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __str__(self) -> str:
        return f"{self.url} (name {NAME}, password {self.password})"

    def admit(self, root: Path, artifacts: Path) -> None:
        """Lets NAME in as an engineer, by the component's own program. Raises EdgeloopError."""
        python = root / "work" / RUNTIME / "venv" / "bin" / "python"
        program = artifacts / CONSOLE / __version__ / "console.pyz"
        words: list[str | Path] = [python, program, "user", "add", NAME, "--role", "engineer", "--root", root]
        done = subprocess.run(words, input=self.password + "\n", capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise EdgeloopError("nobody could be let in to the page", why=why)

    def open(self) -> bool:
        """In a browser, where a person sits at a screen; whether it was."""
        seen = sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY") or
                                        os.environ.get("WAYLAND_DISPLAY"))  # fmt: skip
        return bool(seen) and webbrowser.open(self.url)
