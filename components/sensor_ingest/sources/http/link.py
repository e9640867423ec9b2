"""One HTTP connection that is kept, with an end to every wait."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgeloop.component import user
from edgeloop.errors import EdgeloopError

LONGEST = 1 << 20
"""Bytes of an answer."""
_TARGET = re.compile(r"[!-~]*")
_IDEMPOTENT = ("GET", "PUT")


@dataclass(frozen=True, slots=True)
class Place:
    """target: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """Raises ValueError.

        >>> Place.parse("http://10.0.0.3/api/v?x=1")
        Place(scheme='http', host='10.0.0.3', port=80, target='/api/v?x=1')
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"{url[:80]!r} is no address, such as http://10.0.0.3/values") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password belongs into an address: use `authorization_file`")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme not in ("http", "https") or not parts.hostname or not _TARGET.fullmatch(target):
            raise ValueError(f"{url[:80]!r} is no address, such as http://10.0.0.3/values")
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), target)

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def near(self) -> bool:
        """Whether it is this machine."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target.partition('?')[0]}"


class Link:
    """Reached directly, never through a proxy; redirects are not followed."""

    def __init__(self, place: Place, headers: Mapping[str, str], context: ssl.SSLContext | None) -> None:
        self.place, self._headers, self._context = place, dict(headers), context
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, target: str, body: bytes, seconds: float) -> tuple[bytes, int]:
        """The answer's body and status within so many s. Raises EdgeloopError."""
        end = time.monotonic() + seconds
        kept = self._connection is not None
        try:
            return self._ask(method, target, body, end)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not kept or method not in _IDEMPOTENT:
                raise self._error("closed the connection before it answered") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._error(_why(error)) from None
        try:
            return self._ask(method, target, body, end)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self._error(_why(error)) from None

    def _ask(self, method: str, target: str, body: bytes, end: float) -> tuple[bytes, int]:
        connection = self._connected(end)
        connection.request(method, target, body if method != "GET" else None, self._headers)
        _limit(connection, end)
        answer = connection.getresponse()
        content = b""
        while True:
            _limit(connection, end)
            piece = answer.read1(1 << 16)
            if not piece:
                break
            content += piece
            if len(content) > LONGEST:
                raise ValueError(f"an answer of more than {LONGEST} B")
        if answer.will_close:
            self.close()
        return content, answer.status

    def _connected(self, end: float) -> http.client.HTTPConnection:
        left = max(0.01, end - time.monotonic())
        if self._connection is None:
            place = self.place
            made: http.client.HTTPConnection
            if place.secure:
                made = http.client.HTTPSConnection(place.host, place.port, timeout=left, context=self._context)
            else:
                made = http.client.HTTPConnection(place.host, place.port, timeout=left)
            made.connect()
            self._connection = made
        _limit(self._connection, end)
        return self._connection

    def _error(self, why: str) -> EdgeloopError:
        return EdgeloopError("no answer", where=str(self.place), why=why, mend="it is tried again")

    def close(self) -> None:
        """From any thread: a wait for an answer ends."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                connection.close()


def _limit(connection: http.client.HTTPConnection, end: float) -> None:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:200] or type(error).__name__


def context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Machines are believed by `ca` (empty: by the system's list), in their own name. Raises EdgeloopError."""
    try:
        made = ssl.create_default_context(cafile=ca or None)
        if certificate:
            made.load_cert_chain(certificate, key or None, password=_no_password)
    except (OSError, ValueError) as error:
        where = ", ".join(path for path in (ca, certificate, key) if path)
        mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct it"
        raise EdgeloopError("a certificate or key cannot be used", where=where, why=str(error), mend=mend) from None
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one that is not, readable by one user only")
