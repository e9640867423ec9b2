"""One PutMedia connection: media out and acknowledgements in, at the same time, on one thread."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from edgeloop import clock
from video_upload.aws.credentials import CredentialSource, region
from video_upload.aws.http import Unreachable, trusted
from video_upload.aws.sigv4 import signed
from video_upload.kvs.acks import Ack, Answer

CONNECT: Final = 10.0
_BLOCK: Final = 64 << 10


class Session:
    """Raises Unreachable from everything where the connection is gone."""

    def __init__(self, endpoint: str, stream: str, start: int, credentials: CredentialSource) -> None:
        """endpoint: of the stream, for PutMedia. start: ns UTC, the producer's time of the first fragment."""
        self.opened = time.monotonic()
        self.answer = Answer()
        self._out = bytearray()
        url = f"{endpoint}/putMedia"
        headers = {
            "x-amzn-stream-name": stream,
            "x-amzn-producer-start-timestamp": f"{start // 1_000_000 / 1000:.3f}",
            "x-amzn-fragment-acknowledgment-required": "1",
            "x-amzn-fragment-timecode-type": "ABSOLUTE",
            "transfer-encoding": "chunked",
            "user-agent": "edgeloop",
        }
        signing = {name: headers[name] for name in headers if name.startswith("x-amzn-")}
        made = signed("POST", url, "kinesisvideo", region(), credentials.get(), headers=signing, time=clock.now())
        parts = urlsplit(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | made).items())
        self._socket = _connected(parts.scheme == "https", parts.hostname or "", parts.port)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._out += f"POST {parts.path} HTTP/1.1\r\n{lines}\r\n".encode()

    @property
    def age(self) -> float:
        """s."""
        return time.monotonic() - self.opened

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""
        return len(self._out)

    def feed(self, data: bytes) -> None:
        self._out += f"{len(data):x}\r\n".encode() + data + b"\r\n"

    def end(self) -> None:
        """No more is to come."""
        self._out += b"0\r\n\r\n"

    def pump(self, timeout: float) -> list[Ack]:
        """Sends and receives what can be at once, or within s; acknowledgements that came."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        self._selector.modify(self._socket, wanted)
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        ready = self._selector.select(0 if pending else timeout)
        found: list[Ack] = []
        try:
            if pending or any(events & selectors.EVENT_READ for _, events in ready):
                found = self._receive()
            if self._out and any(events & selectors.EVENT_WRITE for _, events in ready):
                try:
                    self._send()
                except OSError:
                    found += self._receive()
                    if not found:
                        raise
        except (OSError, ValueError) as error:
            raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
        return found

    def close(self) -> None:
        self._selector.close()
        self._socket.close()

    def _send(self) -> None:
        for _ in range(16):
            if not self._out:
                return
            try:
                del self._out[: self._socket.send(self._out[:_BLOCK])]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return

    def _receive(self) -> list[Ack]:
        found: list[Ack] = []
        while True:
            try:
                data = self._socket.recv(_BLOCK)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return found
            if not data:
                self.answer.ended = True
                return found
            found += self.answer.take(data)


def _connected(secure: bool, host: str, port: int | None) -> socket.socket:
    """Raises Unreachable."""
    port = port or (443 if secure else 80)
    named = urllib.request.getproxies().get("https") if secure and not urllib.request.proxy_bypass(host) else None
    made: socket.socket | None = None
    try:
        if named:
            proxy = urlsplit(named if "://" in named else f"http://{named}")
            made = socket.create_connection((proxy.hostname or "", proxy.port or 80), CONNECT)
            made.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 8192:
                head += made.recv(1) or _gone()
            if b" 200 " not in head.split(b"\r\n")[0] + b" ":
                raise Unreachable(f"the proxy refuses: {head.splitlines()[0][:80].decode('latin-1')}")
        else:
            made = socket.create_connection((host, port), CONNECT)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            made = trusted().wrap_socket(made, server_hostname=host)
        made.setblocking(False)
    except (OSError, Unreachable) as error:
        if made is not None:
            made.close()
        if isinstance(error, Unreachable):
            raise
        verify = getattr(error, "verify_message", "")
        why = f"its certificate is not trusted: {verify}" if verify else error.strerror or str(error)
        raise Unreachable(why) from None
    return made


def _gone() -> bytes:
    raise OSError("the proxy closed the connection")
