"""What lies in an upload, by site and date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edgeloop import optional
from edgeloop.data.reader import open_source
from edgeloop.errors import EdgeloopError
from edgeloop.layout import GAPS, RAW

PURPOSE = "compacting"
RECORDS = "records"
KINDS = (RAW, GAPS, RECORDS)
"""Below a prefix; of records alarms and labels, which have `kind=`."""
_WANTED = ("alarms", "labels", "all")


@dataclass(frozen=True, slots=True)
class Object:
    """key: below the upload's prefix; path: of the file system; size: bytes; changed: ns UTC, by the store."""

    key: str
    path: str
    size: int
    changed: int
    parts: dict[str, str]

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0]


@dataclass(slots=True)
class Day:
    """The objects of one site and date."""

    site: str
    date: str
    objects: list[Object] = field(default_factory=list)

    @property
    def state(self) -> dict[str, list[int]]:
        """Size and time of change by key: equal where nothing came or changed."""
        return {o.key: [o.size, o.changed] for o in sorted(self.objects, key=lambda o: o.key)}


def days(source: str) -> tuple[Any, list[Day]]:
    """File system and days of a folder or s3://bucket/prefix, that of `raw` or the one above it."""
    fs = optional.load("pyarrow.fs", PURPOSE)
    filesystem, top = open_source(fs, source)
    top = top.rstrip("/")
    if top.rpartition("/")[2] in KINDS:
        top = top.rpartition("/")[0]
    found: dict[tuple[str, str], Day] = {}
    for item in _objects(fs, filesystem, source, top):
        site, date = item.parts.get("site", ""), item.parts.get("date", "")
        if site and date:
            found.setdefault((site, date), Day(site, date)).objects.append(item)
    return filesystem, [found[key] for key in sorted(found)]


def _objects(fs: Any, filesystem: Any, source: str, top: str) -> Iterator[Object]:
    for kind in KINDS:
        try:
            infos = filesystem.get_file_info(fs.FileSelector(f"{top}/{kind}", recursive=True, allow_not_found=True))
        except OSError as error:
            raise EdgeloopError("cannot list uploaded data", where=source, why=str(error)) from error
        for info in infos:
            if info.type != fs.FileType.File:
                continue
            key = info.path[len(top) + 1 :]
            parts = dict(p.split("=", 1) for p in key.split("/") if p.count("=") == 1)
            if parts.get("kind") in _WANTED if kind == RECORDS else key.endswith(".parquet"):
                yield Object(key, info.path, info.size, info.mtime_ns or 0, parts)
