"""A real SensorIngest process on a real bus."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop import documents, topics
from edgeloop.bus import Bus
from edgeloop.journal import START, JournalReader, directory
from edgeloop.wire.batch import Item
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server
from sensor_ingest.declaration import DECLARATION, NAME

ROOT = Path(__file__).parents[2]
PUBSUB = "aws.greengrass.ipc.pubsub"


def policy() -> dict[str, Any]:
    """The access control that the declaration asks for."""
    return {
        PUBSUB: {
            "publish": {"operations": ["aws.greengrass#PublishToTopic"], "resources": [*DECLARATION.publishes]},
            "subscribe": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": [*DECLARATION.subscribes]},
        },
        "aws.greengrass.ipc.mqttproxy": {
            "cloud": {
                "operations": ["aws.greengrass#SubscribeToIoTCore"],
                "resources": [*DECLARATION.cloud_subscribes],
            }
        },
    }


class Plant:
    """A bus, an observer on it, and SensorIngest processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work" / NAME
        self.work.mkdir(parents=True)
        self.backend = MemoryBackend()
        self.socket = root / "ipc.socket"
        self.token = self.backend.add(NAME, policy())
        self.messages: dict[str, list[bytes]] = {}
        self._changed = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._server = Server(self.socket, self.backend, "classic")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        started = threading.Event()
        self._loop.call_soon(lambda: self._loop.create_task(self._start(started)))
        self._thread.start()
        assert started.wait(60)
        watcher = self.backend.add("tests", unrestricted=True)
        self.bus = Bus(self.socket, watcher)
        self.bus.__enter__()
        self.bus.subscribe("edgeloop/#", self._heard)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self, started: threading.Event) -> None:
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())
        started.set()

    async def _stop(self) -> None:
        self._serving.cancel()
        await self._server.close()

    def _heard(self, topic: str, payload: bytes) -> None:
        with self._changed:
            self.messages.setdefault(topic, []).append(payload)
            self._changed.notify_all()

    def configure(self, **configuration: Any) -> None:
        """Changes the configuration as a deployment would."""
        done = asyncio.run_coroutine_threadsafe(
            self.backend.update_configuration(NAME, (), configuration, time.time_ns() // 10**6), self._loop
        )
        done.result(60)

    def start(self, archive: Path | None = None) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "SVCUID": self.token,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "components"), str(ROOT / "components" / "runtime")]),
        }
        program = ["-m", "sensor_ingest"]
        if archive is not None:
            program = [str(archive)]
            del environment["PYTHONPATH"]
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", *program, "--root", str(self.root), "--debug"],
                env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.work,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def documents(self, topic: str) -> list[Any]:
        with self._changed:
            return [documents.decode(p) for p in self.messages.get(topic, [])]

    def wait(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Until a condition holds, looked at after every message."""
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"not within {seconds} s\n{self.log()[-3000:]}"
                self._changed.wait(min(left, 0.5))

    def health(self) -> dict[str, Any]:
        """The newest health document."""
        found = self.documents(topics.health(NAME))
        return found[-1] if found else {}

    def problems(self) -> str:
        return str(self.health().get("problems", ""))

    def log(self) -> str:
        return (self.root / "log").read_text()

    def journal(self) -> list[Item]:
        return [item for item, _ in JournalReader(directory(self.root), START).read()]

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        self.bus.close()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)


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
