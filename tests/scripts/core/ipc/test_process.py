"""The bus as a process of its own, below a supervisor that a control server plays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    BinaryMessage,
    FailedUpdateConditionCheckError,
    PublishMessage,
    ResourceNotFoundError,
    ServiceError,
    UnauthorizedError,
)

from edgeloop_tools.core.control import ControlError, ControlServer, Peer, methods
from edgeloop_tools.core.ipc.backend import BackendError, MemoryBackend

ROOT = Path(__file__).parents[4]


class Supervisor:
    """Answers the bus from a backend in memory."""

    def __init__(self, folder: Path, nucleus: str) -> None:
        self.folder, self.nucleus, self.backend = folder, nucleus, MemoryBackend()
        self.faults: list[dict[str, Any]] = []
        self.attached = threading.Semaphore(0)
        self.peer: Peer | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        handlers = {methods.BUS_ATTACH: self._attach, methods.AUTHENTICATE: self._authenticate,
                    methods.GET_CONFIGURATION: self._get, methods.UPDATE_CONFIGURATION: self._update,
                    methods.VALIDATE_TOKEN: self._validate, methods.UPDATE_STATE: self._state,
                    methods.CREATE_LOCAL_DEPLOYMENT: self._deploy, methods.RESTART_COMPONENT: self._restart}
        self.server = ControlServer(folder / "control.sock", handlers)
        self.run(self.server.start())

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def fault(self, kind: str, **arguments: Any) -> Any:
        assert self.peer is not None
        return self.run(self.peer.call(methods.FAULT, {"kind": kind, "arguments": arguments}))

    def push(self, event: str, **params: Any) -> None:
        assert self.peer is not None
        self.loop.call_soon_threadsafe(self.peer.push, event, params)

    async def _attach(self, peer: Peer, params: dict[str, Any]) -> Any:
        self.peer = peer
        self.attached.release()
        return {"nucleus": self.nucleus, "faults": self.faults}

    async def _authenticate(self, peer: Peer, params: dict[str, Any]) -> Any:
        identity = await self.backend.authenticate(params["token"])
        return identity and {"component": identity.component, "access_control": identity.access_control,
                             "unrestricted": identity.unrestricted}

    async def _get(self, peer: Peer, params: dict[str, Any]) -> Any:
        try:
            found = await self.backend.get_configuration(params["component"], params["path"])
        except BackendError as error:
            raise ControlError(error.message, code=error.reason) from None
        return {"value": found.value, "timestamp": found.timestamp}

    async def _update(self, peer: Peer, params: dict[str, Any]) -> Any:
        try:
            await self.backend.update_configuration(**params)
        except BackendError as error:
            raise ControlError(error.message, code=error.reason) from None

    async def _validate(self, peer: Peer, params: dict[str, Any]) -> Any:
        return await self.backend.validate_token(**params)

    async def _state(self, peer: Peer, params: dict[str, Any]) -> Any:
        await self.backend.update_state(**params)

    async def _deploy(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {"deployment": await self.backend.create_local_deployment(**params)}

    async def _restart(self, peer: Peer, params: dict[str, Any]) -> Any:
        if params["target"] == "a.Broken":
            raise ValueError(params)
        outcome, message = await self.backend.restart_component(**params)
        return {"outcome": outcome, "message": message}

    def close(self) -> None:
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture(params=["classic", "lite"])
def supervisor(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path, request.param)
    yield running
    running.close()


def launch(supervisor: Supervisor, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'components/runtime'}"}
    command = [sys.executable, "-m", "edgeloop_tools.core.ipc", "--socket", str(supervisor.folder / "ipc.socket"),
               "--control", str(supervisor.folder / "control.sock"), "--nucleus", supervisor.nucleus]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)


@pytest.fixture
def process(supervisor: Supervisor) -> Iterator[subprocess.Popen[str]]:
    with launch(supervisor) as running:
        wait_for(running, "serving")
        yield running
        running.kill()


def wait_for(running: subprocess.Popen[str], word: str) -> str:
    assert running.stdout is not None
    for line in running.stdout:
        if word in line:
            return line
    raise AssertionError(f"the process ended without a line with {word!r}: {running.communicate()[1]}")


def open_client(supervisor: Supervisor, token: str) -> GreengrassCoreIPCClientV2:
    return GreengrassCoreIPCClientV2(client=connect(ipc_socket=str(supervisor.folder / "ipc.socket"),
                                                    authtoken=token, timeout=60))


def publish(client: GreengrassCoreIPCClientV2, payload: bytes) -> None:
    client.publish_to_topic(topic="t", publish_message=PublishMessage(binary_message=BinaryMessage(message=payload)))


def test_serves_over_the_control_socket(supervisor: Supervisor, process: subprocess.Popen[str]) -> None:
    token = supervisor.backend.add("a.B", configuration={"x": {"y": "1"}}, unrestricted=True)
    client = open_client(supervisor, token)
    received, changed = threading.Event(), threading.Event()
    paths: list[Any] = []

    def on_change(event: Any) -> None:
        paths.append(event.configuration_update_event.key_path)
        changed.set()

    client.subscribe_to_topic(topic="t", on_stream_event=lambda event: received.set())
    client.subscribe_to_configuration_update(on_stream_event=on_change)
    publish(client, b"x")
    assert received.wait(60)
    assert client.get_configuration(key_path=["x"]).value == {"y": "1"}
    with pytest.raises(ResourceNotFoundError):
        client.get_configuration(key_path=["z"])
    supervisor.push("configuration_changed", component="a.B", paths=[["x", "y"]])
    assert changed.wait(60)
    assert paths == [["x", "y"]]
    supervisor.backend._timestamps["a.B"] = 10**15
    refused = pytest.raises(FailedUpdateConditionCheckError) if supervisor.nucleus == "classic" else nullcontext()
    with refused:
        client.update_configuration(key_path=["x"], value_to_merge={"y": "2"}, timestamp=datetime.now(UTC))
    client.close()


def test_components_over_the_control_socket(supervisor: Supervisor, process: subprocess.Popen[str]) -> None:
    client = open_client(supervisor, supervisor.backend.add("a.B", unrestricted=True))
    client.update_state(state="RUNNING")
    assert supervisor.backend.states == [("a.B", "RUNNING")]
    assert client.create_local_deployment(root_component_versions_to_add={"x": "1.0.0"}).deployment_id == "deployment-1"
    assert client.restart_component(component_name="a.B").restart_status == "SUCCEEDED"
    with pytest.raises(ServiceError):
        client.restart_component(component_name="a.Broken")
    manager = open_client(supervisor, supervisor.backend.add("aws.greengrass.StreamManager"))
    assert manager.validate_authorization_token(token=next(iter(supervisor.backend.tokens))).is_valid
    token = supervisor.backend.add("a.Old")
    old = open_client(supervisor, token)
    with pytest.raises(UnauthorizedError):
        publish(old, b"")
    access = {"aws.greengrass.ipc.pubsub": {"p": {"operations": ["*"], "resources": ["*"]}}}
    supervisor.push("access_control_changed", component="a.Old", access_control=access)
    closed = threading.Event()
    assert client.get_configuration().value == {}
    old.subscribe_to_topic(topic="t", on_stream_event=print, on_stream_closed=closed.set)
    supervisor.push("token_revoked", token=token)
    assert closed.wait(60)
    client.close()
    manager.close()


def test_faults_pass_through(supervisor: Supervisor, process: subprocess.Popen[str]) -> None:
    client = open_client(supervisor, supervisor.backend.add("a.B", unrestricted=True))
    closed = threading.Event()
    client.subscribe_to_topic(topic="t", on_stream_event=print, on_stream_closed=closed.set)
    assert supervisor.fault("drop_stream", component="a.B", topic="t") == {"streams": 1}
    assert closed.wait(60)
    for kind, arguments in (("no_such", {}), ("drop_stream", {}), ("delay", {"seconds": 1e9})):
        with pytest.raises(ControlError):
            supervisor.fault(kind, **arguments)
    client.close()


def test_kill_and_restart(supervisor: Supervisor) -> None:
    supervisor.faults = [{"kind": "iot_offline", "arguments": {"offline": True}}]
    token = supervisor.backend.add("a.B", unrestricted=True)
    with launch(supervisor) as first:
        wait_for(first, "serving")
        client = open_client(supervisor, token)
        closed = threading.Event()
        client.subscribe_to_topic(topic="t", on_stream_event=print, on_stream_closed=closed.set)
        first.send_signal(signal.SIGKILL)
        assert closed.wait(60)
    with launch(supervisor) as second:
        wait_for(second, "serving")
        again = open_client(supervisor, token)
        publish(again, b"")
        if supervisor.nucleus == "lite":
            with pytest.raises(ServiceError):
                again.publish_to_iot_core(topic_name="t", qos="1", payload=b"")
        second.terminate()
        assert second.wait(60) == 0
    assert not (supervisor.folder / "ipc.socket").exists()


def test_ends_with_its_supervisor(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, "classic")
    with launch(supervisor) as running:
        wait_for(running, "serving")
        supervisor.close()
        assert running.wait(60) == 0


def test_one_line_without_a_supervisor(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeloop_tools.core.ipc", "--socket", str(tmp_path / "s"), "--control",
               str(tmp_path / "none")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'components/runtime'}"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_a_path_too_long_or_in_use_is_one_line(supervisor: Supervisor, process: subprocess.Popen[str]) -> None:
    with launch(supervisor) as another:
        _, errors = another.communicate(timeout=30)
    assert another.returncode == 1
    assert "another process serves it" in errors
    assert len(errors.splitlines()) == 1
    supervisor.folder = supervisor.folder / ("x" * 100)
    command = [*process.args[:4], str(supervisor.folder), *process.args[5:]]  # type: ignore[index]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'components/runtime'}"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "107 bytes" in ended.stderr
