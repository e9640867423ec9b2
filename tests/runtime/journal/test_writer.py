from __future__ import annotations

import errno
import os
import queue
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.errors import ConfigurationError, WireError
from edgeloop.journal import JournalError, JournalFull, JournalReader, JournalWriter, Position
from edgeloop.journal.segment import read_footer, segments
from edgeloop.wire.batch import Batch
from edgeloop.wire.codec import decode

Make = Callable[..., Batch]
SEGMENT = 4096


def indexes(directory: Path, stream: str = "press1_vib") -> list[int]:
    """Sample indexes of a stream in the order of the journal."""
    return [
        i
        for item, _ in JournalReader(directory).read()
        if isinstance(item, Batch) and item.stream == stream
        for i in range(item.index, item.index + len(item))
    ]


def starts(reader: JournalReader, stream: str = "press1_vib") -> list[int]:
    return [item.index for item, _ in reader.read() if isinstance(item, Batch) and item.stream == stream]


class Disk(Protocol):
    """As conftest makes it."""

    path: Path

    def fill(self, leave: int) -> None: ...

    def free(self) -> None: ...


def test_what_is_appended_is_read_in_order_over_many_segments(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path / "j", segment_bytes=SEGMENT) as writer:
        spans = [writer.append([make(writer.epoch, i * 10), make(writer.epoch, i, 1, "slow")]) for i in range(200)]
        assert starts(JournalReader(writer.directory), "slow") == [*range(200)]
    assert indexes(tmp_path / "j") == [*range(2000)]
    assert len(segments(tmp_path / "j")) > 10
    assert all((tmp_path / "j" / s).stat().st_size <= 4096 + 600 for s in segments(tmp_path / "j"))
    for span in spans:
        data = (tmp_path / "j" / span.segment).read_bytes()[span.start : span.end]
        first, end = decode(data)
        assert (first.stream, decode(data, end)[0].stream) == ("press1_vib", "slow")


def test_only_the_owner_may_read(tmp_path: Path, make: Make) -> None:
    before = os.umask(0)
    try:
        with JournalWriter(tmp_path / "work" / "j") as writer:
            writer.append([make(1, 0)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "work" / "j").stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "work" / "j").iterdir()} == {0o600}


def test_an_append_larger_than_a_segment_has_one_for_itself(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, segment_bytes=SEGMENT) as writer:
        spans = [writer.append([make(1, 0)]), writer.append([make(1, 10, 5000)]), writer.append([make(1, 5010)])]
    assert len({span.segment for span in spans}) == 3
    assert indexes(tmp_path) == [*range(5020)]


def test_a_restart_appends_to_a_new_segment_and_knows_where_it_stopped(tmp_path: Path, make: Make) -> None:
    seen: list[str] = []
    for start in range(5):
        with JournalWriter(tmp_path, epoch=start) as writer:
            assert writer.previous("press1_vib") == ((start - 1, 29) if start else None)
            assert writer.previous("other") is None
            seen += [writer.append([make(start, i * 10)]).segment for i in range(3)][:1]
            assert writer.previous("press1_vib") == ((start - 1, 29) if start else None)
    assert seen == segments(tmp_path)


def test_a_stream_that_fell_silent_long_ago_is_remembered(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1, segment_bytes=4096, budget_bytes=8192) as writer:
        writer.append([make(1, 0, 7, "silent")])
        for i in range(500):
            writer.append([make(1, i * 10)])
    assert not indexes(tmp_path, "silent")
    with JournalWriter(tmp_path) as writer:
        assert writer.previous("silent") == (1, 6)


def test_epochs_are_random(tmp_path: Path) -> None:
    epochs = set()
    for i in range(10):
        with JournalWriter(tmp_path / str(i)) as writer:
            epochs.add(writer.epoch)
    assert len(epochs) == 10


def test_footers_say_what_a_segment_holds(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=9) as writer:
        writer.append([make(9, 0, time=100), make(9, 10, time=200), make(9, 50, time=50), make(9, 3, 2, "slow", 70)])
    footer = read_footer(tmp_path / segments(tmp_path)[0])
    assert footer is not None
    assert footer.contents.ranges == {"press1_vib": [[9, 0, 19], [9, 50, 59]], "slow": [[9, 3, 4]]}
    assert (footer.contents.first_time, footer.contents.last_time) == (50, 10_000_200)
    assert footer.latest == {"press1_vib": (9, 59), "slow": (9, 4)}


