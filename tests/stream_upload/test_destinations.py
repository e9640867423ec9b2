"""Records on their way to webhooks, mail servers and plug-ins: real servers, a real StreamUpload, real kills."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgeloop.alarms.alarm import Alarm, Cause
from edgeloop.errors import EdgeloopError
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop_tools.config.checks import check
from edgeloop_tools.config.line import load
from edgeloop_tools.plugin.cases import check as cases
from edgeloop_tools.plugin.scaffold import make
from stream_upload import destinations
from stream_upload.destinations.base import Record
from stream_upload.destinations.email import Configuration as EmailConfiguration
from stream_upload.destinations.email import Email
from stream_upload.destinations.webhook import Configuration as WebhookConfiguration
from stream_upload.destinations.webhook import Webhook

OWNER = "io.edgeloop.AnomalyInference"


class Hook:
    """An HTTP server that answers as `answers` says, 200 in the end, and keeps what it was sent."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = outer.answers.pop(0) if outer.answers else 200
                if code == 200:
                    outer.got.append((dict(self.headers), json.loads(body)))
                self.send_response(code)
                if code == 307:
                    self.send_header("Location", f"http://localhost:{outer.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http{'s' if context else ''}://localhost:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        return [document["id"] for _, document in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.close()


def alarm(id: str, severity: Any = "high", state: Any = "raised", **more: Any) -> bytes:
    now = time.time_ns()
    return Alarm(
        id=id, monitor="m", asset="press1", kind="process", severity=severity, state=state, text="oil 82 °C",
        raised_at=now, time=now, sample_time=now, cause=Cause(stream="s"), **more,
    ).document()  # fmt: skip


def record(id: str = "a1", **more: Any) -> Record:
    content = alarm(id, **more)
    return Record(OWNER, "alarms", json.loads(content), content)


@pytest.fixture
def queue(core: Any) -> Iterator[UploadQueue]:
    made = UploadQueue(core.root, OWNER, budget=1 << 20)
    yield made
    made.close()


def place(core: Any, id: str) -> dict[str, Any]:
    path = core.root / "work" / "io.edgeloop.StreamUpload" / "destinations" / f"{id}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_each_alarm_arrives_once_through_refusals_and_a_kill(
    core: Any, hook: Hook, queue: UploadQueue, until: Any
) -> None:
    queue.append("alarms", alarm("before"), sync=True)
    hook.answers = [503, 429, 200, 404]
    configuration = {"destinations": {"scada": {"type": "webhook", "url": hook.url, "severity": "medium"}}}
    core.start(configuration)
    until(lambda: place(core, "scada").get("begun"), "the destination to have looked")
    for id, severity in (("a0", "high"), ("a1", "low"), ("a2", "critical"), ("a3", "high")):
        queue.append("alarms", alarm(id, severity), sync=True)
    queue.append("alarms", alarm("a4", "high", "cleared"), sync=True)
    until(lambda: hook.ids() == ["a0", "a3"], "a0 twice refused for now and taken, a2 refused for good, then a3")
    core.kill()
    queue.append("alarms", alarm("a5"), sync=True)
    core.start(configuration)
    until(lambda: "a5" in hook.ids(), "what came while it was dead")
    assert hook.ids().count("a0") == 1
    assert set(hook.ids()) == {"a0", "a3", "a5"}
    audit = core.root / "work" / "io.edgeloop.StreamUpload" / "destinations" / "scada.jsonl"
    until(lambda: '"a5"' in audit.read_text(), "the audit to have a5")
    assert [line for line in audit.read_text().splitlines() if "refused" in line and '"a2"' in line]


def test_what_has_not_arrived_is_not_released(core: Any, hook: Hook, endpoint: Any, bucket: str, until: Any) -> None:
    queue = UploadQueue(core.root, OWNER, budget=1 << 20, segment=200)
    core.start_manager()
    hook.answers = [503] * 1000
    core.start({"bucket": bucket, "every": "1 s", "destinations": {"scada": {"type": "webhook", "url": hook.url}}})
    until(lambda: place(core, "scada").get("begun"), "the destination to have looked")
    for id in ("a0", "a1", "a2"):
        queue.append("alarms", alarm(id), sync=True)
    until(lambda: sum("kind=alarms" in key for key in endpoint.objects(bucket)) >= 2, "two files of alarms in S3")
    until(lambda: "scada: it does not take them now: HTTP 503" in core.problems, "a line of health that says so")
    reader = QueueReader(core.root, OWNER)
    assert len(reader.entries()) == 3
    hook.answers = []
    until(lambda: hook.ids() == ["a0", "a1", "a2"], "the alarms to arrive once the server takes them")
    until(lambda: len(QueueReader(core.root, OWNER).entries()) == 1, "what has arrived to be released")
    queue.close()


