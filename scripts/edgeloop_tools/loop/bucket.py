"""Objects below a prefix of S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath

from edgeloop import optional
from edgeloop.errors import EdgeloopError


def objects(source: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names, and what fetches each, of those that end so. Raises EdgeloopError; so does the fetching."""
    boto3 = optional.load("boto3", "reading pictures from S3")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    client = boto3.client("s3")

    def fetch(key: str) -> bytes:
        try:
            return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except Exception as error:
            raise _no(f"s3://{bucket}/{key}", error) from error

    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                key = str(each["Key"])
                if PurePosixPath(key).suffix.lower() in suffixes:
                    yield key.removeprefix(prefix).strip("/").replace("/", "_"), partial(fetch, key)
    except EdgeloopError:
        raise
    except Exception as error:
        raise _no(source, error) from error


def _no(where: str, error: Exception) -> EdgeloopError:
    return EdgeloopError(
        "cannot read from S3", where=where, why=str(error), mend="run the loop again: it goes on there"
    )
