"""Taking over a journal: cut what a dead writer left half-written, seal it, and learn where every stream ended."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from edgeloop.errors import WireError
from edgeloop.journal.retention import Problem
from edgeloop.journal.segment import FOOTER, Contents, Footer, Latest, read_footer, segments
from edgeloop.wire.codec import decode_any


@dataclass(frozen=True, slots=True)
class Inheritance:
    """sizes: bytes by segment, oldest first; latest: (epoch, last index) by stream."""

    sizes: dict[str, int]
    latest: Latest


def recover(directory: Path, on_problem: Problem) -> Inheritance:
    """Call only while holding the journal's lock: every segment found is then of a dead writer."""
    names = segments(directory)
    unsealed: list[str] = []
    latest = Latest()
    for segment in reversed(names):
        footer = read_footer(directory / segment)
        if footer is not None:
            latest = Latest(footer.latest)
            break
        unsealed.insert(0, segment)
    for segment in unsealed:
        _seal(directory / segment, latest, on_problem)
    return Inheritance({segment: (directory / segment).stat().st_size for segment in names}, latest)


def _seal(path: Path, latest: Latest, on_problem: Problem) -> None:
    contents, end = scan(path, latest)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        excess = os.fstat(fd).st_size - end
        if excess:
            os.ftruncate(fd, end)
            on_problem("journal.recovery", f"cut {excess} B of an unfinished write off {path.name}")
        footer = Footer(contents, latest).encode()
        try:
            written = os.pwrite(fd, footer, end)
            if written < len(footer):
                os.ftruncate(fd, end)
            os.fdatasync(fd)
        except OSError as error:
            os.ftruncate(fd, end)
            on_problem("journal.recovery", f"cannot seal {path.name}: {error.strerror}")
    finally:
        os.close(fd)


def scan(path: Path, latest: Latest) -> tuple[Contents, int]:
    """What the whole frames from the start of a file hold, and where they end; `latest` is brought up to date."""
    contents, at = Contents(), 0
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return contents, 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            while at < len(view):
                try:
                    item, end = decode_any(view, at)
                except WireError:
                    break
                if isinstance(item, dict):
                    if item.get("type") == FOOTER:
                        break
                else:
                    contents.add(item)
                    latest.add(item)
                del item
                at = end
    return contents, at
