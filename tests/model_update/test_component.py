"""The component as a nucleus runs it: its archive as a process, its own policy, a bus."""

from __future__ import annotations

import asyncio
import base64
import json
import os
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
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.models import store
from edgeloop.models.active import ActiveModel
from edgeloop_tools.build.archive import pyz
from edgeloop_tools.build.recipe import access_control
from edgeloop_tools.config.grants import ACCESS, granted
from edgeloop_tools.core.ipc.backend import ConfigurationChanged, MemoryBackend
from edgeloop_tools.core.ipc.server import Server
from model_update.declaration import DECLARATION, NAME
from model_update.wishes import shadow_topic, topic

USER = "io.edgeloop.CameraInference"


def until(condition: Callable[[], object], what: Callable[[], str] = str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened in time; {what()}"
        time.sleep(0.005)


class Device:
    """A bus, a root folder, and ModelUpdate as a process."""

    def __init__(self, root: Path) -> None:
        self.root, self.backend = root, MemoryBackend()
        self.work = root / "work" / NAME
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.do(self._serve())
        self.bus = Bus(str(root / "ipc.socket"), self.token("a.tool", unrestricted=True), name="a.tool")
        self.bus.__enter__()
        assert self.bus.wait_connected(10)
        self.notices: list[dict[str, Any]] = []
        self.health: dict[str, Any] = {}
        self.bus.subscribe(topics.model("+"), lambda _, payload: self.notices.append(json.loads(payload)))
        self.bus.subscribe(topics.health(NAME), lambda _, payload: self.health.update(json.loads(payload)))
        self.process: subprocess.Popen[bytes] | None = None

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def _serve(self) -> None:
        self.server = Server(self.root / "ipc.socket", self.backend, "classic")
        await self.server.start()
        self.serving = asyncio.create_task(self.server.serve())

    def token(self, component: str, **options: Any) -> str:
        async def add() -> str:
            return self.backend.add(component, **options)

        return str(self.do(add()))

    def start(self, configuration: dict[str, Any]) -> None:
        lines = granted({NAME: {"desired": "shadow"}})[NAME][ACCESS]
        access = access_control(DECLARATION)
        access = {service: {**access.get(service, {}), **lines.get(service, {})} for service in {**access, **lines}}
        token = self.token(NAME, access_control=access, configuration=configuration)
        environment = {
            "PATH": os.environ["PATH"],
            "SVCUID": token,
            "AWS_IOT_THING_NAME": "press-7",
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.root / "ipc.socket"),
        }
        archive = self.root / "model_update.pyz"
        archive.write_bytes(pyz(DECLARATION))
        command = [sys.executable, "-u", str(archive), "--root", str(self.root)]
        with open(self.root / "component.log", "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.root)

    def configure(self, configuration: dict[str, Any]) -> None:
        async def change() -> None:
            self.backend.configuration[NAME] = configuration
            self.backend.emit(ConfigurationChanged(NAME, (("models",),)))

        self.do(change())

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def log(self) -> str:
        return (self.root / "component.log").read_text()[-3000:]

    @property
    def step(self) -> str:
        try:
            return str(json.loads((self.work / "progress" / "linear.json").read_text())["step"])
        except FileNotFoundError:
            return ""

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.bus.close()

        async def stop() -> None:
            self.serving.cancel()
            await asyncio.wait((self.serving,))
            await self.server.close()

        self.do(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture
def device() -> Iterator[Device]:
    with tempfile.TemporaryDirectory(prefix="site") as folder:
        running = Device(Path(folder))
        try:
            yield running
        finally:
            running.close()


def wanted(path: Path, digest: str) -> dict[str, Any]:
    """As lite hands a configuration over: everything is text."""
    return {
        "models": {"linear": {"uri": f"file:{path}", "digest": f"sha256:{digest}"}},
        "probation": {"inferences": "5", "time": "100 ms"},
    }


def test_from_configuration_to_a_committed_model_across_kills(device: Device, make: Any) -> None:
    first, second, bad = make(1.0), make(2.0, version="2.0.0"), make(3.0, model=b"no model", version="3.0.0")
    device.start(wanted(*first))
    until(lambda: device.step == "trying", device.log)
    device.end(signal.SIGKILL)
    assert store.read(store.directory(device.root, "linear")) is None
    device.start(wanted(*first))
    until(lambda: device.notices, device.log)
    assert (device.notices[0]["state"], device.notices[0]["active"]["version"]) == ("probation", "1.0.0")
    device.end(signal.SIGKILL)
    with ActiveModel("linear", USER, device.root, period=0.2) as user:
        device.bus.subscribe(topics.model("linear"), user.notice)
        assert user.current is not None
        user.used(user.current, 5)
        device.start(wanted(*first))
        until(lambda: device.notices[-1]["state"] == "committed", device.log)

        device.configure(wanted(*second))
        until(lambda: user.current is not None and user.current.manifest.version == "2.0.0", device.log)
        user.used(user.current, 5)
        until(lambda: device.notices[-1]["state"] == "committed", device.log)
        assert device.notices[-1]["generation"] == 2

        device.configure(wanted(*bad))
        until(lambda: device.health.get("state") == "degraded", device.log)
        (problem,) = device.health["problems"]
        assert problem["key"] == "model.linear"
        assert "does not pass: onnxruntime cannot load the model" in problem["line"]
        assert problem["line"].startswith("2.0.0 serves; ")
        assert user.report.generation == 2
        device.configure(wanted(*second))
        until(lambda: device.health.get("state") == "ok", device.log)
    assert device.end(signal.SIGTERM) == 0
    lines = (device.root / "component.log").read_text().splitlines()
    assert all(line.startswith("{") for line in lines), "one line of JSON each, no traceback"


def test_an_invalid_entry_stops_nothing(device: Device, make: Any) -> None:
    configuration = wanted(*make(1.0))
    configuration["models"]["other"] = {"uri": "ftp://host/x"}
    device.start(configuration)
    until(lambda: device.notices, device.log)
    until(lambda: device.health.get("problems"), device.log)
    assert "models.other" in json.dumps(device.health["problems"])
    assert device.notices[0]["name"] == "linear"


def test_what_iot_core_wants_comes_over_the_bus(device: Device, make: Any) -> None:
    """Both ways, with the policies of recipe and line: a message on the thing's topic, then its named shadow."""
    private = ed25519.Ed25519PrivateKey.generate()
    secret, public = (
        base64.b64encode(data).decode()
        for data in (private.private_bytes_raw(), private.public_key().public_bytes_raw())
    )
    first, second = make(1.0, key=secret), make(2.0, version="1.1.0", key=secret)

    def told(made: tuple[Path, str]) -> dict[str, Any]:
        return {"models": {"linear": {"uri": f"file:{made[0]}", "digest": made[1]}}}

    settings = {"keys": {"release": public}, "probation": {"inferences": "5", "time": "100 ms"}}
    device.start({**settings, "desired": "topic"})
    until(lambda: device.health.get("state") == "ok", device.log)

    def told_again() -> bool:
        device.bus.publish_to_iot_core(topic("press-7"), json.dumps(told(first)).encode())
        time.sleep(0.2)
        return bool(device.notices)

    until(told_again, device.log)
    assert device.notices[0]["active"]["version"] == "1.0.0"
    asked = threading.Event()
    device.bus.subscribe(shadow_topic("press-7", "get"), lambda *_: asked.set(), cloud=True)
    device.configure({**settings, "desired": "shadow"})
    until(asked.is_set, device.log)
    document = {"state": {"desired": told(second)}, "version": 1}
    device.bus.publish_to_iot_core(shadow_topic("press-7", "get/accepted"), json.dumps(document).encode())
    until(lambda: device.notices[-1]["active"]["version"] == "1.1.0", device.log)
    assert device.end(signal.SIGTERM) == 0
