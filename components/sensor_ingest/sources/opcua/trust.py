"""Who this device is to a server, and which server it trusts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from edgeloop import durable, optional
from edgeloop.component import user
from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line

LARGEST = 1 << 20


class Known(msgspec.Struct):
    """The servers that were seen: SHA-256 of the certificate by address."""

    servers: dict[str, str] = {}


def read(path: str, what: str) -> bytes:
    """A file of the configuration. Raises EdgeloopError naming user and path."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError(f"cannot read the {what}", where=path, why=error.strerror or "", mend=mend) from None


def password(path: str) -> str:
    """The first line of a file that nobody else may read. Raises EdgeloopError."""
    return first_line(path)


def check(certificate: bytes, pinned: bytes | None, address: str, state: Path) -> bool:
    """Raises EdgeloopError unless a server's certificate (DER) is the pinned one, or, without one, that of before.

    The first certificate of an address is remembered: True then.
    """
    if pinned is not None:
        if certificate != pinned:
            raise EdgeloopError(
                "the server has another certificate than `server_certificate`",
                where=address,
                why=f"SHA-256 {fingerprint(certificate)}",
            )
        return False
    known = _known(state)
    found = known.servers.get(address)
    if found is None:
        known.servers[address] = fingerprint(certificate)
        durable.write(state, known)
        return True
    if found != fingerprint(certificate):
        raise EdgeloopError(
            "the server has another certificate than before",
            where=address,
            why=f"SHA-256 {fingerprint(certificate)}, it was {found}",
            mend="if that is right, name the new one as `server_certificate`",
        )
    return False


def fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


def application(certificate: Any) -> str:
    """The application URI of a certificate (OPC 10000-6, 6.2.2); empty where it has none."""
    x509 = optional.load("cryptography.x509", "an OPC UA source")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    found: list[str] = names.get_values_for_type(x509.UniformResourceIdentifier)
    return found[0] if found else ""


def _known(state: Path) -> Known:
    try:
        return durable.read(state, Known) or Known()
    except (OSError, durable.Damaged) as error:
        raise EdgeloopError("cannot read which servers are trusted", where=str(state), why=str(error)) from None
