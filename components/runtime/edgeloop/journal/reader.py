"""Reading a journal, sealed or live, from any process of the same user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgeloop.errors import WireError
from edgeloop.journal.segment import FOOTER, START, Position, read_footer, segments, sequence, unreadable
from edgeloop.wire.batch import Item
from edgeloop.wire.codec import decode_any
from edgeloop.wire.frame import PREFIX, Truncated, size

MIB = 1 << 20
_PATIENCE = 3


class JournalReader:
    """Items in order from `position` (None: from the oldest), each with the position after it.

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
        self.gaps = 0
        self.gap = ""
        self._position = position or START
        self._fd = -1
        self._open_name = ""
        self._sealed = False
        self._bad: tuple[Position, int] = (START, 0)

    @property
    def position(self) -> Position:
        """After the newest item returned."""
        return self._position

    def seek(self, position: Position) -> None:
        self._position = position
        self._sealed = False

    def read(self, until: Position | None = None, limit_bytes: int = 64 * MIB) -> Iterator[tuple[Item, Position]]:
        """What is there now, up to `until` and about `limit_bytes`; of a live segment only whole frames."""
        budget = limit_bytes
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
                return
            except WireError as error:
                if at == 0:
                    self._damaged(error)
                return
            if isinstance(item, dict):
                if item.get("type") == FOOTER:
                    self._sealed = True
                    return
                self._position = Position(segment, offset + end)
            else:
                self._position = position = Position(segment, offset + end)
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
                names = segments(self.directory)
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
        names = segments(self.directory)
        if not names:
            return False
        lost = self._position.segment
        newer = [segment for segment in names if segment > lost]
        self._count_gap(f"{lost} is gone")
        self._position = tail(self.directory) if self._resume == "tail" else Position((newer or names)[0], 0)
        self._sealed = False
        return True

    def _next(self) -> bool:
        """To the segment after this one, once this one can grow no more."""
        segment, offset = self._position
        newer = [other for other in segments(self.directory) if other > segment]
        if not segment or not newer:
            return False
        if not self._sealed:
            rest = self._chunk_at(offset, PREFIX) if segment == self._open_name else memoryview(b"")
            if len(rest):
                if (self._bad[0] != self._position and self._whole_frame(rest)) or self._pass_over("is damaged"):
                    return True
                self._count_gap(f"{segment} is damaged from byte {offset}")
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

    def _damaged(self, error: WireError) -> None:
        """A live writer may be at work on these bytes: look again a few times before passing over the frame."""
        position, looks = self._bad
        looks = looks + 1 if position == self._position else 1
        self._bad = (self._position, looks)
        if looks >= _PATIENCE:
            self._pass_over(error.what)

    def _pass_over(self, why: str) -> bool:
        """Beyond one damaged frame, where its length still leads to another."""
        segment, offset = self._position
        try:
            after = offset + size(self._chunk_at(offset, PREFIX))
            size(self._chunk_at(after, PREFIX))
        except WireError:
            return False
        self._count_gap(f"{segment} byte {offset}: {why}")
        self._position = Position(segment, after)
        return True

    def _count_gap(self, text: str) -> None:
        self.gaps += 1
        self.gap = text


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
