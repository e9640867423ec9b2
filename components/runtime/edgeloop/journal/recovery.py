"""Taking over a journal: cut what a dead writer left half-written, seal it, and learn where every stream ended."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edgeloop.journal.segment import Contents, Footer, Latest, read_footer, scan, segments
from edgeloop.wire.batch import Dropped

_log = logging.getLogger("edgeloop.journal")


@dataclass(frozen=True, slots=True)
class Inheritance:
    """sizes: bytes by segment, oldest first; latest: (epoch, last index) by stream; dropped: all records there are."""

    sizes: dict[str, int]
    latest: Latest
    dropped: list[Dropped]


def recover(directory: Path) -> Inheritance:
    """Call only while holding the journal's lock: every segment found is then of a dead writer."""
    names = segments(directory)
    latest = Latest()
    dropped: list[Dropped] = []
    for segment in names:
        footer = read_footer(directory / segment)
        if footer is not None:
            latest.update(footer.latest)
            dropped += footer.contents.dropped
        else:
            dropped += _seal(directory / segment, latest).dropped
    return Inheritance({segment: (directory / segment).stat().st_size for segment in names}, latest, dropped)


def _seal(path: Path, latest: Latest) -> Contents:
    contents, end, bad = scan(path, latest)
    if bad:
        _log.warning("%d B in the middle of %s are damaged; %s", bad, path.name, _gone(contents))
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        excess = os.fstat(fd).st_size - end
        if excess:
            os.ftruncate(fd, end)
            _log.warning("cut %d B of an unfinished write off %s", excess, path.name)
        footer = Footer(contents, latest).encode()
        try:
            written = os.pwrite(fd, footer, end)
            if written < len(footer):
                os.ftruncate(fd, end)
            os.fdatasync(fd)
        except OSError as error:
            os.ftruncate(fd, end)
            _log.warning("cannot seal %s: %s", path.name, error.strerror)
    finally:
        os.close(fd)
    return contents


def _gone(contents: Contents) -> str:
    """How many samples of which stream are missing between others."""
    lost = {
        stream: sum(b[1] - a[2] - 1 for a, b in pairwise(ranges) if a[0] == b[0])
        for stream, ranges in contents.ranges.items()
    }
    named = ", ".join(f"{count} of {stream}" for stream, count in sorted(lost.items()) if count)
    return f"gone are samples: {named}" if named else "no sample between others is missing"
