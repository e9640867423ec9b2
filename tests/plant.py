"""Real processes of components on a real bus, and an observer on it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeloop import documents, topics
from edgeloop.bus import Bus
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server

ROOT = Path(__file__).parents[1]
PUBSUB = "aws.greengrass.ipc.pubsub"
LIBRARY = (ROOT / "components", ROOT / "components" / "runtime")


def policy(declaration: Any) -> dict[str, Any]:
    """The access control that a declaration asks for."""
    return {
        PUBSUB: {
            "publish": {"operations": ["aws.greengrass#PublishToTopic"], "resources": [*declaration.publishes]},
            "subscribe": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": [*declaration.subscribes]},
        }
    }


class Plant:
    """A bus, what is said on it below edgeloop/, and the processes that were launched. policies: by component."""

    def __init__(self, root: Path, policies: Mapping[str, dict[str, Any]]) -> None:
        self.root = root
        self.backend = MemoryBackend()
        self.socket = root / "ipc.socket"
        self.tokens = {name: self.backend.add(name, allowed) for name, allowed in policies.items()}
        for name in self.tokens:
            (root / "work" / name).mkdir(parents=True)
        self.messages: dict[str, list[bytes]] = {}
        self._decoded: dict[str, list[Any]] = {}
        self._changed = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._server = Server(self.socket, self.backend, "classic")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        self.bus = Bus(self.socket, self.backend.add("tests", unrestricted=True))
        self.bus.__enter__()
        self.bus.subscribe("edgeloop/#", self._heard, depth=100_000)

    async def _start(self) -> None:
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())

    async def _stop(self) -> None:
        self._serving.cancel()
        await asyncio.wait((self._serving,))
        await self._server.close()

    def _heard(self, topic: str, payload: bytes) -> None:
        with self._changed:
            self.messages.setdefault(topic, []).append(payload)
            self._changed.notify_all()

    def publish_from_cloud(self, topic: str, payload: bytes) -> None:
        """Retained, as another client of IoT Core does."""

        async def say() -> None:
            self._server.operations.publish_from_cloud(topic, payload, retain=True)

        asyncio.run_coroutine_threadsafe(say(), self._loop).result(60)

    def deploy(self, component: str, configuration: Mapping[str, Any]) -> None:
        """Changes the configuration as a deployment would."""
        now = time.time_ns() // 10**6
        done = self.backend.update_configuration(component, (), dict(configuration), now)
        asyncio.run_coroutine_threadsafe(done, self._loop).result(60)

    def launch(
        self, component: str, package: str, archive: Path | None = None, *before: Path, log: str = "log",
        environment: Mapping[str, str] = os.environ,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """The package of this checkout, or an archive. before: folders that come first on its path."""
        variables = {
            **environment,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "SVCUID": self.tokens[component],
        }
        if archive is None:
            variables["PYTHONPATH"] = os.pathsep.join(map(str, [*before, *LIBRARY]))
        program = ["-m", package] if archive is None else [str(archive)]
        with (self.root / log).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-u", *program, "--root", str(self.root), "--debug"],
                env=variables, stdout=file, stderr=subprocess.STDOUT, cwd=self.root / "work" / component,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def documents(self, topic: str) -> list[Any]:
        """Of a topic, all so far; each is decoded once, or a long run would spend its time here and not on the bus."""
        with self._changed:
            decoded = self._decoded.setdefault(topic, [])
            decoded += [documents.decode(p) for p in self.messages.get(topic, [])[len(decoded) :]]
            return list(decoded)

    def wait(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Until a condition holds, looked at after every message."""
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"not within {seconds} s\n{self.log()[-4000:]}"
                self._changed.wait(min(left, 0.5))

    def health_of(self, component: str) -> dict[str, Any]:
        """The newest health document."""
        found = self.documents(topics.health(component))
        return found[-1] if found else {}

    def log(self) -> str:
        logs = sorted(path for path in self.root.iterdir() if path.name == "log" or path.suffix == ".log")
        return "".join(path.read_text() for path in logs)

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        self.bus.close()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


class OnePlant(Plant):
    """Of one component, with what else it may do."""

    def __init__(self, root: Path, declaration: Any, more: Mapping[str, Any] = {}) -> None:
        self.name, self.package = declaration.name, declaration.package
        super().__init__(root, {self.name: policy(declaration) | dict(more)})
        self.work, self.token = root / "work" / self.name, self.tokens[self.name]

    def configure(self, **configuration: Any) -> None:
        self.deploy(self.name, configuration)

    def start(self, archive: Path | None = None, *before: Path) -> subprocess.Popen[bytes]:
        return self.launch(self.name, self.package, archive, *before)

    def health(self) -> dict[str, Any]:
        return self.health_of(self.name)

    def problems(self) -> str:
        return str(self.health().get("problems", ""))
