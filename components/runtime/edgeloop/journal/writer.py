"""The one writer of a journal."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeloop.durable import make_folder
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.journal.recovery import recover
from edgeloop.journal.retention import Cleared, Problem, Retention
from edgeloop.journal.segment import (
    FULL,
    Contents,
    Footer,
    JournalError,
    JournalFull,
    Position,
    Span,
    name,
    sequence,
    union,
)
from edgeloop.journal.sync import Syncer
from edgeloop.wire.batch import Dropped, Item
from edgeloop.wire.codec import encode
from edgeloop.wire.frame import Buffer

MIB = 1 << 20
_BUFFERS = 1024
_log = logging.getLogger("edgeloop.journal")


def _log_problem(key: str, line: str) -> None:
    _log.warning("%s: %s", key, line)


def _log_cleared(key: str) -> None:
    _log.info("%s: mended", key)


class JournalWriter:
    """Appends items to segments of at most `segment_bytes` (an append that is larger has one for itself).

    What `append` returned for survives any death of this process; a power cut takes at most what was appended in the
    last `sync_interval` seconds (0: every append is on the disk when it returns). One thread appends.

    epoch: of this writer, random unless given. durable_readers: cursor files by name, see `Retention`.
    on_problem(key, line), on_clear(key): what a person should mend, until it is; from any thread.
    Raises JournalError where the folder cannot be used or another process writes to it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        epoch: int | None = None,
        segment_bytes: int = 16 * MIB,
        budget_bytes: int = 2048 * MIB,
        sync_interval: float = 1.0,
        durable_readers: Mapping[str, Path] | None = None,
        on_problem: Problem = _log_problem,
        on_clear: Cleared = _log_cleared,
    ) -> None:
        if segment_bytes < 4096 or budget_bytes < 2 * segment_bytes:
            raise ConfigurationError(
                "a journal cannot work with these sizes",
                where="journal.budget",
                why=f"segments of {segment_bytes} B within {budget_bytes} B",
                mend="give a budget of at least two segments, and segments of at least 4 KiB",
            )
        self.directory = directory
        self.epoch = secrets.randbits(64) if epoch is None else epoch
        self._segment_bytes = segment_bytes
        self._retention = Retention(directory, budget_bytes, durable_readers or {}, on_problem, on_clear)
        self._fd = -1
        self._name = ""
        self._end = 0
        self._contents = Contents()
        self._owed: list[Dropped] = []
        self._lock_fd = _lock(directory)
        try:
            inherited = recover(directory)
        except (OSError, EdgeloopError) as error:
            os.close(self._lock_fd)
            if isinstance(error, OSError):
                raise _unusable(directory, error) from error
            raise
        self._retention.inherit(inherited.dropped)
        self._sizes = inherited.sizes
        self._sequence = max(map(sequence, [*self._sizes, *filter(None, [self._retention.newest_cursor()])]), default=0)
        self._earlier = dict(inherited.latest)
        self._latest = inherited.latest
        self._syncer = Syncer(directory, sync_interval, on_problem, on_clear)
        self._on_problem, self._on_clear = on_problem, on_clear
        self._vanished = False

    def previous(self, stream: str) -> tuple[int, int] | None:
        """(epoch, last index) with which earlier writers left the stream."""
        return self._earlier.get(stream)

    @property
    def position(self) -> Position:
        """Where the next append begins, unless it begins a segment."""
        return Position(self._name, self._end)

    def append(self, items: Sequence[Item]) -> Span:
        """Writes the items with one system call.

        Raises JournalFull where there is no room, having kept what was promised before; a later append works again
        once there is. Raises WireError for an item that cannot be encoded, having written nothing.
        """
        return self.append_encoded(items, [encode(item) for item in items])

    def append_encoded(self, items: Sequence[Item], frames: Sequence[Sequence[Buffer]]) -> Span:
        """As `append`, with the frames that `encode` made of the items."""
        if self._lock_fd < 0:
            raise JournalError("the journal is closed", where=str(self.directory))
        try:
            return self._append(items, frames)
        except JournalFull as error:
            if error.span.start != error.span.end or not self._make_room():
                raise
            return self._append(items, frames)

    def _append(self, items: Sequence[Item], frames: Sequence[Sequence[Buffer]]) -> Span:
        if self._fd >= 0 and not os.fstat(self._fd).st_nlink:
            self._begin_anew()
        size = sum(len(part) for frame in frames for part in frame)
        if self._fd >= 0 and self._end and self._end + size > self._segment_bytes:
            self._seal()
        victims: tuple[str, ...] = ()
        if self._fd < 0 and items:
            victims = self._begin()
        try:
            return self._write(items, frames)
        finally:
            self._forget(victims)

    def _write(self, items: Sequence[Item], frames: Sequence[Sequence[Buffer]]) -> Span:
        start, owed = self._end, len(self._owed)
        if owed:
            items = [*self._owed, *items]
            frames = [*(encode(item) for item in self._owed), *frames]
        parts = [part for frame in frames for part in frame if len(part)]
        written, failure = _write_all(self._fd, parts, start) if parts else (0, None)
        if failure is None:
            self._owed = []
            self._account(items, written)
            self._to_disk(len(items) - owed)
            return Span(self._name, start, self._end)
        whole, kept = _whole(frames, written)
        self._owed = self._owed[whole:]
        self._account(items[:whole], kept)
        self._cut()
        if kept:
            self._to_disk(max(0, whole - owed))
        raise self._failed(failure, start, max(0, whole - owed)) from failure

    def _failed(self, failure: OSError, start: int, written: int = 0) -> JournalError:
        where, why = str(self.directory), failure.strerror or str(failure)
        if failure.errno in FULL:
            return JournalFull(Span(self._name, start, self._end), written, where=where, why=why)
        error = JournalError("cannot write to the journal", where=where, why=why)
        error.written = written
        return error

    def _account(self, items: Sequence[Item], size: int) -> None:
        for item in items:
            self._contents.add(item)
            self._latest.add(item)
        self._end += size

    def _to_disk(self, written: int) -> None:
        if self._fd < 0:
            return
        try:
            self._syncer.dirty(self._fd)
        except OSError as failure:
            error = JournalError("cannot bring the journal to the disk", why=failure.strerror or str(failure))
            error.written = written
            raise error from failure

    def _begin(self) -> tuple[str, ...]:
        """Opens a new segment; returns the segments that have to go for it."""
        plan = self._retention.plan(self._sizes, self._segment_bytes)
        segment = name(self._sequence + 1, self.epoch)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                self._fd = os.open(self.directory / segment, flags, 0o600)
            except FileNotFoundError:
                self._begin_anew()
                self._fd = os.open(self.directory / segment, flags, 0o600)
            except FileExistsError:
                self._sequence += 1
                segment = name(self._sequence + 1, self.epoch)
                self._fd = os.open(self.directory / segment, flags, 0o600)
        except OSError as error:
            if error.errno in FULL:
                raise self._failed(error, self._end) from error
            raise _unusable(self.directory, error) from error
        self._sequence += 1
        self._name, self._end, self._contents = segment, 0, Contents()
        self._owed = union([*self._owed, *plan.dropped])
        self._syncer.began()
        return plan.victims

    def _begin_anew(self) -> None:
        """Somebody deleted what this writer wrote: with a new segment, whose number goes on."""
        self._vanished = True
        self._on_problem("journal.vanished", f"{self.directory} was deleted while it was written to: it begins anew")
        if self._fd >= 0:
            self._syncer.sealed(self._fd)
        self._fd, self._name, self._end = -1, "", 0
        os.close(self._lock_fd)
        self._lock_fd = -1
        self._lock_fd = _lock(self.directory)
        self._sizes = {segment: size for segment, size in self._sizes.items() if (self.directory / segment).exists()}

    def _cut(self) -> None:
        """Takes back the bytes of a frame that did not get in whole."""
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            _log.warning("cannot cut %s: %s", self._name, error.strerror)

    def _make_room(self) -> bool:
        """On a full disk, before anything is refused: deletes what every durable reader has passed."""
        released = self._retention.released(self._sizes)
        self._forget(released)
        self._syncer.settle()
        return bool(released)

    def _forget(self, victims: Sequence[str]) -> None:
        for victim in victims:
            del self._sizes[victim]
            self._syncer.remove(victim)

    def _seal(self) -> None:
        footer = Footer(self._contents, self._latest).encode()
        written, failure = _write_all(self._fd, [footer], self._end)
        if failure is not None:
            self._cut()
            raise self._failed(failure, self._end) from failure
        self._sizes[self._name] = self._end + written
        self._syncer.sealed(self._fd)
        if self._vanished:
            self._vanished = False
            self._on_clear("journal.vanished")
        self._fd = -1

    def flush(self) -> None:
        """Waits until what was appended is on the disk, and what has to go is gone."""
        if self._lock_fd >= 0:
            self._syncer.settle()

    def close(self) -> None:
        """Seals the segment, waits for the disk, and lets another writer take over."""
        if self._lock_fd < 0:
            return
        try:
            if self._fd >= 0:
                self._seal()
        except JournalError as error:
            _log.warning("cannot seal: %s", error)
        finally:
            self._syncer.close()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(directory: Path) -> int:
    """Held for life, released by the kernel however this process ends."""
    try:
        make_folder(directory)
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise JournalError(
            "another process writes to the journal", where=str(directory), mend="stop it, or give this one its own root"
        ) from error
    return fd


def _unusable(directory: Path, error: OSError) -> JournalError:
    return JournalError(
        "cannot use the journal's folder",
        where=str(directory),
        why=error.strerror or str(error),
        mend="free disk space" if error.errno in FULL else f"make it a folder that user {os.geteuid()} may write to",
    )


def _write_all(fd: int, parts: Sequence[Buffer], at: int) -> tuple[int, OSError | None]:
    """Bytes written at `at`, and what kept the rest from being written."""
    written = 0
    rest: list[Buffer] = list(parts)
    while rest:
        try:
            count = os.pwritev(fd, rest[:_BUFFERS], at + written)
        except OSError as error:
            return written, error
        written += count
        done = 0
        while done < len(rest) and count >= len(rest[done]):
            count -= len(rest[done])
            done += 1
        rest = rest[done:]
        if count:
            rest[0] = memoryview(rest[0])[count:]
    return written, None


def _whole(frames: Sequence[Sequence[Buffer]], written: int) -> tuple[int, int]:
    """How many frames, and their bytes, lie whole within what was written."""
    whole = kept = 0
    for frame in frames:
        size = sum(map(len, frame))
        if kept + size > written:
            break
        kept += size
        whole += 1
    return whole, kept
