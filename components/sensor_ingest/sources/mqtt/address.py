"""Where a broker is, and what it is shown as credentials."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edgeloop.component import user
from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line

LONGEST = 64
"""Characters of a client id."""
PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError.

        >>> Address.parse("mqtts://broker.local"), str(Address.parse("mqtt://[::1]:2883"))
        (Address(scheme='mqtts', host='broker.local', port=8883), 'mqtt://[::1]:2883')
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the broker is no address, such as mqtt://host:1883") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password belongs into an address: use `username` and `password_file`")
        if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"{url!r} is no broker, such as mqtt://host:1883 or mqtts://host:8883")
        return cls(parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)

    @property
    def secure(self) -> bool:
        return self.scheme == "mqtts"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def client(thing: str, source: str) -> str:
    """A client id that no other source, here or elsewhere, has: what does not fit is told by its digest.

    >>> client("edge7", "press1"), len(client("x" * 128, "press1")), client("x" * 128, "press1")[-16:]
    ('edgeloop-edge7-press1', 64, 'ss1-840f842f1342')
    """
    whole = f"edgeloop-{thing}-{source}"
    if len(whole) <= LONGEST:
        return whole
    end = f"-{source}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    return f"edgeloop-{thing}"[: LONGEST - len(end)] + end


def context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """The broker is believed by `ca` (empty: by the system's list), in its own name. Raises EdgeloopError."""
    made = ssl.create_default_context()
    if ca:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca:
            readable(ca)
            made.load_verify_locations(ca)
        if certificate:
            readable(certificate)
            readable(key or certificate)
            made.load_cert_chain(certificate, key or None, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        where = ", ".join(path for path in (ca, certificate, key) if path)
        raise EdgeloopError("a certificate or key cannot be used", where=where, why=str(error)) from None
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one that is not, readable by one user only")


def secret(path: str) -> str:
    """The first line of a file that others may not touch. Raises EdgeloopError."""
    return first_line(path)


def readable(path: str) -> None:
    """Raises EdgeloopError naming user and path."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError("cannot read a file", where=path, why=error.strerror or "", mend=mend) from None
