"""Reading a journal, sealed or live, from any process of the same user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgeloop.durable import Listing
from edgeloop.errors import WireError
from edgeloop.journal.segment import FOOTER, START, Position, read_footer, segments, sequence, unreadable
from edgeloop.wire.batch import Dropped, Item
from edgeloop.wire.codec import decode_any
from edgeloop.wire.frame import PREFIX, Truncated, next_frame, search, size

MIB = 1 << 20
_PATIENCE = 3
_SEARCHED = 1 << 20


class JournalReader:
    """Items in order from `position` (None: from the oldest), each with the position after it.

    gaps: how often something could not be read, gap: the last time in words; lost: samples by stream that are missing
    between others of an epoch; began_anew: how often the journal was another one, with places before those read.

    A segment that is gone is a gap, counted, and reading resumes at the `resume`: "oldest" segment there is, or the
    "tail". Arrays are views of a chunk of about `chunk` bytes, which lives as long as one of them does.
    """

    def __init__(
        self,
        directory: Path,
        position: Position | None = None,
        *,
        resume: Literal["oldest", "tail"] = "oldest",
        chunk: int = 256 << 10,
    ) -> None:
        self.directory, self._resume, self._chunk = directory, resume, chunk
        self._listing = Listing(directory, files=True)
        self.gaps = 0
        self.gap = ""
        self.began_anew = 0
        self.lost: dict[str, int] = {}
        self._next_index: dict[str, tuple[int, int]] = {}
        self._position = position or START
        self._fd = -1
        self._open_name = ""
        self._sealed = False
        self._bad: tuple[Position, int, int] = (START, 0, 0)

    @property
    def position(self) -> Position:
        """After the newest item returned."""
        return self._position

    @property
    def newer(self) -> bool:
        """Whether there are segments after that of the position."""
        names = segments(self.directory, self._listing)
        return bool(names) and names[-1] > self._position.segment

    def seek(self, position: Position) -> None:
        self._position = position
        self._sealed = False

    def read(self, until: Position | None = None, limit_bytes: int = 64 * MIB) -> Iterator[tuple[Item, Position]]:
        """What is there now, up to `until` and about `limit_bytes`; of a live segment only whole frames."""
        budget = limit_bytes
        if until is not None and until <= self._position and not self._there():
            self._jump()
        while budget > 0 and (until is None or self._position < until):
            before = self._position
            yield from self._read_segment(until, budget)
            if self._position.segment == before.segment:
                budget -= self._position.offset - before.offset
            if self._position == before and not self._next():
                return

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._open_name = -1, ""

    def _read_segment(self, until: Position | None, budget: int) -> Iterator[tuple[Item, Position]]:
        """Items of the segment at the position, at most a chunk or one frame."""
        if self._sealed or not self._open():
            return
        segment, offset = self._position
        view = self._chunk_at(offset, max(PREFIX, min(self._chunk, budget)))
        at = 0
        while at < len(view):
            try:
                item, end = decode_any(view, at)
            except Truncated:
                if at == 0 and len(view) >= PREFIX:
                    whole = self._chunk_at(offset, size(view))
                    if len(whole) >= size(view) > len(view):
                        view = whole
                        continue
                    self._damaged("a frame is cut off", grown=True)
                return
            except WireError as error:
                if at == 0:
                    self._damaged(error.what)
                return
            if isinstance(item, dict):
                if item.get("type") == FOOTER:
                    self._sealed = True
                    return
                self._position = Position(segment, offset + end)
            else:
                self._position = position = Position(segment, offset + end)
                self._follow(item)
                yield item, position
                if self._position != position or (until is not None and position >= until):
                    return
            at = end

    def _chunk_at(self, offset: int, length: int) -> memoryview:
        try:
            there = os.fstat(self._fd).st_size - offset
            return memoryview(os.pread(self._fd, min(length, there), offset) if there > 0 else b"")
        except OSError as error:
            raise unreadable(self.directory / self._open_name, error) from error

    def _open(self) -> bool:
        """The segment at the position, or the one after a gap; false where there is none."""
        while True:
            segment = self._position.segment
            if segment and segment == self._open_name:
                return True
            self.close()
            if not segment:
                names = segments(self.directory, self._listing)
                if not names:
                    return False
                self._position = Position(names[0], 0)
                continue
            try:
                self._fd = os.open(self.directory / segment, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not self._jump():
                    return False
            except OSError as error:
                raise unreadable(self.directory / segment, error) from error
            else:
                self._open_name = segment
                return True

    def _jump(self) -> bool:
        names = segments(self.directory, self._listing)
        if not names:
            return False
        lost = self._position.segment
        newer = [segment for segment in names if segment > lost]
        self._count_gap(f"{lost} is gone")
        self._position = tail(self.directory) if self._resume == "tail" else Position((newer or names)[0], 0)
        if self._position.segment < lost:
            self.began_anew += 1
        self._sealed = False
        return True

    def _next(self) -> bool:
        """To the segment after this one, once this one can grow no more."""
        segment, offset = self._position
        names = segments(self.directory, self._listing)
        if segment and names and segment not in names and not self._sealed:
            return self._jump()
        newer = [other for other in names if other > segment]
        if not segment or not newer:
            return False
        if not self._sealed:
            rest = self._chunk_at(offset, PREFIX) if segment == self._open_name else memoryview(b"")
            if len(rest):
                if (self._bad[0] != self._position and self._whole_frame(rest)) or self._pass_over():
                    return True
                self._count_gap(f"{segment} is damaged from byte {offset} to its end")
        if sequence(newer[0]) != sequence(segment) + 1:
            if self._resume == "tail":
                return self._lost_between(segment)
            self._count_gap(f"segments between {segment} and {newer[0]} are gone")
        self._position = Position(newer[0], 0)
        self._sealed = False
        return True

    def _lost_between(self, segment: str) -> bool:
        self._count_gap(f"segments after {segment} are gone")
        self._position = tail(self.directory)
        self._sealed = False
        return True

    def _whole_frame(self, rest: memoryview) -> bool:
        """Whether there is more to read after all: the writer may have gone on between two looks."""
        try:
            length = size(rest)
        except WireError:
            return False
        return len(self._chunk_at(self._position.offset, length)) == length

    def _damaged(self, why: str, *, grown: bool = False) -> None:
        """A live writer may be at work on these bytes: look again a few times before passing over them.

        grown: of a frame that is perhaps being written, only looks at a file that has grown since count.
        """
        there = os.fstat(self._fd).st_size if grown else 0
        position, looks, seen = self._bad
        if position != self._position:
            looks, seen = 0, -1
        if not grown or there > seen:
            looks += 1
        self._bad = (self._position, looks, there)
        if looks >= _PATIENCE and (not grown or looks % _PATIENCE == 0):
            self._pass_over(why)

    def _pass_over(self, why: str = "") -> bool:
        """To the next good frame, where the segment has one."""
        segment, offset = self._position
        at, overlap = offset + 1, PREFIX
        while True:
            view = self._chunk_at(at, _SEARCHED)
            if len(view) < overlap:
                return False
            found = next_frame(view, 0)
            if found < 0 and (found := _begins(view)) >= 0:
                whole = self._chunk_at(at + found, size(view, found))
                found = found if next_frame(whole, 0) == 0 else -1
            if found >= 0:
                break
            at += max(1, len(view) - overlap + 1)
        self._count_gap(f"{segment} byte {offset}: {why or 'damaged'}; read on from byte {at + found}")
        self._position = Position(segment, at + found)
        return True

    def _follow(self, item: Item) -> None:
        """Counts what is missing before an item."""
        if isinstance(item, Dropped) or not len(item):
            return
        epoch, index = self._next_index.get(item.stream, (item.epoch, item.index))
        if epoch == item.epoch and item.index > index:
            self.lost[item.stream] = self.lost.get(item.stream, 0) + item.index - index
            self.gap = f"{self.gap}; {item.index - index} samples of {item.stream} are gone"
        self._next_index[item.stream] = item.epoch, item.index + len(item)

    def _there(self) -> bool:
        """Whether the segment at the position still is."""
        segment = self._position.segment
        return not segment or (self.directory / segment).exists()

    def _count_gap(self, text: str) -> None:
        self.gaps += 1
        self.gap = text


def _begins(view: memoryview) -> int:
    """Where a frame may begin that the bytes do not hold whole; -1 where none does."""
    at = -1
    while (at := search(view, at + 1)) >= 0:
        try:
            if at + size(view, at) > len(view):
                return at
        except WireError:
            continue
    return -1


def tail(directory: Path) -> Position:
    """After the last whole frame there is now."""
    names = segments(directory)
    if not names:
        return START
    offset = 0
    try:
        fd = os.open(directory / names[-1], os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return tail(directory)
    except OSError as error:
        raise unreadable(directory / names[-1], error) from error
    try:
        length = os.fstat(fd).st_size
        while True:
            try:
                end = offset + size(memoryview(os.pread(fd, PREFIX, offset)))
            except WireError:
                break
            if end > length:
                break
            offset = end
    finally:
        os.close(fd)
    return Position(names[-1], offset)


def since(directory: Path, time: int) -> Position:
    """Where to begin to read to find all samples taken at `time` (ns UTC) or later."""
    for segment in segments(directory):
        try:
            footer = read_footer(directory / segment)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unreadable(directory / segment, error) from error
        last = footer.contents.last_time if footer else None
        if footer is None or (last is not None and last >= time):
            return Position(segment, 0)
    return tail(directory)
