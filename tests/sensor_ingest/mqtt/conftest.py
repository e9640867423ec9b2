"""Debian's mosquitto as the peer, and a client of its own to talk to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from edgeloop_tools.core.ports import free_port

Key = ec.EllipticCurvePrivateKey
BINARY = shutil.which("mosquitto", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


class Broker:
    """mosquitto on a port of its own; `kill` and `start` again."""

    def __init__(self, folder: Path, lines: str = "allow_anonymous true", listener: str = "") -> None:
        assert BINARY is not None
        self.folder = folder
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        user = "user root\n" if os.geteuid() == 0 else ""
        (folder / "mosquitto.conf").write_text(
            f"{user}persistence false\n{lines}\nlistener {self.port} 127.0.0.1\n{listener}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(BINARY), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < end
            time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self, frozen: bool) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Device:
    """Another program at the broker: publishes, confirmed, and keeps what it hears."""

    def __init__(
        self, broker: Broker, hears: str = "", configure: Callable[[mqtt.Client], Any] = lambda c: None
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        make: Any = mqtt.Client
        self.client = make(CallbackAPIVersion.VERSION2)
        configure(self.client)
        self._hears = hears
        self.client.on_connect, self.client.on_subscribe = self._connected, lambda *_: self._ready.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._ready.wait(30)

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        if self._hears:
            client.subscribe(self._hears, 1)
        else:
            self._ready.set()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, bytes(message.payload)))
            self._changed.notify_all()

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False, qos: int = 1) -> None:
        sent = self.client.publish(topic, payload, qos, retain)
        sent.wait_for_publish(30)
        assert sent.is_published()

    def wait(self, n: int) -> list[tuple[str, bytes]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= n, 30), self.heard
        return self.heard

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass(frozen=True)
class Certificates:
    ca: Path
    other: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def _issue(folder: Path, name: str, issuer: tuple[x509.Certificate, Key] | None = None) -> tuple[x509.Certificate, Key]:
    """A certificate and its key as files `name`.pem and `name`.key; without an issuer an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = _issue(tmp_path, "ca")
    _issue(tmp_path, "other")
    for name in ("server", "client"):
        _issue(tmp_path, name, authority)
    names = ("ca.pem", "other.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(tmp_path / name for name in names))


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    if BINARY is None:
        missing = "the tests of MQTT talk to mosquitto: apt-get install mosquitto"
        if os.environ.get("EDGELOOP_ALL_PEERS"):
            pytest.fail(missing)
        pytest.skip(missing)
    brokers: list[Broker] = []

    def make(**options: str) -> Broker:
        brokers.append(Broker(tmp_path / f"broker{len(brokers)}", **options))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.close()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def make_device() -> Iterator[Callable[..., Device]]:
    devices: list[Device] = []

    def make(*arguments: Any, **options: Any) -> Device:
        devices.append(Device(*arguments, **options))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


@pytest.fixture
def device(broker: Broker, make_device: Callable[..., Device]) -> Device:
    return make_device(broker)
