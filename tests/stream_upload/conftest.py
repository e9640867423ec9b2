"""StreamUpload as a process: a bus, a journal, Stream Manager and a local S3 and Kinesis, all real."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from stream_manager import (
    MessageStreamDefinition,
    NotEnoughMessagesException,
    ResourceNotFoundException,
    S3ExportTaskDefinition,
    Status,
    StatusContext,
    StatusMessage,
    Util,
)
from stream_manager.data import EventType, Message, MessageStreamInfo, ReadMessagesOptions, StatusLevel

import edgeloop
from edgeloop import documents, topics
from edgeloop.bus import Bus
from edgeloop.journal import JournalReader, JournalWriter, directory
from edgeloop.uploader import journal_cursor
from edgeloop.wire.batch import Item
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server
from edgeloop_tools.core.ports import free_port
from stream_upload.declaration import DECLARATION, NAME

COMPONENTS = Path(edgeloop.__file__).parents[2]
SCRIPTS = COMPONENTS.parent / "scripts"
PATH = os.pathsep.join(map(str, (COMPONENTS, COMPONENTS / "runtime", SCRIPTS)))


def until(condition: Callable[[], Any], what: str, timeout: float = 60) -> Any:
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return value


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EDGELOOP_"))}
    return {**kept, "PYTHONPATH": PATH, **more}


class Endpoint:
    """S3 and Kinesis of moto, in a process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeloop_tools.core.endpoint", "--port", str(self.port)],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: listens(self.port), "the endpoint to listen", 40)
        session: Any = boto3.Session("key", "secret", region_name="us-east-1")
        self.s3: Any = session.client("s3", endpoint_url=self.url)
        self.kinesis: Any = session.client("kinesis", endpoint_url=self.url)

    def objects(self, bucket: str) -> dict[str, int]:
        """Key → size."""
        try:
            pages = list(self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))
        except self.s3.exceptions.NoSuchBucket:
            return {}
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}

    def records(self, stream: str) -> list[Any]:
        """Documents of a Kinesis stream, in the order of its shards."""
        try:
            shards = self.kinesis.list_shards(StreamName=stream)["Shards"]
        except self.kinesis.exceptions.ResourceNotFoundException:
            return []
        found = []
        for shard in shards:
            place = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self.kinesis.get_shard_iterator(**place)["ShardIterator"]
            while True:
                answer = self.kinesis.get_records(ShardIterator=iterator, Limit=1000)
                if not answer["Records"]:
                    break
                found += [documents.decode(record["Data"]) for record in answer["Records"]]
                iterator = answer["NextShardIterator"]
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class FaultyEndpoint:
    """Passes requests on to an endpoint, or refuses them as AWS does.

    `refuse` is an S3 error code or None, `throttle` whether Kinesis refuses records."""

    def __init__(self, behind: str) -> None:
        self.behind = urlsplit(behind)
        self.refuse: str | None = None
        self.throttle = False
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                outer.answer(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        target = request.headers.get("X-Amz-Target", "")
        if self.refuse and request.command == "PUT" and request.path.count("/") > 1:
            self.refused += 1
            status = 503 if self.refuse == "SlowDown" else 403
            text = f"<Error><Code>{self.refuse}</Code><Message>refused</Message></Error>"
            self._send(request, status, {"Content-Type": "application/xml"}, text.encode())
        elif self.throttle and target.endswith("PutRecords"):
            self.refused += 1
            code = "ProvisionedThroughputExceededException"
            records = [{"ErrorCode": code, "ErrorMessage": "throttled"} for _ in json.loads(body)["Records"]]
            answer = {"FailedRecordCount": len(records), "Records": records}
            self._send(request, 200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
        else:
            connection = http.client.HTTPConnection(str(self.behind.hostname), self.behind.port, timeout=30)
            connection.request(request.command, request.path, body, dict(request.headers))
            found = connection.getresponse()
            headers = {k: v for k, v in found.getheaders() if k.lower() not in ("transfer-encoding", "content-length")}
            self._send(request, found.status, headers, found.read())
            connection.close()

    def _send(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Core:
    """A root folder with a journal, a bus, Stream Manager, and the component, each of which can be killed."""

    def __init__(self, root: Path, endpoint: str) -> None:
        self.root, self.endpoint = root, endpoint
        self.port = free_port()
        self.socket = root / "ipc.socket"
        self.backend = MemoryBackend()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._serve())
        self.bus = Bus(str(self.socket), self._token("a.tool", unrestricted=True), name="a.tool")
        self.bus.__enter__()
        assert self.bus.wait_connected(10)
        self.healths: list[Any] = []
        self.bus.subscribe(topics.health(NAME), lambda topic, payload: self.healths.append(documents.decode(payload)))
        self.manager: subprocess.Popen[bytes] | None = None
        self.component: subprocess.Popen[bytes] | None = None
        self._logs: list[Any] = []
        self.journal = self.open_journal()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _serve(self) -> None:
        self._server = Server(self.socket, self.backend, "classic")
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())

    def _token(self, component: str, **options: Any) -> str:
        async def add() -> str:
            return self.backend.add(component, **options)

        return str(self._run(add()))

    def open_journal(self, **options: Any) -> JournalWriter:
        readers = {"upload": journal_cursor(self.root)}
        return JournalWriter(directory(self.root), durable_readers=readers, **options)

    def _spawn(self, name: str, arguments: list[str], **more: str) -> subprocess.Popen[bytes]:
        log = (self.root / f"{name}.log").open("ab")
        self._logs.append(log)
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment(**more), stdout=log, stderr=log, cwd=self.root,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start_manager(self, *, endpoint: str = "") -> None:
        store = str(self.root / "streams")
        self.manager = self._spawn(
            "manager", ["-m", "edgeloop_tools.core.stream_manager", "--store", store, "--port", str(self.port)],
            EDGELOOP_ENDPOINT_URL=endpoint or self.endpoint, EDGELOOP_ENDPOINT_CREATE="1",
        )  # fmt: skip
        until(lambda: listens(self.port), "Stream Manager to listen")

    def kill_manager(self) -> None:
        assert self.manager is not None
        self.manager.kill()
        self.manager.wait()

    def start(self, configuration: dict[str, Any], archive: Path | None = None) -> None:
        """From the sources, or as a device does from the archive."""
        policy = {
            "aws.greengrass.ipc.pubsub": {
                "p": {"operations": ["aws.greengrass#PublishToTopic"], "resources": list(DECLARATION.publishes)},
                "s": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": list(DECLARATION.subscribes)},
            }
        }
        program, path = ([str(archive)], {"PYTHONPATH": ""}) if archive else (["-m", "stream_upload"], {})
        self.component = self._spawn(
            "component", [*program, "--root", str(self.root), "--debug"],
            SVCUID=self._token(NAME, access_control=policy, configuration=configuration),
            AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT=str(self.socket),
            AWS_IOT_THING_NAME="core7", STREAM_MANAGER_SERVER_PORT=str(self.port), **path,
        )  # fmt: skip

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.component is not None
        self.component.send_signal(number)
        return self.component.wait(60)

    @property
    def health(self) -> dict[str, Any]:
        return self.healths[-1] if self.healths else {}

    @property
    def numbers(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.health.get("upload", {})
        return shown

    @property
    def state(self) -> dict[str, Any]:
        """What the component has saved."""
        path = self.root / "work" / NAME / "state.json"
        saved: dict[str, Any] = documents.decode(path.read_bytes()) if path.exists() else {}
        return saved

    @property
    def problems(self) -> str:
        return str(self.health.get("problems", ""))

    @property
    def log(self) -> str:
        return (self.root / "component.log").read_text()

    def items(self) -> list[Item]:
        return [item for item, _ in JournalReader(directory(self.root)).read(limit_bytes=1 << 40)]

    def close(self) -> None:
        for process in (self.component, self.manager):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()
        self.journal.close()
        self.bus.close()

        async def stop() -> None:
            self._serving.cancel()
            await asyncio.wait((self._serving,))
            await self._server.close()

        self._run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


class Memory:
    """A Stream Manager in memory: the client's interface, with the SDK's own types."""

    def __init__(self) -> None:
        self.streams: dict[str, list[bytes]] = {}
        self.definitions: dict[str, MessageStreamDefinition] = {}
        self.exported: dict[str, int] = {}
        self.error: Exception | None = None
        self.updates = 0

    def _known(self, name: str) -> list[bytes]:
        if self.error is not None:
            raise self.error
        if name not in self.streams:
            raise ResourceNotFoundException(name)
        return self.streams[name]

    def create_message_stream(self, definition: MessageStreamDefinition) -> None:
        self.streams[definition.name] = []
        self.definitions[definition.name] = definition

    def update_message_stream(self, definition: MessageStreamDefinition) -> None:
        self.updates += 1
        self.definitions[definition.name] = definition

    def append_message(self, stream_name: str, data: bytes) -> int:
        self._known(stream_name).append(data)
        return len(self.streams[stream_name]) - 1

    def read_messages(self, stream_name: str, options: ReadMessagesOptions) -> list[Message]:
        found = self._known(stream_name)[options.desired_start_sequence_number :]
        if not found:
            raise NotEnoughMessagesException("none")
        start = options.desired_start_sequence_number
        return [Message(stream_name, start + k, 0, payload) for k, payload in enumerate(found)]

    def describe_message_stream(self, stream_name: str) -> MessageStreamInfo:
        newest = len(self._known(stream_name)) - 1
        status = MessageStreamInfo.exportStatuses(
            last_exported_sequence_number=self.exported.get(stream_name, -1), exported_messages_count=1
        )
        storage = MessageStreamInfo.storageStatus(0, newest, 0)
        return MessageStreamInfo(self.definitions[stream_name], storage, [status])

    def close(self) -> None:
        pass

    def tell(self, line: str, number: int, status: Status, message: str = "") -> None:
        task = Util.deserialize_json_bytes_to_obj(self.streams[f"edgeloop-{line}"][number], S3ExportTaskDefinition)
        context = StatusContext(task, f"edgeloop-{line}", f"edgeloop-{line}", number)
        self.streams["edgeloop-status"].append(
            Util.validate_and_serialize_to_json_bytes(
                StatusMessage(EventType.S3Task, StatusLevel.INFO, status, context, message, 1)
            )
        )

    def keys(self, line: str = "samples") -> list[str]:
        tasks = self.streams[f"edgeloop-{line}"]
        return [Util.deserialize_json_bytes_to_obj(t, S3ExportTaskDefinition).key for t in tasks]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def faulty(endpoint: Endpoint) -> Iterator[FaultyEndpoint]:
    made = FaultyEndpoint(endpoint.url)
    yield made
    made.close()


@pytest.fixture
def bucket() -> str:
    return f"bucket-{time.monotonic_ns()}"


@pytest.fixture
def core(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    monkeypatch.setenv("EDGELOOP_ENDPOINT_URL", endpoint.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with tempfile.TemporaryDirectory(prefix="up") as folder:
        made = Core(Path(folder), endpoint.url)
        yield made
        made.close()


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    return until
