from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import edgeloop
from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.journal import JournalWriter, directory
from edgeloop.samples import SamplesPublisher
from edgeloop_tools.config.grants import granted
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.matching import Nucleus
from edgeloop_tools.core.ipc.server import Server

NAME = "io.edgeloop.AnomalyInference"
COMPONENTS = Path(edgeloop.__file__).parents[2]


class Site:
    """A bus, a root folder with SensorIngest's journal, and the component as a process of its own."""

    def __init__(self, root: Path, nucleus: Nucleus = "classic") -> None:
        self.root, self._nucleus = root, nucleus
        self.socket = root / "ipc.socket"
        self.backend = MemoryBackend()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(60)
        self.bus = Bus(str(self.socket), self._token("a.tool", unrestricted=True), name="a.tool")
        self.bus.__enter__()
        assert self.bus.wait_connected(10)
        self.journal = JournalWriter(directory(root))
        self.samples = SamplesPublisher(self.bus.publish, self.journal)
        self.messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        for name in (topics.results(NAME), topics.ALARMS, topics.ACTIONS, topics.health(NAME)):
            self.bus.subscribe(name, lambda topic, payload: self.messages.put((topic, json.loads(payload))))
        self.process: subprocess.Popen[bytes] | None = None
        self._first: list[Callable[[], None]] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []

    async def _serve(self) -> None:
        self.server = Server(self.socket, self.backend, self._nucleus)
        await self.server.start()
        self.serving = asyncio.create_task(self.server.serve())

    def _token(self, component: str, **options: Any) -> str:
        async def add() -> str:
            return self.backend.add(component, **options)

        return asyncio.run_coroutine_threadsafe(add(), self.loop).result(60)

    def start(self, configuration: dict[str, Any]) -> None:
        from anomaly_inference.declaration import DECLARATION as declared

        given = granted({NAME: configuration})[NAME].get("accessControl", {})
        acts = given.get("aws.greengrass.ipc.pubsub", {})
        policy = {
            "aws.greengrass.ipc.pubsub": {
                "p": {"operations": ["aws.greengrass#PublishToTopic"], "resources": list(declared.publishes)},
                "s": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": list(declared.subscribes)},
                **acts,
            },
            "aws.greengrass.ipc.mqttproxy": given.get("aws.greengrass.ipc.mqttproxy", {}),
        }
        token = self._token(NAME, access_control=policy, configuration=configuration)
        environment = {
            "PATH": os.environ["PATH"],
            "SVCUID": token,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "AWS_IOT_THING_NAME": "laptop",
            "PYTHONPATH": os.pathsep.join(map(str, (COMPONENTS, COMPONENTS / "runtime"))),
        }
        command = [sys.executable, "-m", "anomaly_inference", "--root", str(self.root)]
        self.log = open(self.root / "component.log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log, cwd=self.root)

    def fault(self, kind: str, **arguments: Any) -> None:
        """Of the bus, or what another client of IoT Core does (`iot_publish`)."""

        async def apply() -> None:
            self.server.faults.apply(kind, arguments)

        asyncio.run_coroutine_threadsafe(apply(), self.loop).result(60)

    def configure(self, **configuration: Any) -> None:
        """As a deployment would."""
        change = self.backend.update_configuration(NAME, (), configuration, time.time_ns() // 10**6)
        asyncio.run_coroutine_threadsafe(change, self.loop).result(60)

    def kill(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.log.close()
        return code

    def wait(self, what: Callable[[str, dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The next message that satisfies; all of them are kept in `seen`."""
        while True:
            try:
                topic, document = self.messages.get(timeout=seconds)
            except queue.Empty:
                text = (self.root / "component.log").read_text()[-3000:]
                raise AssertionError(f"no such message within {seconds} s; the log ends {text}") from None
            self.seen.append((topic, document))
            if what(topic, document):
                return document

    def alarms(self) -> list[dict[str, Any]]:
        return [d for t, d in self.seen if t.startswith("edgeloop/alarms/")]

    def on_close(self, stop: Callable[[], None]) -> None:
        self._first.append(stop)

    def close(self) -> None:
        for stop in self._first:
            stop()
        if self.process is not None and self.process.poll() is None:
            self.kill(signal.SIGKILL)
        self.journal.close()
        self.bus.close()

        async def end() -> None:
            self.serving.cancel()
            await asyncio.wait((self.serving,))
            await self.server.close()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="site") as folder:
        running = Site(Path(folder), getattr(request, "param", "classic"))
        try:
            yield running
        finally:
            running.close()
