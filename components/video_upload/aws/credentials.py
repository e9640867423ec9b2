"""Credentials of the device's role: of TokenExchangeService, asked for when they are needed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from edgeloop import clock, decode
from edgeloop.errors import DecodeError, EdgeloopError
from video_upload.aws.http import Connection, Unreachable

URI, TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
EARLY: Final = 300.0
"""s before they expire that others are asked for."""
AGAIN: Final = 5.0
TIMEOUT: Final = 10.0
_NONE: Final = "TokenExchangeService gives no credentials"


@dataclass(frozen=True, slots=True)
class Credentials:
    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


class _Given(msgspec.Struct):
    access: str = msgspec.field(name="AccessKeyId")
    secret: str = msgspec.field(name="SecretAccessKey")
    token: str = msgspec.field(name="Token", default="")
    expires: str = msgspec.field(name="Expiration", default="")


class CredentialSource:
    """Safe on any thread. The variables are read at each request: a nucleus may give a new token."""

    def __init__(
        self,
        environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
        ask: Callable[[], object] = lambda: None,
    ) -> None:
        """ask: puts what the nucleus has at present into the environment."""
        self._environment, self._renew = environment, ask
        self._lock = threading.Lock()
        self._known: Credentials | None = None
        self._until = float("-inf")

    def get(self) -> Credentials:
        """Raises EdgeloopError where there are none."""
        with self._lock:
            if self._known is not None and time.monotonic() < self._until:
                return self._known
            found, life = self._ask()
            self._known, self._until = found, time.monotonic() + max(life - EARLY, min(life / 2, AGAIN))
            return found

    def forget(self) -> None:
        """They were refused: the next request asks for others."""
        with self._lock:
            self._known = None

    def _ask(self) -> tuple[Credentials, float]:
        self._renew()
        environment = self._environment()
        uri = environment.get(URI, "")
        if not uri:
            key, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
            if key and secret:
                return Credentials(key, secret, environment.get("AWS_SESSION_TOKEN", "")), 3600.0
            mend = "deploy aws.greengrass.TokenExchangeService and give the core device a role alias"
            raise EdgeloopError("there are no credentials", why=f"{URI} is not set", mend=mend)
        connection = Connection(uri, timeout=TIMEOUT)
        try:
            status, body = connection.request("GET", uri, {"Authorization": environment.get(TOKEN, "")})
        except Unreachable as error:
            raise EdgeloopError("TokenExchangeService does not answer", why=error.why) from None
        finally:
            connection.close()
        if status != 200:
            raise EdgeloopError(
                "TokenExchangeService gives no credentials", why=f"HTTP {status}", mend="look at its log"
            )
        try:
            given = decode.document(body, _Given, what="credentials")
            life = _life(given.expires)
        except (DecodeError, ValueError):
            raise EdgeloopError(
                "TokenExchangeService gives no credentials", why="its answer is not understood"
            ) from None
        return Credentials(given.access, given.secret, given.token), life


def _life(expires: str) -> float:
    """s; the expiry is a moment of UTC, and taken once as a span."""
    if not expires:
        return 900.0
    ends = datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp()
    return max(0.0, ends - clock.now() / clock.NS)


def region(environment: Mapping[str, str] | None = None) -> str:
    """Raises EdgeloopError."""
    known = os.environ if environment is None else environment
    found = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION")
    if not found:
        raise EdgeloopError("the region is not known", why="AWS_REGION is not set")
    return found


def service_url(service: str, host: str, environment: Mapping[str, str] | None = None) -> str:
    """Of a service's API: AWS's, or what AWS's own SDKs would take from the environment.

    >>> service_url("KINESIS_VIDEO", "kinesisvideo", {"AWS_REGION": "eu-central-1"})
    'https://kinesisvideo.eu-central-1.amazonaws.com'
    """
    known = os.environ if environment is None else environment
    named = known.get(f"AWS_ENDPOINT_URL_{service}") or known.get("AWS_ENDPOINT_URL")
    if named:
        return named.rstrip("/")
    where = region(known)
    top = "amazonaws.com.cn" if where.startswith("cn-") else "amazonaws.com"
    return f"https://{host}.{where}.{top}"