def test_an_item_that_cannot_be_encoded_leaves_nothing(tmp_path: Path, make: Make) -> None:
    bad = make(1, 10)
    with JournalWriter(tmp_path) as writer:
        writer.append([make(1, 0)])
        with pytest.raises(WireError):
            writer.append([make(1, 10), Batch(bad.stream, 1, 20, 0, (), bad.samples, bad.rate)])
        writer.append([make(1, 10)])
    assert indexes(tmp_path) == [*range(20)]


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with JournalWriter(tmp_path), pytest.raises(JournalError, match="another process writes"):
        JournalWriter(tmp_path)
    JournalWriter(tmp_path).close()


def test_a_closed_journal_says_so(tmp_path: Path, make: Make) -> None:
    writer = JournalWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="closed"):
        writer.append([make(1, 0)])


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file/journal\): Not a directory; make it"):
        JournalWriter(tmp_path / "file" / "journal")


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(JournalError, match=r"Permission denied; make it a folder that user \d+ may write to"):
            JournalWriter(tmp_path / "j")
    finally:
        os.seteuid(user)


def test_a_budget_that_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        JournalWriter(tmp_path, segment_bytes=1 << 20, budget_bytes=1 << 20)


@pytest.mark.parametrize("interval", [0.0, 0.02])
def test_the_disk_is_told(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, interval: float) -> None:
    synced: list[int] = []
    enough = threading.Event()
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_size)
        enough.set()

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with JournalWriter(tmp_path, sync_interval=interval) as writer:
        end = writer.append([make(1, 0)]).end
        assert enough.wait(60)
        assert end in synced
    assert synced[-1] > end, "sealing syncs too"


