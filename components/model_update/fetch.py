"""Packages from where they are to where they can be read."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from edgeloop.models import ModelError, optional
from edgeloop.models.package import room

_CHUNK: Final = 1 << 20
_PURPOSE: Final = "fetching a model from S3"
_TIMEOUT: Final = 20
"""Seconds without a byte."""


def fetch(uri: str, digest: str, into: Path, limit: int, stopped: Callable[[], bool], bandwidth: int = 0) -> Path:
    """The package as a file: where it is already, or below `into`, where what has come of this digest is gone on with.
    bandwidth: bytes a second, 0: any. Raises ModelError; nothing here is final."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if not path.is_file():
            raise ModelError("there is no model package", where=str(path), mend="correct uri, or put it there")
        return path
    part = into / f"{digest[:16]}.part"
    copy = _Copy(into, part, limit, stopped, bandwidth)
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        if parts.scheme == "https":
            _from_https(uri, copy)
        else:
            _from_s3(parts.netloc, unquote(parts.path.removeprefix("/")), copy)
    except OSError as error:
        raise ModelError("cannot fetch the model", where=str(part), why=error.strerror or str(error)) from error
    return part


def _from_https(uri: str, copy: _Copy) -> None:
    """By way of the proxy that the environment names; certificates are verified."""
    request = urllib.request.Request(uri, headers={"Range": f"bytes={copy.have}-"} if copy.have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            if urlsplit(answer.url).scheme != "https":
                raise ModelError("cannot fetch the model", where=uri, why="it was sent on to an address without TLS")
            length = answer.headers.get("Content-Length")
            if length is None or not length.isdigit():
                raise ModelError("cannot fetch the model", where=uri, why="the server does not say how long it is")
            copy.take(answer, int(length), answer.status == HTTPStatus.PARTIAL_CONTENT, uri)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ModelError("cannot fetch the model", where=uri, why=f"{error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        why = str(getattr(error, "reason", error)) or type(error).__name__
        raise ModelError("cannot fetch the model", where=uri, why=why) from error


def _from_s3(bucket: str, key: str, copy: _Copy) -> None:
    """Credentials and endpoint are those of the environment, as boto3 finds them."""
    boto3, config = optional.load("boto3", _PURPOSE), optional.load("botocore.config", _PURPOSE)
    errors = optional.load("botocore.exceptions", _PURPOSE)
    where = f"s3://{bucket}/{key}"
    settings = config.Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"max_attempts": 2})
    try:
        rest = {"Range": f"bytes={copy.have}-"} if copy.have else {}
        answer = boto3.client("s3", config=settings).get_object(Bucket=bucket, Key=key, **rest)
        copy.take(answer["Body"], int(answer["ContentLength"]), "ContentRange" in answer, where)
    except errors.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ModelError("cannot fetch the model", where=where, why=str(error)) from error
    except errors.BotoCoreError as error:
        raise ModelError("cannot fetch the model", where=where, why=str(error)) from error


class _Copy:
    """What has come of a package, and what is to come: gone on with where it stopped. All of it that has come may be
    another file's: its digest says so."""

    def __init__(self, into: Path, part: Path, limit: int, stopped: Callable[[], bool], bandwidth: int) -> None:
        self._into, self._part, self._limit, self._stopped = into, part, limit, stopped
        self._bandwidth = bandwidth
        self.have = part.stat().st_size if part.exists() else 0

    def take(self, body: Any, length: int, rest: bool, where: str) -> None:
        """length: bytes that come. rest: whether they go behind what is there. Raises ModelError, OSError."""
        have = self.have if rest else 0
        size = have + length
        if size > self._limit:
            why = f"{size:,} B of at most {self._limit:,}"
            raise ModelError("the model package is too large", where=where, why=why)
        room(self._into, 2 * size - have)
        with open(self._part, "ab" if have else "wb") as out:
            self._copy(body, out, length, where)

    def _copy(self, body: Any, out: BinaryIO, size: int, where: str) -> None:
        left, began = size, time.monotonic()
        chunk = min(_CHUNK, max(1024, self._bandwidth // 4)) if self._bandwidth else _CHUNK
        while left and not self._stopped():
            data = body.read(min(left, chunk))
            if not data:
                raise ModelError("the model arrived cut off", where=where, why=f"{left:,} of {size:,} B are missing")
            out.write(data)
            left -= len(data)
            if self._bandwidth:
                early = (size - left) / self._bandwidth - (time.monotonic() - began)
                time.sleep(max(0.0, early))
        if left:
            raise ModelError("fetching was interrupted", where=where)
        out.flush()
        os.fsync(out.fileno())
