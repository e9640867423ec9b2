"""Packages by HTTPS, from a real server on loopback whose certificate is verified."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeloop.models import ModelError
from model_update.fetch import fetch

CONTENT = bytes(range(256)) * 4096
DIGEST = "d" * 64


def certificate(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Handler(BaseHTTPRequestHandler):
    asked: list[str]
    cut = 0

    def do_GET(self) -> None:
        begin = 0
        self.asked.append(self.headers.get("Range", ""))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/plain")  # type: ignore[attr-defined]
            self.end_headers()
            return
        if self.path != "/linear.tar":
            self.send_error(404)
            return
        if self.asked[-1]:
            begin = int(self.asked[-1].removeprefix("bytes=").removesuffix("-"))
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        content = CONTENT[begin:]
        self.wfile.write(content[: type(self).cut] if type(self).cut else content)
        type(self).cut = 0

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = certificate(tmp_path)
    Handler.asked, Handler.cut = [], 0
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield f"https://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join(60)


def get(uri: str, into: Path, **more: Any) -> bytes:
    return fetch(uri, DIGEST, into, 8 << 20, lambda: False, **more).read_bytes()


def test_what_broke_off_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    into = tmp_path / "in"
    Handler.cut = 300_000
    with pytest.raises(ModelError, match=r"cut off|IncompleteRead"):
        get(f"{server}/linear.tar", into)
    (part,) = into.iterdir()
    have = part.stat().st_size
    assert get(f"{server}/linear.tar", into) == CONTENT
    assert Handler.asked == ["", f"bytes={have}-" if have else ""]
    assert get(f"{server}/linear.tar", into) == CONTENT, "all of it is there"
    with pytest.raises(ModelError, match="404"):
        get(f"{server}/other.tar", tmp_path / "other")
    with pytest.raises(ModelError, match="too large"):
        fetch(f"{server}/linear.tar", DIGEST, tmp_path / "small", 1000, lambda: False)


def test_a_cap_on_bandwidth_holds(server: str, tmp_path: Path) -> None:
    began = time.monotonic()
    assert get(f"{server}/linear.tar", tmp_path / "in", bandwidth=2 << 20) == CONTENT
    assert time.monotonic() - began > 0.4, "1 MiB at 2 MiB/s"


def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ModelError, match="CERTIFICATE_VERIFY_FAILED"):
        get(f"{server}/linear.tar", tmp_path / "in")


def test_nobody_sends_it_on_to_an_address_without_tls(server: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot fetch the model"):
        get(f"{server}/elsewhere", tmp_path / "in")
