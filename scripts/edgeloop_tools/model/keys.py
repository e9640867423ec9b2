"""Keys that sign packages: made here, kept by whoever publishes. A device gets the public one, in its configuration."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop.models.signature import raw


def generate(stem: Path) -> tuple[Path, Path, str]:
    """Writes `<stem>.key` (PKCS#8, 0600) and `<stem>.pub`; returns both and the public key in base64.

    Raises EdgeloopError where one is there already.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    key, public = stem.with_name(f"{stem.name}.key"), stem.with_name(f"{stem.name}.pub")
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    text = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    _write(key, secret, 0o600)
    try:
        _write(public, f"{text}\n".encode(), 0o644)
    except EdgeloopError:
        key.unlink()
        raise
    return key, public, text


def private(path: Path) -> str:
    """A private key in base64: of a PKCS#8 file, or of one that holds the 32 bytes in base64. Raises EdgeloopError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    if path.suffix == ".pub":
        raise EdgeloopError("this is a public key", where=str(path), mend=f"give {path.with_suffix('.key').name}")
    if not data.lstrip().startswith(b"-----BEGIN"):
        return _base64(data, path)
    try:
        key: Any = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise EdgeloopError("this is no private key", where=str(path), why=str(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise EdgeloopError("this is no Ed25519 key", where=str(path), mend="make one with `edgeloop model keygen`")
    return base64.b64encode(key.private_bytes_raw()).decode()


def public(text: str) -> tuple[str, str]:
    """Id and base64 of a public key, given as a file (`release.pub`) or as base64. Raises EdgeloopError."""
    path = Path(text)
    if not path.is_file():
        try:
            raw(text)
        except ValueError:
            why = "it is neither a file nor 32 bytes in base64"
            raise EdgeloopError("this is no public key", where=text, why=why) from None
        return "key", text
    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise EdgeloopError("this is a private key", where=text, mend=f"give {path.with_suffix('.pub').name}")
    return path.stem, _base64(data, path)


def _base64(data: bytes, path: Path) -> str:
    try:
        text = data.decode("ascii").strip()
        raw(text)
    except ValueError as error:
        raise EdgeloopError("this is no key", where=str(path), why=str(error)) from None
    return text


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EdgeloopError("the key cannot be read", where=str(path), why=error.strerror or str(error)) from None


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise EdgeloopError("there is a key already", where=str(path), mend="choose another name") from None
    except OSError as error:
        raise EdgeloopError("the key cannot be written", where=str(path), why=error.strerror or str(error)) from None
