"""One kept HTTP connection."""

from __future__ import annotations

import functools
import http.client
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

LARGEST: Final = 1 << 20
"""Bytes of an answer."""


class Unreachable(Exception):
    """Nobody answered, or not as HTTP says. why: a few words; late: the time was over."""

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.why, self.late = why, late


@functools.cache
def trusted() -> ssl.SSLContext:
    """Certificates are verified, always."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Connection:
    """To the host of one URL, through the proxy of the environment where there is one. Not thread-safe."""

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        self._secure, self._host = parts.scheme == "https", parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout: float | None = None
    ) -> tuple[int, bytes]:
        """Status and answer. A kept connection that the other side had closed is made anew, once.

        Raises Unreachable.
        """
        ends = time.monotonic() + (timeout or self._timeout)
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for again in (True, False):
            kept = self._connection is not None
            try:
                return self._once(method, path if not self._plainly_proxied() else url, headers, body, ends)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                self.close()
                if not (kept and again) or time.monotonic() >= ends:
                    raise Unreachable(_words(error)) from None
            except TimeoutError:
                self.close()
                raise Unreachable("no answer in time", late=True) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                raise Unreachable(_words(error)) from None
        raise AssertionError

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _once(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, ends: float
    ) -> tuple[int, bytes]:
        connection = self._connection
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection is None:
            connection = self._connection = self._open(left)
            connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(max(0.001, ends - time.monotonic()))
        connection.request(method, target, body=body or None, headers=dict(headers))
        response = connection.getresponse()
        data = b""
        while chunk := response.read1(LARGEST + 1 - len(data)):
            data += chunk
            if len(data) > LARGEST:
                raise ValueError("the answer is too long")
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if connection.sock is not None:
                connection.sock.settimeout(left)
        response.close()
        if response.will_close:
            self.close()
        return response.status, data

    def _plainly_proxied(self) -> bool:
        return not self._secure and self._proxy() is not None

    def _proxy(self) -> tuple[str, int] | None:
        if urllib.request.proxy_bypass(self._host):
            return None
        named = urllib.request.getproxies().get("https" if self._secure else "http")
        if not named:
            return None
        parts = urlsplit(named if "://" in named else f"http://{named}")
        return (parts.hostname or "", parts.port or 80) if parts.hostname else None

    def _open(self, timeout: float) -> http.client.HTTPConnection:
        proxy = self._proxy()
        host, port = proxy or (self._host, self._port)
        if not self._secure:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        made = http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted())
        if proxy:
            made.set_tunnel(self._host, self._port)
        return made


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:160]
