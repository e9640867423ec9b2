"""Logging in by a plant's own directory: OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636).

The device asks the provider; nothing of it is loaded by the page. A token is believed for what its signature, issuer,
audience, time and nonce say, and for a group that the line gives a role.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edgeloop import decode
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop_web.users import ROLES, Role

PATIENCE: Final = 10.0
LARGEST: Final = 256 << 10
WAITING: Final = 600.0
"""s that a login may take at the provider."""
MOST: Final = 200
SKEW: Final = 60.0
KEYS_OLD: Final = 3600.0
NAMES: Final = ("preferred_username", "email", "name", "sub")


@dataclass(frozen=True, slots=True)
class Settings:
    """issuer: its URL; groups: role → values of `claim` that have it; page: the page's address, as browsers have it."""

    issuer: str
    client: str
    secret: str
    claim: str
    groups: Mapping[Role, frozenset[str]]
    page: str = ""


@dataclass(frozen=True, slots=True)
class _Begun:
    nonce: str
    verifier: str
    browser: str
    back: str
    until: float


class Provider:
    """Safe on any thread; may wait for the network. Raises EdgeloopError with what stands in the way."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.issuer)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise EdgeloopError("not an issuer", where=settings.issuer, mend="https://… (TLS is verified)")
        self.settings = settings
        self._lock = threading.Lock()
        self._begun: dict[str, _Begun] = {}
        self._about: dict[str, Any] = {}
        self._keys: list[dict[str, Any]] = []
        self._read = 0.0

    def begin(self, back: str) -> tuple[str, str]:
        """(where the browser goes, what it is to keep as a cookie). back: the address that the provider returns to."""
        state, verifier, browser, nonce = (secrets.token_urlsafe(32) for _ in range(4))
        challenge = _text(hashlib.sha256(verifier.encode()).digest())
        now = time.monotonic()
        with self._lock:
            alive = {key: one for key, one in self._begun.items() if one.until > now}
            self._begun = dict(list(alive.items())[-MOST + 1 :])
            self._begun[state] = _Begun(nonce, verifier, browser, back, now + WAITING)
        query = {
            "response_type": "code", "scope": "openid profile email", "client_id": self.settings.client,
            "redirect_uri": back, "state": state, "nonce": nonce, "code_challenge": challenge,
            "code_challenge_method": "S256",
        }  # fmt: skip
        address = str(self._described()["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", browser

    def finish(self, state: str, code: str, browser: str) -> tuple[str, Role]:
        """(name, role) of who came back."""
        with self._lock:
            begun = self._begun.pop(state, None)
        if begun is None or begun.until < time.monotonic() or not hmac.compare_digest(begun.browser, browser):
            raise EdgeloopError("this login was not begun here, or took too long", mend="begin anew")
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": begun.back,
            "client_id": self.settings.client, "code_verifier": begun.verifier,
        }  # fmt: skip
        if self.settings.secret:
            form["client_secret"] = self.settings.secret
        answer = _fetch(str(self._described()["token_endpoint"]), urlencode(form).encode())
        claims = self.claims(str(answer.get("id_token", "")), begun.nonce)
        return _name(claims), self._role(claims)

    def claims(self, token: str, nonce: str) -> dict[str, Any]:
        """What an ID token says, if it is to be believed."""
        try:
            head, body, signature = token.split(".")
            header = decode.document(_bytes(head), dict[str, Any], what="a token's header")
            claims = decode.document(_bytes(body), dict[str, Any], what="a token")
            signed = _bytes(signature)
        except (ValueError, DecodeError):
            raise _refused("it is no signed token") from None
        key = self._key(header)
        if not _verified(key, header.get("alg"), f"{head}.{body}".encode(), signed):
            raise _refused("its signature is not the provider's")
        audience = claims.get("aud")
        mine = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
        if claims.get("iss") != self._described()["issuer"]:
            raise _refused("it is another issuer's")
        if self.settings.client not in mine or (len(mine) > 1 and claims.get("azp") != self.settings.client):
            raise _refused("it is for another client")
        ends = claims.get("exp")
        if not isinstance(ends, int | float) or isinstance(ends, bool) or ends < time.time() - SKEW:
            raise _refused("it is too old; look at the device's clock")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise _refused("it is of another login")
        return claims

    # -- inside --------------------------------------------------------------------------------------------------------

    def _role(self, claims: dict[str, Any]) -> Role:
        claim = self.settings.claim
        said = claims.get(claim)
        groups = {group for group in (said if isinstance(said, list) else [said]) if isinstance(group, str)}
        for role in reversed(ROLES):
            wanted = self.settings.groups.get(role, frozenset())
            if groups & wanted or "*" in wanted:
                return role
        raise EdgeloopError("no role here", where=_name(claims), why=f"no group of this line in {claim!r}")

    def _described(self) -> dict[str, Any]:
        with self._lock:
            if not self._about:
                about = _fetch(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
                wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
                if any(not isinstance(about.get(name), str) for name in wanted):
                    raise EdgeloopError("not a provider of OpenID Connect", where=self.settings.issuer)
                if about["issuer"].rstrip("/") != self.settings.issuer.rstrip("/"):
                    raise EdgeloopError("another issuer answers", where=self.settings.issuer, why=about["issuer"][:200])
                secure = urlsplit(self.settings.issuer).scheme == "https"
                if secure and any(urlsplit(about[name]).scheme != "https" for name in wanted):
                    raise EdgeloopError("the provider sends elsewhere without TLS", where=self.settings.issuer)
                self._about = about
            return self._about

    def _key(self, header: dict[str, Any]) -> dict[str, Any]:
        """The provider's key that the header names; keys are read anew when one is not there."""
        for again in (False, True):
            if again or not self._keys or time.monotonic() - self._read > KEYS_OLD:
                found = _fetch(str(self._described()["jwks_uri"])).get("keys")
                self._keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
                self._read = time.monotonic()
            named = [k for k in self._keys if k.get("kid") == header.get("kid") and k.get("use", "sig") == "sig"]
            if named:
                return named[0]
        raise _refused("its key is none of the provider's")


