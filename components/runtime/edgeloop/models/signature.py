"""Detached Ed25519 signatures (RFC 8032) of `manifest.json`: 64 bytes in `manifest.sig`.

Keys are the 32 raw bytes in base64, as `openssl pkey -pubout -outform DER | tail -c 32 | base64` prints a public one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from edgeloop.models import optional
from edgeloop.models.errors import ModelRefused

SIZE = 64
_MODULE = "cryptography.hazmat.primitives.asymmetric.ed25519"


def raw(key: str) -> bytes:
    """The bytes of a key. Raises ValueError.

    >>> len(raw("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
    32
    """
    try:
        data = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a key is 32 bytes in base64: {error}") from None
    if len(data) != 32:
        raise ValueError(f"a key is 32 bytes in base64, not {len(data)}")
    return data


def sign(manifest: bytes, private: str) -> bytes:
    """The signature by a private key. Raises ModelError where `cryptography` is not installed."""
    ed25519 = optional.load(_MODULE, "signing a model")
    return bytes(ed25519.Ed25519PrivateKey.from_private_bytes(raw(private)).sign(manifest))


def verify(manifest: bytes, signature: bytes | None, keys: Mapping[str, str]) -> str:
    """The id of the key that signed. Raises ModelRefused where none of them did, ModelError where `cryptography` is not
    installed."""
    known = ", ".join(sorted(keys))
    if not signature:
        raise ModelRefused("the package is not signed", mend=f"sign it with a key among: {known}")
    ed25519 = optional.load(_MODULE, "verifying the signature of a model")
    invalid = optional.load("cryptography.exceptions", "verifying the signature of a model").InvalidSignature
    for name, key in keys.items():
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(raw(key)).verify(signature, manifest)
        except invalid:
            continue
        return name
    raise ModelRefused("the signature of the package is not valid", why=f"no key fits among: {known}")
