"""A machine with a web service, and one that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.http import SOURCE, Configuration

RANGE = {"range": "0..1500"}


class Machine(ThreadingHTTPServer):
    """Answers `answer` with `status`; keeps what was written."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: bytes = b'{"drive": {"rpm": 1200, "temp": 41.5}}'
        self.status = 200
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.deaf = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Machine

    def _all(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, body, dict(self.headers)))
        if self.server.deaf.is_set():
            self.close_connection = True
            threading.Event().wait(4)
            return
        self.send_response(self.server.status)
        answer = self.server.answer if self.command == "GET" else b""
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST = _all

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.shutdown()
    made.server_close()


def running(outlet: Rehearsal, **options: Any) -> Running:
    return Running(SOURCE, outlet, type="http", poll="50 ms", **options)


def test_answers_are_samples(machine: Machine, tmp_path: Path) -> None:
    outlet = Rehearsal("drive", tmp_path)
    token = tmp_path / "token"
    token.write_text("Bearer abc\n")
    token.chmod(0o600)
    answer = {"channels": {"speed": "drive.rpm rpm", "temp": "drive.temp °C"}}
    with running(outlet, url=f"{machine.url}/status?all=1", answer=answer, authorization_file=str(token)) as run:
        run.until(lambda: len(outlet.samples()) >= 3)
        machine.answer = b'{"drive": {"rpm": "n/a", "temp": 42}}'
        run.until(lambda: outlet.samples()[-1, 1] == 42)
    assert outlet.samples()[0].tolist() == [1200, 41.5]
    assert [(c.name, c.unit) for c in outlet.streams["drive"].channels] == [("speed", "{rev}/min"), ("temp", "Cel")]
    assert machine.asked[0][:2] == ("GET", "/status?all=1")
    assert machine.asked[0][3]["Authorization"] == "Bearer abc"


def test_a_poll_that_fails_is_told_and_five_end_the_run(machine: Machine, tmp_path: Path) -> None:
    outlet = Rehearsal("drive", tmp_path)
    with running(outlet, url=machine.url) as run:
        run.until(lambda: len(outlet.samples()) >= 1)
        machine.status = 503
        run.until(lambda: "answers 503" in outlet.problems.get("poll", ""))
        machine.status = 200
        run.until(lambda: "poll" not in outlet.problems)
        machine.status = 401
        with pytest.raises(TimeoutError, match="the machine of drive answers 401"):
            run.until(lambda: False)


def test_what_an_action_says(machine: Machine, tmp_path: Path) -> None:
    writes = {
        "speed": f'PUT {machine.url}/speed {{"rpm": {{value}}, "why": "{{text}}"}}',
        "lamp": f"POST {machine.url}/lamp/{{value}}?asset={{asset}} on",
        "tell": f"POST {machine.url}/tell",
    }
    outlet = Rehearsal("drive", tmp_path)
    with running(outlet, writes=writes, actions=dict.fromkeys(writes, RANGE)) as run:
        run.source.carry("speed", 900.0, {"text": 'too "hot"'})
        run.source.carry("lamp", 1.0, {"asset": "press 1/2"})
        run.source.write("tell", 2.5)
        machine.status = 409
        with pytest.raises(EdgeloopError, match=r"speed was refused .*: the machine answers 409"):
            run.source.write("speed", 1.0)
        machine.status = 302
        with pytest.raises(EdgeloopError, match="answers 302"):
            run.source.write("tell", 1.0)
    assert [(m, p, b) for m, p, b, _ in machine.asked[:3]] == [
        ("PUT", "/speed", b'{"rpm": 900, "why": "too \\"hot\\""}'), ("POST", "/lamp/1?asset=press%201%2F2", b"on"),
        ("POST", "/tell", b"2.5"),
    ]  # fmt: skip
    assert json.loads(machine.asked[0][2])["why"] == 'too "hot"'
    assert len(machine.asked) == 5


def test_a_machine_that_says_nothing_has_not_done_it(machine: Machine, tmp_path: Path) -> None:
    machine.deaf.set()
    outlet = Rehearsal("drive", tmp_path)
    options = {"writes": {"tell": f"POST {machine.url}/tell"}, "actions": {"tell": RANGE}}
    with running(outlet, **options) as run, pytest.raises(EdgeloopError, match="it takes too long"):
        run.source.write("tell", 1.0)
    assert len(machine.asked) == 1


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 4000, b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nx",
               b"HTTP/9 banana\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_no_answer_ends_more_than_a_run(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as peer:
        def serve() -> None:
            while True:
                try:
                    connection, _ = peer.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        outlet = Rehearsal("drive", tmp_path)
        with running(outlet, url=f"http://127.0.0.1:{peer.getsockname()[1]}", timeout="500 ms") as run:
            run.until(lambda: outlet.counts.get("failed_polls", 0) + outlet.counts.get("bad_payloads", 0) >= 2)
        assert outlet.samples().size == 0
        peer.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"url": "ftp://a"}, {"url": "http://u:p@a/"}, {"url": "http://a/ b"},
        {"url": "http://a", "authorization_file": "/f"}, {"url": "http://a", "ca": "/f"},
        {"url": "http://a", "headers": {"Authorization": "x"}}, {"url": "http://a", "headers": {"X": "a\r\nY: b"}},
        {"writes": {"a": "GET http://a"}, "actions": {"a": RANGE}},
        {"writes": {"a": "PUT http://a on"}, "actions": {"a": RANGE}},
        {"writes": {"a": "PUT http://a"}}, {"url": "http://a", "actions": {"a": RANGE}},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        convert(options, Configuration, "drive")
