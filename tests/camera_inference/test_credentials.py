"""A camera of the network that wants a user and a password."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_inference.capture import Capture, Sink
from camera_inference.frame import Frame
from camera_inference.sources import Place, Registry
from camera_inference.sources.stream import redacted
from camera_inference.sources.stream.credentials import read, signed_in
from edgeloop.errors import ConfigurationError, EdgeloopError

USER, PASSWORD = "line 3", "p:ä@ss/w#rd?"
GIVEN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Handler(BaseHTTPRequestHandler):
    """Motion JPEG to those who sign in."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != GIVEN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        image = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image)
        try:
            while True:
                self.wfile.write(part)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.mjpg"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Around:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told = threading.Event()

    def problem(self, key: str, line: str) -> None:
        self.lines.append(line)
        self.told.set()

    def clear(self, key: str) -> None:
        pass

    def count(self, name: str, n: int = 1) -> None:
        pass

    def log(self, line: str, **fields: Any) -> None:
        self.lines.append(f"{line} {fields}")

    def unexpected(self, error: Exception) -> None:
        self.lines.append(repr(error))

    def publish(self, topic: str, document: Any) -> bool:
        return True


def found(uri: str, credentials: str = "") -> Place:
    return Registry(lambda line: None).find(uri, "cameras.gate.uri", credentials)


def secret(path: Path, text: str = f"{USER}:{PASSWORD}\n", mode: int = 0o640) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_frames_come_from_a_camera_that_is_signed_in_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames: list[Frame] = []
    come = threading.Event()

    def put(frame: Frame) -> None:
        frames.append(frame)
        come.set()

    around = Around()
    file = secret(tmp_path / "gate.credentials", "line 3:wrong\n")
    with camera() as uri:
        place = found(uri, file)
        capture = Capture("gate", place, "latest", tmp_path / "state", Sink(put, lambda: True, str), around)
        capture.start()
        try:
            assert around.told.wait(60)
            assert not frames
            secret(tmp_path / "gate.credentials")
            assert come.wait(60), around.lines
        finally:
            capture.end()
            capture.join(30)
    assert frames[0].image is not None
    assert frames[0].image.shape == (48, 64, 3)
    said = "".join(around.lines) + "".join(capfd.readouterr()) + repr(place)
    assert "does it take the credentials" in said
    for word in (PASSWORD, signed_in("http://x/", file)[7:-3], "wrong"):
        assert word not in said


def test_whatever_is_in_the_password_reaches_the_camera(tmp_path: Path) -> None:
    uri = signed_in("rtsp://10.0.0.7:554/live?a=1", secret(tmp_path / "c"))
    assert uri == "rtsp://line%203:p%3A%C3%A4%40ss%2Fw%23rd%3F@10.0.0.7:554/live?a=1"
    assert redacted(uri) == "rtsp://10.0.0.7:554/live?a=1"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("u:hunter2", 0o644, "no secret"),
        ("u:hunter2", 0o660 | 1, "no secret"),
        ("hunter2", 0o600, "user:password"),
        (":hunter2", 0o600, "user:password"),
        ("", 0o600, "empty"),
    ],
)
def test_files_that_are_refused(text: str, mode: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=words) as error:
        read(secret(tmp_path / "c", text, mode))
    assert "hunter2" not in str(error.value)
    assert str(tmp_path / "c") in str(error.value)


def test_an_absent_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="correct its path"):
        read(str(tmp_path / "none"))
    (tmp_path / "b").write_bytes(b"\xff\xfe:hunter2")
    (tmp_path / "b").chmod(0o600)
    with pytest.raises(EdgeloopError, match="UTF-8"):
        read(str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("simulator:?seed=7", "takes no credentials_file"),
        ("/dev/video0", "takes no credentials_file"),
        ("rtsp:camera", "no host"),
        ("rtsp://me:hunter2@10.0.0.7/live", "given twice"),
    ],
)
def test_uris_that_take_none(uri: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        found(uri, "/etc/gate")
    assert "hunter2" not in str(error.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of localhost, signed by itself; the key is beside it."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key.pem")]
    command += ["-out", str(tmp_path / "certificate.pem"), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "certificate.pem"


@pytest.mark.parametrize("trusted", [True, False])
def test_a_camera_over_tls_is_verified_before_it_gets_the_password(
    tmp_path: Path, certificate: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[str] = []

    class Listening(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    around, come = Around(), threading.Event()
    place = found(f"https://localhost:{server.server_port}/live.mjpg", secret(tmp_path / "c"))
    sink = Sink(lambda frame: come.set(), lambda: True, str)
    capture = Capture("gate", place, "latest", tmp_path / "state", sink, around)
    capture.start()
    try:
        assert (come if trusted else around.told).wait(60), around.lines
    finally:
        capture.end()
        capture.join(30)
        server.shutdown()
        server.server_close()
    assert bool(asked) is trusted
    assert trusted or "is its certificate signed by an authority of" in around.lines[0]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_camera_over_rtsps_is_verified_before_it_hears_a_word(
    tmp_path: Path, certificate: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    said: list[bytes] = []
    done = threading.Event()
    around = Around()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as plain, context.wrap_socket(
                plain, server_side=True
            ) as secure:
                said.append(secure.recv(4096))
            done.set()

        threading.Thread(target=serve, daemon=True).start()
        place = found(f"rtsps://localhost:{server.getsockname()[1]}/live", secret(tmp_path / "c"))
        sink = Sink(lambda frame: None, lambda: True, str)
        capture = Capture("gate", place, "latest", tmp_path / "state", sink, around)
        capture.start()
        try:
            assert done.wait(60)
            assert around.told.wait(60)
        finally:
            capture.end()
            capture.join(30)
    assert [text.split()[0] for text in said if text] == ([b"OPTIONS"] if trusted else [])