def test_every_segment_reaches_the_disk_soon(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: queue.Queue[int] = queue.Queue()
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        real(fd)
        synced.put(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with JournalWriter(tmp_path, segment_bytes=SEGMENT, sync_interval=0.01) as writer:
        for i in range(0, 24, 2):
            writer.append([make(1, i * 100, 100)])
            end = writer.append([make(1, i * 100 + 100, 100)]).end
            while synced.get(timeout=60) < end:
                continue
            writer.flush()
            while not synced.empty():
                synced.get()


def test_a_disk_that_fails_to_sync_is_a_problem_until_it_is_mended(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: queue.Queue[tuple[str, str]] = queue.Queue()
    mended: queue.Queue[str] = queue.Queue()
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with JournalWriter(
        tmp_path, sync_interval=0.01, on_problem=lambda *what: told.put(what), on_clear=mended.put
    ) as writer:
        writer.append([make(1, 0)])
        assert told.get(timeout=60) == ("journal.sync", "cannot bring the journal to the disk: Input/output error")
        monkeypatch.setattr(os, "fdatasync", real)
        writer.append([make(1, 10)])
        assert mended.get(timeout=60) == "journal.sync"
    assert indexes(tmp_path) == [*range(20)]


def test_where_every_append_is_synced_one_that_cannot_be_says_so(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fdatasync(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with JournalWriter(tmp_path, sync_interval=0) as writer:
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        with pytest.raises(JournalError, match="to the disk: Input/output") as failure:
            writer.append([make(1, 0)])
        assert failure.value.written == 1
        monkeypatch.undo()


def test_a_full_disk_loses_nothing_promised_and_heals(disk: Disk, make: Make) -> None:
    directory = disk.path / "j"
    with JournalWriter(directory, segment_bytes=256 << 10, budget_bytes=64 << 20) as writer:
        writer.append([make(1, i * 10) for i in range(10)])
        reader = JournalReader(directory)
        seen = starts(reader)
        disk.fill(leave=9000)
        index = 100
        full: JournalFull | None = None
        while full is None:
            try:
                writer.append([make(1, index + i * 500, 500) for i in range(3)])
                index += 1500
            except JournalFull as error:
                full = error
        assert "free disk space" in str(full)
        index += full.written * 500
        seen += starts(reader)
        with pytest.raises(JournalFull):
            writer.append([make(1, index, 5000)])
        seen += starts(reader)
        disk.free()
        writer.append([make(1, index, 5000)])
        writer.append([make(1, index + 5000)])
        seen += starts(reader)
        assert reader.gaps == 0
    assert indexes(directory) == [*range(index + 5010)]
    assert seen == starts(JournalReader(directory))


def test_no_room_for_a_new_segment(disk: Disk, make: Make) -> None:
    directory = disk.path / "j"
    with JournalWriter(directory, segment_bytes=8192, budget_bytes=64 << 20) as writer:
        writer.append([make(1, 0, 1900)])
        disk.fill(leave=0)
        for _ in range(3):
            with pytest.raises(JournalFull):
                writer.append([make(1, 1900, 1900)])
        disk.free()
        writer.append([make(1, 1900, 1900)])
    assert indexes(directory) == [*range(3800)]


def test_full_at_start_and_at_the_end(disk: Disk, make: Make) -> None:
    directory = disk.path / "j"
    writer = JournalWriter(directory)
    writer.append([make(1, 0)])
    disk.fill(leave=0)
    disk_full_page = 4096
    with pytest.raises(JournalFull):
        writer.append([make(1, 10, disk_full_page)])
    writer.close()
    with JournalWriter(directory) as second:
        assert second.previous("press1_vib") == (1, 9)
        disk.free()
        second.append([make(2, 0)])
    assert indexes(directory) == [*range(10), *range(10)]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(0, 1200), rows=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_a_write_that_ends_at_any_byte(
    tmp_path_factory: pytest.TempPathFactory, make: Make, limit: int, rows: list[int]
) -> None:
    """A reader that looks in between sees whole items only, none twice, none lost."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    directory = tmp_path_factory.mktemp("j")
    with JournalWriter(directory, sync_interval=3600) as writer:
        batches = [make(1, sum(rows[:i]), count) for i, count in enumerate(rows)]
        reader = JournalReader(directory)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            writer.append(batches)
            written = len(batches)
        except JournalFull as error:
            written = error.written
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        seen = starts(reader)
        assert len(seen) == written
        if written < len(batches):
            writer.append(batches[written:])
        seen += starts(reader)
    assert seen == [batch.index for batch in batches]
    assert reader.gaps == 0


def test_positions_are_ordered_as_the_journal_is(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, segment_bytes=SEGMENT) as writer:
        spans = [writer.append([make(1, i * 10)]) for i in range(300)]
        positions = [span.position for span in spans]
        assert positions == sorted(positions)
        assert positions[-1] == writer.position == Position(spans[-1].segment, spans[-1].end)


def test_a_write_that_fails_says_what_got_in(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwritev
    calls: list[int] = []

    def failing(fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        calls.append(offset)
        if len(calls) == 3:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, buffers[:5], offset) if len(calls) == 2 else real(fd, buffers, offset)

    with JournalWriter(tmp_path) as writer:
        reader = JournalReader(tmp_path)
        monkeypatch.setattr(os, "pwritev", failing)
        writer.append([make(1, 0)])
        batches = [make(1, index) for index in (10, 20, 30)]
        with pytest.raises(JournalError, match=r"cannot write to the journal .*Input/output error") as failure:
            writer.append(batches)
        assert failure.value.written == 1
        assert starts(reader) == [0, 10]
        writer.append(batches[failure.value.written :])
        assert starts(reader) == [20, 30]


def test_numbers_of_numpy_are_numbers(tmp_path: Path, make: Make) -> None:
    batch = make(1, 0)
    index = np.int64(40)
    with JournalWriter(tmp_path) as writer:
        writer.append([Batch(batch.stream, 1, index, np.int64(5), batch.channels, batch.samples, batch.rate)])  # type: ignore[arg-type]
    assert indexes(tmp_path) == [*range(40, 50)]
    with JournalWriter(tmp_path) as writer:
        assert writer.previous("press1_vib") == (1, 49)


def test_an_index_that_is_none(tmp_path: Path, make: Make) -> None:
    batch = make(1, 0)
    with JournalWriter(tmp_path) as writer, pytest.raises(WireError, match="out of range"):
        writer.append([Batch(batch.stream, 1, -1, 0, batch.channels, batch.samples, batch.rate)])


def test_starting_reads_the_ends_of_segments_only(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with JournalWriter(tmp_path, epoch=1, segment_bytes=1 << 20) as writer:
        for i in range(40):
            writer.append([make(1, i * 100_000, 100_000)])
    read = 0
    real = os.pread

    def counting(fd: int, length: int, offset: int) -> bytes:
        nonlocal read
        data = real(fd, length, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    with JournalWriter(tmp_path) as writer:
        assert writer.previous("press1_vib") == (1, 3_999_999)
    assert 0 < read < 20_000
