"""A line of real components on a real bus: a simulated press that breaks, what watches it, a gate, the page."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api as playwright

from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop_tools.build.components import declarations
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join([str(ROOT / "components"), str(ROOT / "components" / "runtime")])
PUBSUB = "aws.greengrass.ipc.pubsub"
DECLARATIONS = {d.package: d for d in declarations()}
PASSWORDS = {
    "vera": ("viewer", "viewer-word-1"),
    "otto": ("operator", "operator-word-1"),
    "emil": ("engineer", "engineer-1"),
}
MACHINE = {
    "type": "simulator", "stops": False, "speed": 1.0, "seed": 3,
    "faults": {"first": "30 s", "every": "90 s", "hold": "80 s", "kinds": ["outer_race"]},
}  # fmt: skip
BEARING = {
    "asset": "press1", "input": "press1_vib", "learn": "8 s", "gap": "0 s", "flat_line": "0 s", "clock": "0 s",

}  # fmt: skip
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "sensor_ingest": {"sources": {"press1": MACHINE}},
    "anomaly_inference": {
        "site": "plant2",
        "monitors": {"press1_bearing": BEARING},
    },
    "camera_inference": {"site": "plant2", "cameras": {"gate": {"uri": "simulator:", "asset": "gate1"}}},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Line:
    """Components as processes of their own; `start` and `stop` one by its package."""

    def __init__(self, root: Path, **settings: Any) -> None:
        """settings: of the Console."""
        self.root = root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.backend = MemoryBackend()
        self.tokens: dict[str, str] = {}
        self.healths: dict[str, dict[str, Any]] = {}
        self.monitors: dict[str, dict[str, Any]] = {}
        self.parts: list[dict[str, Any]] = []
        self.watched: set[int] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        console = {"site": "plant2", "listen": f"127.0.0.1:{self.port}", **settings}
        for package, configuration in {**CONFIGURATIONS, "console": console}.items():
            self._allow(package, configuration)

    async def _serve(self) -> None:
        self._server = Server(self.root / "ipc.socket", self.backend, "classic")
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())

    def _allow(self, package: str, configuration: dict[str, Any]) -> None:
        declaration = DECLARATIONS[package]
        (self.root / "work" / declaration.name).mkdir(parents=True)
        policy: Any = {
            PUBSUB: {
                "p": {"operations": ["aws.greengrass#PublishToTopic"], "resources": [*declaration.publishes]},
                "s": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": [*declaration.subscribes]},
            }
        }
        self.tokens[package] = self.backend.add(declaration.name, policy, configuration)

    def work(self, package: str) -> Path:
        return self.root / "work" / DECLARATIONS[package].name

    def start(self, *packages: str) -> None:
        for package in packages:
            environment = {
                **os.environ,
                "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.root / "ipc.socket"),
                "AWS_IOT_THING_NAME": "core7",
                "SVCUID": self.tokens[package],
                "PYTHONPATH": SOURCES,
            }
            with (self.root / f"{package}.log").open("ab") as log:
                self.processes[package] = subprocess.Popen(
                    [sys.executable, "-u", "-m", package, "--root", str(self.root)],
                    env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    cwd=self.work(package),
                )  # fmt: skip

    def listen(self) -> Bus:
        """Keeps what the components say: each one's health, each monitor's newest word and the minutes in which one
        was watched, every part."""
        policy = {PUBSUB: {"l": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": ["*"]}}}
        bus = Bus(socket=self.root / "ipc.socket", token=self.backend.add("listener", policy, {}))

        def health(topic: str, payload: bytes) -> None:
            self.healths[topic.rpartition("/")[2]] = json.loads(payload)

        def results(topic: str, payload: bytes) -> None:
            for one in json.loads(payload).get("results", []):
                if "monitor" in one:
                    self.monitors[one["monitor"]] = one
                    if one.get("state", "live") in ("live", "shadow"):
                        self.watched.add(int(time.time() // 60))
                else:
                    self.parts.append(one)

        bus.subscribe(topics.health("+"), health)
        bus.subscribe(topics.results("+"), results)
        return bus

    def kill(self, package: str, number: int = signal.SIGKILL) -> None:
        self.processes[package].send_signal(number)
        self.processes[package].wait(30)

    def user(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "console", "user", *words, "--root", str(self.root)],
            input=given, capture_output=True, text=True, check=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": SOURCES},
        )  # fmt: skip
        return done.stdout.strip()

    def ask(self, path: str, body: Any = None, *, token: str = "", headers: dict[str, str] | None = None) -> Answer:
        """One request, as a program makes it."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        if token:
            given["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data, given)
        opener = urllib.request.build_opener(_Stays)
        try:
            with opener.open(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def wait(self, true: Callable[[], Any], seconds: float = 90, what: str = "it") -> Any:
        end = time.monotonic() + seconds
        while True:
            try:
                found = true()
            except (urllib.error.URLError, ConnectionError):
                found = None
            if found:
                return found
            assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.root.glob("*.log")))

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(30)
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _stop(self) -> None:
        self._serving.cancel()
        await self._server.close()


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Not for longer: Playwright's event loop runs in this thread, where other tests have theirs."""
    if CHROMIUM is None:
        if "EDGELOOP_ALL_PEERS" in os.environ:
            pytest.fail("chromium is not installed (Debian: chromium)")
        pytest.skip("chromium is not installed (Debian: chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def line() -> Iterator[Line]:
    """The whole line, with three users, once its first alarm is raised."""
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    made = Line(folder)
    for name, (role, password) in PASSWORDS.items():
        made.user("add", name, "--role", role, given=password)
    try:
        with made.listen() as bus:
            bus.wait_connected(60)
            made.start("sensor_ingest", "anomaly_inference", "camera_inference", "console")
            made.token = made.user("add", "mes", "--role", "operator", "--token")
            made.wait(lambda: made.ask("/api/v1/alarms", token=made.token).json, 180, "an alarm on the page")
            yield made
    finally:
        made.close()
        shutil.rmtree(folder)


@pytest.fixture
def console() -> Iterator[Callable[..., Line]]:
    """A Console by itself, without users, with settings of its own."""
    made = []

    def start(**settings: Any) -> Line:
        line = Line(Path(tempfile.mkdtemp(prefix="edgeloop-")), **settings)
        made.append(line)
        line.start("console")
        line.wait(lambda: line.ask("/login").status, 60, "the page")
        return line

    yield start
    for line in made:
        line.close()
        shutil.rmtree(line.root)


@pytest.fixture
def alone(console: Callable[..., Line]) -> Line:
    return console()
