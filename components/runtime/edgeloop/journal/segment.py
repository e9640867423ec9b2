"""Segments: names, positions, what a segment holds, and the footer that seals it."""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgeloop.durable import Listing
from edgeloop.durable.listing import names as folder_names
from edgeloop.errors import EdgeloopError, WireError
from edgeloop.wire.batch import Batch, Dropped, Item, RecordBatch
from edgeloop.wire.codec import decode_any, dump_map
from edgeloop.wire.frame import PREFIX, next_frame, wrap

_NAME = re.compile(r"(\d{12})-([0-9a-f]{16})\.cborseq")
_RANGES = 64
FOOTER: Final = "footer"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalError(EdgeloopError):
    """The journal cannot be read or written. Of an append that failed, the first `written` items are in the journal."""

    written = 0


class JournalFull(JournalError):
    """No room on the disk. What is in the journal of the append is at `span`."""

    def __init__(self, span: Span, written: int, *, where: str, why: str) -> None:
        super().__init__("the journal has no room", where=where, why=why, mend="free disk space or lower its budget")
        self.span, self.written = span, written


class Position(NamedTuple):
    """A place between two items; ordered as the journal is."""

    segment: str
    offset: int


START = Position("", 0)
"""Before everything."""


class Span(NamedTuple):
    """What one append wrote: bytes [start, end) of a segment."""

    segment: str
    start: int
    end: int

    @property
    def position(self) -> Position:
        return Position(self.segment, self.end)


def name(sequence: int, epoch: int) -> str:
    """
    >>> name(3, 0xAB)
    '000000000003-00000000000000ab.cborseq'
    """
    return f"{sequence:012d}-{epoch:016x}.cborseq"


def sequence(segment: str) -> int:
    return int(segment[:12])


def epoch(segment: str) -> int:
    return int(segment[13:29], 16)


def is_segment(segment: str) -> bool:
    return _NAME.fullmatch(segment) is not None


def segments(directory: Path, listing: Listing | None = None) -> list[str]:
    """Names of files, oldest first; none where there is no folder yet."""
    try:
        names = listing.names() if listing is not None else folder_names(directory, files=True)
    except OSError as error:
        raise unreadable(directory, error) from error
    return [entry for entry in names if is_segment(entry)]


def unreadable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        "cannot read the journal",
        where=str(path),
        why=error.strerror or str(error),
        mend=f"let user {os.geteuid()} be the one that writes it",
    )


@dataclass(slots=True)
class Contents:
    """What a segment holds: ranges [epoch, first, last] by stream, records of what was dropped, from when to when."""

    ranges: dict[str, list[list[int]]] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    first_time: int | None = None
    last_time: int | None = None

    def add(self, item: Item) -> None:
        if isinstance(item, Dropped):
            self.dropped.append(item)
            return
        if not len(item):
            return
        first, last, epoch = int(item.index), int(item.index) + len(item) - 1, int(item.epoch)
        found = self.ranges.setdefault(item.stream, [])
        if found and found[-1][0] == epoch and (found[-1][2] + 1 == first or len(found) >= _RANGES):
            found[-1][2] = max(last, found[-1][2])
        else:
            found.append([epoch, first, last])
        begin, end = (
            (int(item.time), int(item.end)) if isinstance(item, Batch) else (int(item.times[0]), int(item.times[-1]))
        )
        self.first_time = begin if self.first_time is None else min(begin, self.first_time)
        self.last_time = end if self.last_time is None else max(end, self.last_time)


class Latest(dict[str, tuple[int, int]]):
    """(epoch, last index) by stream."""

    def add(self, item: Item) -> None:
        if isinstance(item, Batch | RecordBatch) and len(item):
            self[item.stream] = (int(item.epoch), int(item.index) + len(item) - 1)


@dataclass(slots=True)
class Footer:
    """The last frame of a sealed segment. `latest` speaks of this and all segments before."""

    contents: Contents
    latest: Latest
    offset: int = 0

    def encode(self) -> bytes:
        """A frame whose last five bytes are its own length as uint32, so that it is found from the end of the file."""
        contents = self.contents
        fields: dict[str, Any] = {
            "type": FOOTER,
            "streams": contents.ranges,
            "latest": {stream: list(value) for stream, value in self.latest.items()},
            "dropped": [[d.stream, d.epoch, d.first, d.last, d.time] for d in contents.dropped],
            "first_time": contents.first_time,
            "last_time": contents.last_time,
            "length": 0xFFFFFFFF,
        }
        body = dump_map(fields)
        body = body[:-4] + (PREFIX + len(body)).to_bytes(4, "big")
        return wrap([body]) + body

    @classmethod
    def decode(cls, fields: dict[str, Any], offset: int) -> Footer:
        try:
            return cls(
                Contents(
                    {str(s): [[int(v) for v in r] for r in ranges] for s, ranges in fields["streams"].items()},
                    [Dropped(*values) for values in fields["dropped"]],
                    fields["first_time"],
                    fields["last_time"],
                ),
                Latest({str(s): (int(v[0]), int(v[1])) for s, v in fields["latest"].items()}),
                offset,
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise WireError("a footer is not whole", why=str(error)) from error


def read_footer(path: Path) -> Footer | None:
    """The footer of a sealed segment, from its end; None where it has none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        end = os.pread(fd, 5, max(0, size - 5))
        length = int.from_bytes(end[1:], "big")
        if len(end) < 5 or end[0] != 0x1A or not PREFIX < length <= size:
            return None
        data = os.pread(fd, length, size - length)
    finally:
        os.close(fd)
    try:
        item, used = decode_any(memoryview(data))
        if used == length and isinstance(item, dict) and item.get("type") == FOOTER:
            return Footer.decode(item, size - length)
    except WireError:
        return None
    return None


def scan(path: Path, latest: Latest) -> tuple[Contents, int, int]:
    """What the good frames of a file hold, where the last one ends, and how many bytes before that are none; `latest`
    is brought up to date."""
    contents, at, end, bad = Contents(), 0, 0, 0
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return contents, 0, 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            while at < len(view):
                try:
                    item, after = decode_any(view, at)
                except WireError:
                    at = next_frame(view, at + 1)
                    if at < 0:
                        break
                    continue
                if isinstance(item, dict):
                    if item.get("type") == FOOTER:
                        break
                else:
                    contents.add(item)
                    latest.add(item)
                del item
                bad += at - end
                at = end = after
    return contents, end, bad


def union(records: Iterable[Dropped]) -> list[Dropped]:
    """Overlapping and neighbouring ranges of a stream and epoch as one.

    >>> union([Dropped("a", 1, 10, 19, 7), Dropped("b", 1, 0, 0, 5), Dropped("a", 1, 0, 9, 5)])
    [Dropped(stream='a', epoch=1, first=0, last=19, time=7), Dropped(stream='b', epoch=1, first=0, last=0, time=5)]
    """
    found: list[Dropped] = []
    for new in sorted(records, key=lambda record: (record.stream, record.epoch, record.first)):
        old = found[-1] if found else None
        if old and (old.stream, old.epoch) == (new.stream, new.epoch) and new.first <= old.last + 1:
            found[-1] = Dropped(old.stream, old.epoch, old.first, max(old.last, new.last), max(old.time, new.time))
        else:
            found.append(new)
    return found
