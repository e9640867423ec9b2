"""Stream Manager as a process of its own, and a local S3 and Kinesis for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from stream_manager import Status, StatusMessage, StreamManagerClient, Util
from stream_manager.data import Message, MessageStreamInfo, ReadMessagesOptions

from edgeloop_tools.core.ports import free_port


def until(condition: Callable[[], Any], timeout: float = 60) -> Any:
    """The first true value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EDGELOOP_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


class StreamManager:
    """The process, and an unmodified client of it."""

    def __init__(self, store: Path, port: int, endpoint: str) -> None:
        self.store, self.port, self.endpoint = store, port, endpoint
        self.log = store.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[StreamManagerClient] = []

    def start(self, *, create: bool = True) -> StreamManagerClient:
        known = {"EDGELOOP_ENDPOINT_URL": self.endpoint} | ({"EDGELOOP_ENDPOINT_CREATE": "1"} if create else {})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeloop_tools.core.stream_manager", "--store", str(self.store),
                 "--port", str(self.port)],
                env=environment(**known), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
        until(lambda: listens(self.port))
        return self.client()

    def client(self) -> StreamManagerClient:
        made = StreamManagerClient(port=self.port, request_timeout=20)
        self._clients.append(made)
        return made

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(20)

    def close(self) -> None:
        for client in self._clients:
            with suppress(OSError, AttributeError):
                client.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeloop_tools.core.endpoint", "--port", str(port)],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    until(lambda: listens(port))
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def aws(endpoint: str) -> Callable[[str], Any]:
    """A client of the local endpoint: `aws("s3")`."""

    def client(service: str) -> Any:
        session: Any = boto3.Session("key", "secret", region_name="us-east-1")
        return session.client(service, endpoint_url=endpoint)

    return client


@pytest.fixture
def stream_manager(tmp_path: Path) -> Iterator[StreamManager]:
    """Not started, with an endpoint where nothing listens."""
    found = StreamManager(tmp_path / "store", free_port(), "http://127.0.0.1:1")
    yield found
    found.close()


def messages(client: StreamManagerClient, stream: str, start: int = 0) -> list[Message]:
    """All of them from a sequence number on."""
    status = client.describe_message_stream(stream).storage_status
    found: list[Message] = []
    while (following := found[-1].sequence_number + 1 if found else start) <= status.newest_sequence_number:
        options = ReadMessagesOptions(desired_start_sequence_number=following, max_message_count=10_000)
        found += client.read_messages(stream, options)
    return found


def statuses(client: StreamManagerClient, stream: str = "status") -> list[StatusMessage]:
    return [Util.deserialize_json_bytes_to_obj(one.payload, StatusMessage) for one in messages(client, stream)]


def ended(client: StreamManagerClient, number: int, stream: str = "status") -> StatusMessage | None:
    """The last word on an S3 task."""
    last = (Status.Success, Status.Failure, Status.Canceled)
    for status in statuses(client, stream):
        if status.status in last and status.status_context.sequence_number == number:
            return status
    return None


def exported(client: StreamManagerClient, stream: str) -> MessageStreamInfo.exportStatuses:
    return client.describe_message_stream(stream).export_statuses[0]