def _verified(key: dict[str, Any], algorithm: Any, signed: bytes, signature: bytes) -> bool:
    """Whether it is RS256 or ES256 by this key (RFC 7518); nothing else is taken."""
    try:
        if algorithm == "RS256" and key.get("kty") == "RSA":
            public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
            public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            return public.key_size >= 2048
        if algorithm == "ES256" and key.get("kty") == "EC" and key.get("crv") == "P-256" and len(signature) == 64:
            curve = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1()).public_key()
            pair = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
            curve.verify(encode_dss_signature(*pair), signed, ec.ECDSA(hashes.SHA256()))
            return True
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return False


def _fetch(address: str, form: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(address, form, {"Accept": "application/json"})
    try:
        with urllib.request.build_opener(_Stays).open(request, timeout=PATIENCE) as answer:
            body = answer.read(LARGEST + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        why = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise EdgeloopError("the provider of logins does not answer", where=address, why=why[:200]) from None
    if len(body) > LARGEST:
        raise EdgeloopError("the provider's answer is too large", where=address)
    return decode.document(body, dict[str, Any], what="an answer of the provider", where=address)


class _Stays(urllib.request.HTTPRedirectHandler):
    """What holds a secret is sent nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _name(claims: dict[str, Any]) -> str:
    """
    >>> _name({"preferred_username": "", "email": "anna@plant.example"}), _name({"sub": "x<y>"})
    ('anna@plant.example', 'xy')
    """
    for claim in NAMES:
        text = re.sub(r"[^\w .@-]", "", str(claims.get(claim) or "")).strip()[:64]
        if text:
            return text
    return "somebody"


def _refused(why: str) -> EdgeloopError:
    return EdgeloopError("the provider's token is not believed", why=why)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """
    >>> _bytes("aGk")
    b'hi'
    """
    if re.fullmatch(r"[\w-]*", text, re.ASCII) is None:
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
