"""Detached Ed25519 signatures (RFC 8032) of `manifest.json`: 64 bytes in `manifest.sig`.

Keys are the 32 raw bytes in base64, as `openssl pkey -pubout -outform DER | tail -c 32 | base64` prints a public one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.identifiers import Id
from edgeloop.models import optional
from edgeloop.models.errors import ModelRefused, Reason

SIZE: Final = 64
_MODULE: Final = "cryptography.hazmat.primitives.asymmetric.ed25519"


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"models": "for"}):
    """A public key that is trusted for some time, or for some models."""

    key: Annotated[str, Meta(title="Key", description="the public key: 32 bytes in base64")]
    until: Annotated[
        str, Meta(title="Until", description="RFC 3339 date or time from which on it is not trusted; empty: for ever")
    ] = ""
    models: Annotated[
        tuple[Id, ...], Meta(title="For", description="names of the models it may sign; empty: every model")
    ] = ()

    def __post_init__(self) -> None:
        raw(self.key)
        _end(self.until)

    def objection(self, model: str, now: int) -> str:
        """Why it is not trusted with a model at a time (ns UTC), or ""."""
        end = _end(self.until)
        if end is not None and now >= end:
            return f"expired at {self.until}"
        if self.models and model not in self.models:
            return f"is for {', '.join(self.models)}"
        return ""


Keys = Mapping[str, str | Key]
"""By id: what one must have signed."""


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


def verify(
    manifest: bytes, signature: bytes | None, keys: Keys, model: Callable[[], str] = str, now: int | None = None
) -> str:
    """The id of the key that signed. model: says whose manifest it is, asked once a key fits. now: ns UTC, by default
    this moment.

    Raises ModelRefused where no key that is trusted with the model did, ModelError where `cryptography` is not
    installed."""
    known = ", ".join(sorted(keys))
    if not signature:
        raise ModelRefused("the package is not signed", Reason.UNSIGNED, mend=f"sign it with a key among: {known}")
    ed25519 = optional.load(_MODULE, "verifying the signature of a model")
    invalid = optional.load("cryptography.exceptions", "verifying the signature of a model").InvalidSignature
    objections: list[str] = []
    for name, entry in keys.items():
        key = Key(key=entry) if isinstance(entry, str) else entry
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(raw(key.key)).verify(signature, manifest)
        except invalid:
            continue
        objection = key.objection(model(), clock.now() if now is None else now)
        if not objection:
            return name
        objections.append(f"{name} {objection}")
    if objections:
        why = "; ".join(objections)
        raise ModelRefused("the key that signed the package is not trusted with it", Reason.KEY, why=why)
    why = f"no key fits among: {known}"
    raise ModelRefused("the signature of the package is not valid", Reason.SIGNATURE, why=why)


def _end(until: str) -> int | None:
    """ns UTC of a date (its beginning) or time; UTC where it names no zone.

    >>> _end("1970-01-02")
    86400000000000
    """
    if not until:
        return None
    try:
        time = datetime.fromisoformat(until)
    except ValueError:
        raise ValueError(f"until: {until!r} is neither a date nor a time; write it as 2027-06-30") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()) * clock.NS
