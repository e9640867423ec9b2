"""A real SensorIngest process on a real bus."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeloop.journal import START, JournalReader, directory
from edgeloop.wire.batch import Item
from sensor_ingest.declaration import DECLARATION

from ..plant import OnePlant

IOT = {"operations": ["aws.greengrass#SubscribeToIoTCore"], "resources": [*DECLARATION.cloud_subscribes]}


class Plant(OnePlant):
    """A bus, an observer on it, and SensorIngest processes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, DECLARATION, {"aws.greengrass.ipc.mqttproxy": {"cloud": IOT}})

    def journal(self) -> list[Item]:
        return [item for item, _ in JournalReader(directory(self.root), START).read()]


class Peer:
    """A program that a source talks to, in a process of its own. It writes its port to `port` in its folder."""

    def __init__(self, folder: Path, script: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, "0"
        self._script, self._arguments = script, arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, on the port it had before; returns when it listens."""
        ready = self.folder / "port"
        ready.unlink(missing_ok=True)
        arguments = [a.format(port=self.port) for a in self._arguments]
        with (self.folder / "peer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(self._script), *arguments, str(self.folder)], stdout=log, stderr=log
            )
        end = time.monotonic() + 60
        while not ready.exists():
            said = (self.folder / "peer.log").read_text
            assert self.process.poll() is None, said()
            assert time.monotonic() < end, said()
            time.sleep(0.02)
        self.port = ready.read_text()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def make_peer(tmp_path: Path) -> Iterator[Callable[..., Peer]]:
    """Starts a program; {port} in its arguments is 0 at first. All are killed at the end."""
    made: list[Peer] = []

    def make(script: Path, *arguments: str) -> Peer:
        made.append(Peer(tmp_path / f"peer{len(made)}", script, *arguments))
        made[-1].start()
        return made[-1]

    yield make
    for peer in made:
        peer.kill()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.close()
