"""A server in a thread of its own, and unmodified SDK clients."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, JsonMessage, PublishMessage

from edgeloop_tools.core.ipc import eventstream
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.eventstream import Decoder, Message
from edgeloop_tools.core.ipc.matching import Nucleus
from edgeloop_tools.core.ipc.rpc import Flag, Type
from edgeloop_tools.core.ipc.server import Server

T = TypeVar("T")
PUBSUB, MQTT, CLI = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy", "aws.greengrass.Cli"
ALL = {service: {"all": {"operations": ["*"], "resources": ["*"]}} for service in (PUBSUB, MQTT, CLI)}


class Inbox:
    """What a subscription received: `get()` gives (topic, payload), `closed` is set when its stream ended."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.closed = threading.Event()

    def on_event(self, event: Any) -> None:
        message = event.binary_message or event.json_message
        self._queue.put((message.context.topic, message.message))

    def get(self, timeout: float = 60) -> tuple[str, Any]:
        return self._queue.get(timeout=timeout)

    def take(self, count: int) -> list[Any]:
        return [self.get()[1] for _ in range(count)]

    @property
    def empty(self) -> bool:
        return self._queue.empty()


class Raw:
    """A client that speaks the protocol by hand."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._decoder = Decoder()

    def send(self, headers: dict[str, Any], payload: bytes = b"") -> None:
        self.socket.sendall(eventstream.encode(headers, payload))

    def receive(self) -> Message | None:
        """The next message; None at the end of the connection."""
        while (message := self._decoder.next()) is None:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._decoder.extend(data)
        return message

    def connect(self, token: str) -> None:
        self.send({":message-type": Type.CONNECT, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"},
                  json.dumps({"authToken": token}).encode())
        answer = self.receive()
        assert answer is not None
        assert answer.headers[":message-flags"] == Flag.CONNECTION_ACCEPTED

    def subscribe(self, stream: int, topic: str) -> None:
        self.send({":message-type": 0, ":message-flags": 0, ":stream-id": stream,
                   "operation": "aws.greengrass#SubscribeToTopic"}, json.dumps({"topic": topic}).encode())
        answer = self.receive()
        assert answer is not None
        assert answer.headers["service-model-type"] == "aws.greengrass#SubscribeToTopicResponse"

    def close(self) -> None:
        self.socket.close()


class Bus:
    """A running server with a backend in memory."""

    def __init__(self, path: Path, nucleus: Nucleus, send_seconds: float = 0.5) -> None:
        self.path, self.backend = path, MemoryBackend()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.clients: list[GreengrassCoreIPCClientV2] = []
        self.server = self.run(self._start(nucleus, send_seconds))

    async def _start(self, nucleus: Nucleus, send_seconds: float) -> Server:
        server = Server(self.path, self.backend, nucleus, send_seconds=send_seconds)
        await server.start()
        self.serving = asyncio.create_task(server.serve())
        await asyncio.sleep(0)
        return server

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def do(self, call: Callable[[], T]) -> T:
        """Call something on the server's loop."""

        async def run() -> T:
            return call()

        result: T = self.run(run())
        return result

    def emit(self, event: Any) -> None:
        self.do(lambda: self.backend.emit(event))

    def token(self, component: str, access: dict[str, Any] | None = None, **configuration: Any) -> str:
        return self.do(lambda: self.backend.add(component, ALL if access is None else access, configuration))

    def client(self, component: str = "test.Component", access: dict[str, Any] | None = None,
               **configuration: Any) -> GreengrassCoreIPCClientV2:
        return self.client_of(self.token(component, access, **configuration))

    def observer(self) -> GreengrassCoreIPCClientV2:
        """A client of a tool that may do everything."""
        return self.client_of(self.do(lambda: self.backend.add("an.Observer", unrestricted=True)))

    def raw(self, component: str | None) -> Raw:
        """A client by hand, connected as a component, or not yet."""
        client = Raw(self.path)
        if component:
            client.connect(self.token(component))
        return client

    def client_of(self, token: str) -> GreengrassCoreIPCClientV2:
        client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=str(self.path), authtoken=token, timeout=60),
                                           executor=ThreadPoolExecutor(max_workers=1))
        self.clients.append(client)
        return client

    def subscribe(self, client: GreengrassCoreIPCClientV2, topic: str, mode: str | None = None) -> Inbox:
        inbox = Inbox()
        client.subscribe_to_topic(topic=topic, receive_mode=mode, on_stream_event=inbox.on_event,
                                  on_stream_error=lambda error: True, on_stream_closed=inbox.closed.set)
        return inbox

    def publish(self, client: GreengrassCoreIPCClientV2, topic: str, payload: bytes) -> None:
        message = PublishMessage(binary_message=BinaryMessage(message=payload))
        client.publish_to_topic(topic=topic, publish_message=message)

    def publish_json(self, client: GreengrassCoreIPCClientV2, topic: str, document: Any) -> None:
        message = PublishMessage(json_message=JsonMessage(message=document))
        client.publish_to_topic(topic=topic, publish_message=message)

    def close(self) -> None:
        for client in self.clients:
            client.close()

        async def end() -> None:
            self.serving.cancel()
            await asyncio.gather(self.serving, return_exceptions=True)
            await self.server.close()

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Bus]]:
    running: list[Bus] = []

    def run(nucleus: Nucleus = "classic", **options: Any) -> Bus:
        running.append(Bus(tmp_path / f"ipc{len(running)}.socket", nucleus, **options))
        return running[-1]

    yield run
    for bus in running:
        bus.close()


@pytest.fixture(params=["classic", "lite"])
def bus(request: pytest.FixtureRequest, start: Callable[..., Bus]) -> Bus:
    return start(request.param)
