"""Pictures over HTTP: Motion JPEG part by part, and single ones.

A camera beside the device is reached directly, whatever proxy the nucleus sets for all components.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from camera_inference.sources.stream.credentials import read
from edgeloop.errors import EdgeloopError

LARGEST: Final = 64 << 20
"""Bytes of one picture."""
_LINE: Final = 4096


def nearby(uri: str) -> bool:
    """Whether a host is one of the local network.

    >>> [nearby(f"http://{h}/x") for h in ("127.0.0.1", "10.0.0.7:80", "cam3", "cam3.local", "8.8.8.8", "example.com")]
    [True, True, True, True, False, False]
    """
    host = urlsplit(uri).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".lan", ".internal", ".home.arpa"))
    return address.is_private or address.is_loopback or address.is_link_local


def go_direct(uri: str) -> None:
    """Has every library of this process reach a nearby host without a proxy."""
    host = urlsplit(uri).hostname or ""
    if not nearby(uri):
        return
    for name in ("no_proxy", "NO_PROXY"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        if host not in known:
            os.environ[name] = ",".join([*known, host])


def opened(uri: str, credentials_file: str, patience: float, authorities: str) -> Any:
    """The answer to a GET. Raises OSError, HTTPException, EdgeloopError; user and password are in none of them."""
    go_direct(uri)
    split = urlsplit(uri)
    host = split.hostname or ""
    plain = split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()
    handlers: list[Any] = [urllib.request.ProxyHandler({})] if nearby(uri) else []
    if split.scheme == "https":
        context = ssl.create_default_context(cafile=authorities if os.path.exists(authorities) else None)
        handlers.append(urllib.request.HTTPSHandler(context=context))
    user, password = unquote(split.username or ""), unquote(split.password or "")
    if credentials_file:
        user, password = read(credentials_file)
    if user:
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, plain, user, password)
        handlers += [urllib.request.HTTPBasicAuthHandler(manager), urllib.request.HTTPDigestAuthHandler(manager)]
    try:
        return urllib.request.build_opener(*handlers).open(plain, timeout=patience)
    except urllib.error.HTTPError as error:
        error.close()
        mend = "does it take the credentials?" if error.code in (401, 403) else "correct the URI"
        raise EdgeloopError("the camera refuses", where=host, why=f"{error.code} {error.reason}", mend=mend) from None
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None


def is_parts(answer: Any) -> bool:
    return str(answer.headers.get_content_type()) == "multipart/x-mixed-replace"


def parts(answer: Any) -> Iterator[bytes]:
    """The pictures of a Motion JPEG stream as they came. Raises OSError, HTTPException, EdgeloopError."""
    boundary = (answer.headers.get_param("boundary") or "").strip('"').lstrip("-").encode()
    if not boundary:
        raise EdgeloopError("the camera's stream has no boundary", mend="is it Motion JPEG?")
    begun = False
    while True:
        if not begun:
            line = answer.readline(_LINE)
            if not line:
                return
            if not _begins(line, boundary):
                continue
        length = -1
        while (line := answer.readline(_LINE)).strip():
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        if length > LARGEST:
            raise EdgeloopError("a picture is too large", why=f"{length:,} B of at most {LARGEST:,}")
        begun = length < 0
        data = _until(answer, boundary) if begun else answer.read(length)
        if not data:
            return
        yield data


def _begins(line: bytes, boundary: bytes) -> bool:
    """Whether a line is a boundary; cameras differ in whether its name has the dashes."""
    return line.startswith(b"--") and line.lstrip(b"-").startswith(boundary)


def _until(answer: Any, boundary: bytes) -> bytes:
    """What comes before the next boundary, which is read."""
    found = bytearray()
    while line := answer.readline(1 << 20):
        if _begins(line, boundary):
            break
        found += line
        if len(found) > LARGEST:
            raise EdgeloopError("a picture is too large", why=f"over {LARGEST:,} B")
    return bytes(found.rstrip(b"\r\n"))


FAILURES: Final = (OSError, HTTPException)
