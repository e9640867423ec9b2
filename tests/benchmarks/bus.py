"""The local core's bus against a bare socket: `python tests/benchmarks/bus.py`.

A request and its answer over a Unix socket, one at a time, by the same blocking client: an echo (the limit), the bus
publishing to nobody and to one subscriber, and the same with the SDK's client. Server processes are of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

from edgeloop_tools.core.ipc import eventstream
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.eventstream import Decoder
from edgeloop_tools.core.ipc.matching import Nucleus
from edgeloop_tools.core.ipc.server import Server

SIZES = (200, 2000, 7000)
SUBSCRIBERS = 16
SECONDS = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def _serve(path: str, what: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if what == "echo":
        await asyncio.get_running_loop().create_unix_server(_Echo, path)
        print("ready", flush=True)
        await stop.wait()
        return
    backend = MemoryBackend()
    nucleus: Nucleus = "lite" if what == "lite" else "classic"
    server = Server(Path(path), backend, nucleus)
    await server.start()
    print(backend.add("bench", unrestricted=True), flush=True)
    await stop.wait()
    await server.close()


@contextmanager
def _server(folder: str, what: str) -> Iterator[tuple[str, str, int]]:
    """Its socket, a token, its pid."""
    path = f"{folder}/{what}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, __file__, path, what], stdout=subprocess.PIPE, text=True,
                          env=environment) as process:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        try:
            yield path, token, process.pid
        finally:
            process.terminate()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _measure(request: Callable[[], object], pid: int = 0) -> dict[str, float]:
    for _ in range(50):
        request()
    took: list[float] = []
    cpu = _cpu(pid) if pid else 0.0
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < SECONDS:
        request()
        took.append(time.perf_counter() - now)
    p50, p99 = np.percentile(took, (50, 99)) * 1e3
    result = {"per_s": len(took) / (time.perf_counter() - began), "p50_ms": float(p50), "p99_ms": float(p99)}
    if pid:
        result["server_cpu_ms"] = (_cpu(pid) - cpu) / len(took) * 1e3
    return {name: round(value, 3) for name, value in result.items()}


def _echo(path: str, size: int) -> dict[str, float]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        data, buffer = bytes(size), bytearray(size)

        def request() -> None:
            client.sendall(data)
            received = 0
            while received < size:
                received += client.recv_into(memoryview(buffer)[received:])

        return _measure(request)


class _Raw:
    """A publisher by hand: what is measured is the server."""

    def __init__(self, path: str, token: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._decoder = Decoder()
        self._stream = 0
        self._send({":message-type": 4, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"},
                   json.dumps({"authToken": token}).encode())
        self.receive()

    def request(self, operation: str, payload: bytes) -> None:
        self._stream += 1
        self._send({":message-type": 0, ":message-flags": 0, ":stream-id": self._stream,
                    "operation": f"aws.greengrass#{operation}"}, payload)
        self.receive()

    def receive(self) -> None:
        while self._decoder.next() is None:
            self._decoder.extend(self._socket.recv(1 << 18))

    def close(self) -> None:
        self._socket.close()

    def _send(self, headers: dict[str, Any], payload: bytes) -> None:
        self._socket.sendall(eventstream.encode(headers, payload))


def _payload(topic: str, size: int) -> bytes:
    message = {"topic": topic, "publishMessage": {"binaryMessage": {"message": b64encode(bytes(size)).decode()}}}
    return json.dumps(message).encode()


def _publish(path: str, token: str, size: int, pid: int, *, subscriber: bool) -> dict[str, float]:
    publisher, reader = _Raw(path, token), _Raw(path, token)
    if subscriber:
        reader.request("SubscribeToTopic", b'{"topic":"t"}')
    payload = _payload("t", size)

    def request() -> None:
        publisher.request("PublishToTopic", payload)
        if subscriber:
            reader.receive()

    try:
        return _measure(request, pid)
    finally:
        publisher.close()
        reader.close()


def _fan_out(path: str, token: str, size: int, pid: int) -> dict[str, float]:
    """One publisher, `SUBSCRIBERS` subscribers: a request is done when all have it."""
    publisher, readers = _Raw(path, token), [_Raw(path, token) for _ in range(SUBSCRIBERS)]
    for reader in readers:
        reader.request("SubscribeToTopic", b'{"topic":"t"}')
    payload = _payload("t", size)

    def request() -> None:
        publisher.request("PublishToTopic", payload)
        for reader in readers:
            reader.receive()

    try:
        return _measure(request, pid)
    finally:
        for client in (publisher, *readers):
            client.close()


def _sdk(path: str, token: str, size: int, pid: int) -> dict[str, float]:
    publisher, reader = (GreengrassCoreIPCClientV2(client=connect(ipc_socket=path, authtoken=token), executor=None)
                         for _ in range(2))
    received = threading.Semaphore(0)
    reader.subscribe_to_topic(topic="t", on_stream_event=lambda event: received.release())
    message = PublishMessage(binary_message=BinaryMessage(message=bytes(size)))

    def request() -> None:
        publisher.publish_to_topic(topic="t", publish_message=message)
        received.acquire()

    try:
        return _measure(request, pid)
    finally:
        publisher.close().result(5)
        reader.close().result(5)


def run() -> dict[str, Any]:
    """Requests per second, latency (ms), server CPU per message (ms), and each rate as a ratio of the echo's."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, _server(folder, "echo") as (echo, _, _):
        for nucleus in ("classic", "lite"):
            with _server(folder, nucleus) as (path, token, pid):
                for size in SIZES:
                    limit = _echo(echo, size)
                    found: dict[str, Any] = {
                        "echo": limit,
                        "publish": _publish(path, token, size, pid, subscriber=False),
                        "publish_and_receive": _publish(path, token, size, pid, subscriber=True),
                        f"publish_to_{SUBSCRIBERS}": _fan_out(path, token, size, pid),
                        "sdk_publish_and_receive": _sdk(path, token, size, pid),
                    }
                    for name, value in found.items():
                        if name != "echo":
                            value["ratio"] = round(value["per_s"] / limit["per_s"], 3)
                    results[f"{nucleus} {size} B"] = found
    return results


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(_serve(*sys.argv[1:]))
    else:
        for case, found in run().items():
            print(case)
            for name, value in found.items():
                print(f"  {name:26}", *(f"{key} {number:<10}" for key, number in value.items()))
