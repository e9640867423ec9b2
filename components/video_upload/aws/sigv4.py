"""AWS Signature Version 4 of one request."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from video_upload.aws.credentials import Credentials

EMPTY: Final = hashlib.sha256(b"").hexdigest()


def signed(
    method: str,
    url: str,
    service: str,
    region: str,
    credentials: Credentials,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    time: int,
) -> dict[str, str]:
    """All headers to be sent with the request, its signature among them.

    body: what is signed; of a stream whose bytes are not known yet, nothing (so AWS's own producers do it). time: ns
    UTC. Every header given is signed, and `host`.
    """
    parts = urlsplit(url)
    moment = datetime.fromtimestamp(time // 1_000_000_000, UTC)
    stamp, day = f"{moment:%Y%m%dT%H%M%SZ}", f"{moment:%Y%m%d}"
    found = {name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()}
    found |= {"host": parts.netloc, "x-amz-date": stamp}
    if credentials.token:
        found["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(found))
    digest = hashlib.sha256(body).hexdigest() if body else EMPTY
    query = "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(parse_qsl(parts.query, True))
    )
    lines = "".join(f"{name}:{found[name]}\n" for name in sorted(found))
    path = quote(parts.path or "/", safe="/-_.~")
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    found["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return found