def test_a_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {certificate}"
    subprocess.run(
        [*command.split(), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    hook = Hook(context)
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    try:
        blind = Webhook("scada", WebhookConfiguration(url=hook.url, token_file=str(token)))
        with pytest.raises(EdgeloopError, match=r"cannot be reached \(localhost\): .*certificate"):
            blind.send([record()])
        assert hook.got == []
        trusting = Webhook("scada", WebhookConfiguration(url=hook.url, token_file=str(token), ca=str(certificate)))
        assert trusting.send([record()]) == "acknowledged"
        assert hook.got[0][0]["Authorization"] == "Bearer s3cret"
        hook.answers = [307]
        assert trusting.send([record()]) == "refused"
        assert len(hook.got) == 1
        token.chmod(0o644)
        with pytest.raises(EdgeloopError, match="everybody may read the token file"):
            trusting.send([record()])
    finally:
        hook.close()


def test_a_message_for_a_channel_is_a_sentence(hook: Hook) -> None:
    assert Webhook("team", WebhookConfiguration(url=hook.url, form="text")).send([record()]) == "acknowledged"
    assert hook.got[0][1]["text"].startswith("high, raised, press1: oil 82 °C (20")


class MailServer:
    """Enough of RFC 5321 for one client at a time; `refuse` is said to each recipient."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.refuse = ""
        outer = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    self._talk()

            def _say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def _talk(self) -> None:
                self._say("220 mail")
                while word := self.rfile.readline().decode().strip():
                    verb = word.split()[0].upper()
                    if verb == "EHLO":
                        self._say("250 mail")
                    elif verb == "RCPT" and outer.refuse:
                        self._say(outer.refuse)
                    elif verb == "DATA":
                        self._say("354 go on")
                        lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                        outer.mails.append("".join(lines))
                        self._say("250 taken")
                    elif verb == "QUIT":
                        self._say("221 bye")
                        return
                    else:
                        self._say("250 ok")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


def test_an_e_mail_says_what_happened(mail: MailServer) -> None:
    words: dict[str, Any] = {"host": "127.0.0.1", "port": mail.port, "tls": "none", "to": ("shift@plant.example",)}
    email = Email("shift", EmailConfiguration(sender="line@plant.example", **words))
    assert email.send([record("a1"), record("a2", severity="critical")]) == "acknowledged"
    assert "Subject: edgeloop: high, raised, press1:" in mail.mails[0] or "=?utf-8?" in mail.mails[0]
    assert "To: shift@plant.example" in mail.mails[0]
    mail.refuse = "450 later"
    with pytest.raises(EdgeloopError, match=r"the mail server does not take it now \(127\.0\.0\.1\): 450"):
        email.send([record()])
    mail.refuse = "550 nobody of this name"
    assert email.send([record()]) == "refused"
    mail.close()
    with pytest.raises(EdgeloopError, match="the mail server cannot be used"):
        email.send([record()])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that the user of a process may not write")
def test_a_destination_from_outside_the_tree(
    core: Any, hook: Hook, queue: UploadQueue, until: Any, tmp_path: Path
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="plugins-"))
    try:
        assert cases(make("destination", "mes", folder), tmp_path) >= 2
        core.start({"plugins": str(folder), "destinations": {"hall": {"type": "mes", "url": hook.url}}})
        until(lambda: place(core, "hall").get("begun"), "the destination to have looked")
        queue.append("alarms", alarm("a7"), sync=True)
        until(lambda: [document["alarm"] for _, document in hook.got] == ["a7"], "the plug-in to have sent it")
    finally:
        shutil.rmtree(folder)


def checked(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "line.yaml"
    path.write_text(f"site: home\nline: desk\n{text}\n")
    line = load(path)
    check(line)
    return [str(problem) for problem in line.problems]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{type: webhook, url: 'https://hooks.example/x'}", ""),
        ("{type: webhook, url: 'http://hooks.example/x'}", "it is no https://"),
        ("{type: webhook}", "either url or url_file"),
        ("{type: pager}", "unknown destination type"),
        ("{type: email, host: mail.example, to: [shift], sender: a@b}", "to"),
        ("{type: email, host: mail.example, to: [a@b], sender: a@b, tls: none}", "tls: none"),
        ("{type: webhook, url: 'https://h.example/x', quiet: nights}", "are no hours"),
        ("{type: webhook, url: 'https://h.example/x', quiet: '22:00-06:00', zone: Mars/North}", "is no zone"),
    ],
)
def test_a_line_says_whom_alarms_are_told(tmp_path: Path, entry: str, said: str) -> None:
    problems = checked(tmp_path, f"notify:\n  shift: {entry}")
    assert len(problems) == (1 if said else 0), problems
    assert not said or ("notify.shift" in problems[0] and said in problems[0]), problems


@pytest.mark.parametrize("type", ["webhook", "email"])
def test_the_sample_of_a_type_is_a_line(tmp_path: Path, type: str) -> None:
    sample = Path(destinations.__file__).parent / type / "sample.yaml"
    assert checked(tmp_path, sample.read_text()) == []


def test_hours_are_quiet_by_the_clock_of_the_plant() -> None:
    night = WebhookConfiguration(url="https://h.example", quiet="22:00-06:00", zone="Europe/Berlin")
    assert [night.silent(datetime.time(hour)) for hour in (5, 6, 21, 22)] == [True, False, False, True]


def test_in_quiet_hours_a_critical_alarm_takes_along_what_waits(
    core: Any, hook: Hook, queue: UploadQueue, until: Any
) -> None:
    core.start({"destinations": {"shift": {"type": "webhook", "url": hook.url, "quiet": "00:00-23:59"}}})
    until(lambda: place(core, "shift").get("begun"), "the destination to have looked")
    queue.append("alarms", alarm("a0"), sync=True)
    queue.append("alarms", alarm("a1", "critical"), sync=True)
    until(lambda: hook.ids() == ["a0", "a1"], "both")
