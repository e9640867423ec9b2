"""Packages from where they are to where they can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from edgeloop.models import ModelError, optional
from edgeloop.models.package import room

_CHUNK: Final = 1 << 20
_PURPOSE: Final = "fetching a model from S3"
_TIMEOUT: Final = 20
"""Seconds without a byte."""


def fetch(uri: str, digest: str, into: Path, limit: int, stopped: Callable[[], bool]) -> Path:
    """The package as a file: where it is already, or below `into`, where what has come of this digest is gone on with.
    Raises ModelError; nothing here is final."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if not path.is_file():
            raise ModelError("there is no model package", where=str(path), mend="correct uri, or put it there")
        return path
    return _from_s3(parts.netloc, unquote(parts.path.removeprefix("/")), digest, into, limit, stopped)


def _from_s3(bucket: str, key: str, digest: str, into: Path, limit: int, stopped: Callable[[], bool]) -> Path:
    """Credentials and endpoint are those of the environment, as boto3 finds them."""
    boto3, config = optional.load("boto3", _PURPOSE), optional.load("botocore.config", _PURPOSE)
    errors = optional.load("botocore.exceptions", _PURPOSE)
    where = f"s3://{bucket}/{key}"
    settings = config.Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"max_attempts": 2})
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = into / f"{digest[:16]}.part"
    try:
        have = part.stat().st_size if part.exists() else 0
        rest = {"Range": f"bytes={have}-"} if have else {}
        answer = boto3.client("s3", config=settings).get_object(Bucket=bucket, Key=key, **rest)
        if "ContentRange" not in answer:
            have = 0
        size = have + int(answer["ContentLength"])
        if size > limit:
            raise ModelError("the model package is too large", where=where, why=f"{size:,} B of at most {limit:,}")
        room(into, 2 * size - have)
        with open(part, "ab" if have else "wb") as out:
            _copy(answer["Body"], out, size - have, where, stopped)
    except errors.ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 416:
            return part  # all of it has come: its digest says whether it is what is wanted
        raise ModelError("cannot fetch the model", where=where, why=str(error)) from error
    except errors.BotoCoreError as error:
        raise ModelError("cannot fetch the model", where=where, why=str(error)) from error
    except OSError as error:
        raise ModelError("cannot fetch the model", where=str(part), why=error.strerror or str(error)) from error
    return part


def _copy(body: Any, out: BinaryIO, size: int, where: str, stopped: Callable[[], bool]) -> None:
    left = size
    while left and not stopped():
        data = body.read(min(left, _CHUNK))
        if not data:
            raise ModelError("the model arrived cut off", where=where, why=f"{left:,} of {size:,} B are missing")
        out.write(data)
        left -= len(data)
    if left:
        raise ModelError("fetching was interrupted", where=where)
    out.flush()
    os.fsync(out.fileno())
