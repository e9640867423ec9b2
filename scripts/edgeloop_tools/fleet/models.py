"""`fleet models`: which model serves where, of the records that devices send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from edgeloop import clock
from edgeloop.errors import EdgeloopError

_KIND = "/kind=models/"


class _Record(msgspec.Struct):
    device: str
    document: dict[str, Any]


def newest(uploads: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest record of each (device, model). Raises EdgeloopError where there is none."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in _lines(uploads):
        try:
            record = msgspec.json.decode(line, type=_Record)
        except msgspec.DecodeError:
            continue
        document = record.document
        key = (record.device, str(document.get("name", "")))
        if key not in found or document.get("time", 0) >= found[key].get("time", 0):
            found[key] = document
    if not found:
        raise EdgeloopError("no records of models", where=uploads, mend="give the prefix that StreamUpload writes to")
    return found


def table(found: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """A line for each device and model."""
    rows = [("device", "model", "serves", "state", "since", "key", "why")]
    for (device, name), document in sorted(found.items()):
        active = document.get("active") or {}
        wanted, serves = document.get("desired", ""), str(active.get("version", "default"))
        if wanted and wanted != active.get("digest"):
            serves += f" (wanted {wanted[:12]})"
        since = clock.rfc3339(int(document["since"]))[:19] if document.get("since") else ""
        state = f"{document.get('state', '')}{', held ' + document['held'] if document.get('held') else ''}"
        rows.append((device, name, serves, state, since, str(document.get("key", "")), str(document.get("why", ""))))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _lines(uploads: str) -> Iterator[bytes]:
    parts = urlsplit(uploads)
    if parts.scheme == "s3":
        yield from _objects(parts.netloc, unquote(parts.path).strip("/"))
        return
    folder = Path(uploads)
    if not folder.is_dir():
        raise EdgeloopError("there is no such folder", where=uploads)
    for path in sorted(folder.rglob("*.jsonl")):
        if _KIND in path.as_posix():
            yield from path.read_bytes().splitlines()


def _objects(bucket: str, prefix: str) -> Iterator[bytes]:
    from edgeloop_tools.fleet.account import Account, speaking

    with speaking():
        s3 = Account(None).s3
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                if _KIND in f"/{entry['Key']}":
                    yield from s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().splitlines()
