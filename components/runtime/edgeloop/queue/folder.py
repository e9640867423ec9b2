"""Names and places of upload queues."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop.durable import Listing
from edgeloop.errors import EdgeloopError

DOCUMENT: Final = "entry.json"
RECORDS: Final = ".jsonl"

_NAME = re.compile(r"(\d{12})-([a-z0-9][a-z0-9_-]{0,31})(\.jsonl)?")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,127}")


class QueueError(EdgeloopError):
    """The upload queue takes nothing, or cannot be read."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """`entry.json`. name: of the file; time: ns UTC; document: what the component says about the file."""

    kind: str
    name: str
    time: int
    document: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a queue. `id` is the name on the disk; numbers rise with time."""

    id: str
    number: int
    kind: str
    form: Literal["records", "file"]


def parse(name: str) -> Entry | None:
    """
    >>> parse("000000000007-alarms.jsonl")
    Entry(id='000000000007-alarms.jsonl', number=7, kind='alarms', form='records')
    >>> parse("lost+found")
    """
    match = _NAME.fullmatch(name)
    return Entry(name, int(match[1]), match[2], "records" if match[3] else "file") if match else None


def entries(folder: Path) -> list[Entry]:
    """Oldest first; none where there is no folder."""
    return parsed(listed(folder, Listing(folder)))


def listed(folder: Path, listing: Listing) -> tuple[str, ...]:
    """Raises QueueError."""
    try:
        return listing.names()
    except OSError as error:
        raise QueueError("cannot read an upload queue", where=str(folder), why=error.strerror or "") from error


def parsed(names: Iterable[str]) -> list[Entry]:
    """Oldest first."""
    return sorted(filter(None, map(parse, names)), key=lambda entry: entry.number)


def is_file_name(name: str) -> bool:
    """
    >>> is_file_name("line1_000042.jpg"), is_file_name("../x"), is_file_name("entry.json")
    (True, False, False)
    """
    return _FILE.fullmatch(name) is not None and name != DOCUMENT


def folder(root: Path, component: str) -> Path:
    """The queue of a component below the root of a nucleus.

    >>> str(folder(Path("/greengrass/v2"), "io.edgeloop.CameraInference"))
    '/greengrass/v2/work/io.edgeloop.CameraInference/upload'
    """
    return root / "work" / component / "upload"
