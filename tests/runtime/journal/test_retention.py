from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from edgeloop import clock
from edgeloop.journal import START, CursorFile, JournalFull, JournalReader, JournalWriter, Position
from edgeloop.journal.segment import segments
from edgeloop.wire.batch import Batch, Dropped

Make = Callable[..., Batch]
BUDGET = 32 << 10


class Disk(Protocol):
    """As conftest makes it."""

    path: Path

    def fill(self, leave: int) -> None: ...

    def free(self) -> None: ...


def fill(writer: JournalWriter, make: Make, first: int, count: int) -> None:
    for i in range(first, first + count):
        writer.append([make(1, i * 10)])
    writer.flush()


def journal(directory: Path, **readers: Path) -> JournalWriter:
    return JournalWriter(directory, epoch=1, segment_bytes=4096, budget_bytes=BUDGET, durable_readers=readers)


def size(directory: Path) -> int:
    return sum((directory / name).stat().st_size for name in segments(directory))


def account(directory: Path) -> tuple[list[int], list[int]]:
    """Indexes there, and indexes recorded as dropped."""
    there: list[int] = []
    dropped: set[int] = set()
    for item, _ in JournalReader(directory).read():
        if isinstance(item, Dropped):
            dropped |= set(range(item.first, item.last + 1))
        else:
            there += range(item.index, item.index + len(item))
    return there, sorted(dropped)


def test_the_oldest_go_and_every_sample_is_there_or_accounted_for(tmp_path: Path, make: Make) -> None:
    with journal(tmp_path) as writer:
        fill(writer, make, 0, 2000)
    there, dropped = account(tmp_path)
    assert size(tmp_path) <= BUDGET
    assert len(segments(tmp_path)) >= 6
    assert dropped + there == [*range(20000)], "records of drops that were dropped themselves are carried on"
    records = [item for item, _ in JournalReader(tmp_path).read() if isinstance(item, Dropped)]
    assert len(records) <= len(segments(tmp_path))


def test_what_every_durable_reader_has_passed_goes_without_a_record(tmp_path: Path, make: Make) -> None:
    cursor = CursorFile(tmp_path / "upload" / "cursor.json")
    slow = CursorFile(tmp_path / "slow.json")
    with journal(tmp_path / "j", upload=cursor.path, slow=slow.path) as writer:
        for i in range(0, 500, 50):
            fill(writer, make, i, 50)
            cursor.save(writer.position)
            slow.save(writer.position)
    assert size(tmp_path / "j") <= BUDGET
    assert account(tmp_path / "j")[1] == []


def test_a_reader_that_is_behind_is_told_what_it_lost(tmp_path: Path, make: Make) -> None:
    ahead, behind = CursorFile(tmp_path / "ahead.json"), CursorFile(tmp_path / "behind.json")
    with journal(tmp_path / "j", ahead=ahead.path, behind=behind.path) as writer:
        fill(writer, make, 0, 100)
        behind.save(writer.position)
        position = writer.position
        for i in range(100, 1000, 50):
            fill(writer, make, i, 50)
            ahead.save(writer.position)
    there, dropped = account(tmp_path / "j")
    reader = JournalReader(tmp_path / "j", position)
    assert [item for item, _ in reader.read()]
    assert reader.gaps == 1
    assert {*dropped, *there} >= {*range(1000, 10000)}, "all that the slower one had not passed"
    assert {*dropped, *there} < {*range(10000)}, "what it had passed before went without a record"


def test_a_registered_reader_that_never_came_has_passed_nothing(tmp_path: Path, make: Make) -> None:
    with journal(tmp_path / "j", upload=tmp_path / "none.json") as writer:
        fill(writer, make, 0, 1000)
    there, dropped = account(tmp_path / "j")
    assert dropped + there == [*range(10000)]


def test_a_damaged_cursor_holds_nothing_up_and_is_a_problem_until_it_is_mended(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "cursor.json"
    path.write_text("{")
    told: dict[str, str] = {}
    with JournalWriter(
        tmp_path / "j", segment_bytes=4096, budget_bytes=BUDGET, durable_readers={"upload": path},
        on_problem=told.__setitem__, on_clear=told.__delitem__,
    ) as writer:  # fmt: skip
        fill(writer, make, 0, 500)
        assert "cursor.json): " in told["journal.reader.upload"]
        assert size(tmp_path / "j") <= BUDGET
        CursorFile(path).save(writer.position)
        fill(writer, make, 500, 50)
        assert not told


def test_a_lease_spares_the_segment_at_the_cursor(tmp_path: Path, make: Make) -> None:
    cursor = CursorFile(tmp_path / "cursor.json")
    with journal(tmp_path / "j", upload=cursor.path) as writer:
        fill(writer, make, 0, 100)
        held = segments(tmp_path / "j")[1]
        cursor.save(Position(held, 0), lease=60)
        fill(writer, make, 100, 1000)
        assert held in segments(tmp_path / "j")
        assert size(tmp_path / "j") <= BUDGET + 4096
        cursor.save(Position(held, 0))
        fill(writer, make, 1100, 50)
    assert held not in segments(tmp_path / "j")


def test_a_clock_set_back_neither_stops_the_journal_nor_makes_a_lease_everlasting(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = CursorFile(tmp_path / "cursor.json")
    with journal(tmp_path / "j", upload=cursor.path) as writer:
        fill(writer, make, 0, 100)
        held = segments(tmp_path / "j")[1]
        cursor.save(Position(held, 0), lease=60)
        long_ago = clock.now() - 400 * 86400 * clock.NS
        monkeypatch.setattr("edgeloop.journal.retention.now", lambda: long_ago)
        fill(writer, make, 100, 1000)
        assert held not in segments(tmp_path / "j")
    there, dropped = account(tmp_path / "j")
    assert sorted(dropped + there)[-1] == 10999
    with journal(tmp_path / "j") as writer:
        assert writer.append([make(1, 0, time=long_ago)]).segment == segments(tmp_path / "j")[-1]


def test_a_lower_budget_is_kept_from_the_next_append_on(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1, segment_bytes=4096, budget_bytes=1 << 20) as writer:
        fill(writer, make, 0, 1000)
    with journal(tmp_path) as writer:
        writer.append([make(2, 0)])
    assert size(tmp_path) <= BUDGET


def test_on_a_full_disk_what_was_uploaded_makes_room(disk: Disk, make: Make) -> None:
    """Only where room can be made: a limit on one file's size does not go away with other files."""
    cursor = CursorFile(disk.path / "cursor.json")
    directory = disk.path / "j"
    with JournalWriter(
        directory, epoch=1, segment_bytes=64 << 10, budget_bytes=64 << 20, durable_readers={"upload": cursor.path}
    ) as writer:
        for i in range(20):
            writer.append([make(1, i * 4000, 4000)])
        cursor.save(START)
        disk.fill(leave=0)
        with pytest.raises(JournalFull):
            writer.append([make(1, 80000, 4000)])
        assert account(directory)[0][0] == 0, "what nobody uploaded stays"
        disk.free()
        cursor.save(writer.position)
        disk.fill(leave=0)
        try:
            writer.append([make(1, 80000, 4000)])
            made = True
        except JournalFull:
            made = False
        there, dropped = account(directory)
        if made:
            assert there == [*range(80000, 84000)]
        else:
            assert hasattr(disk, "before")
            assert (there[0] > 0, there[-1]) == (True, 79999)
        assert dropped == []


def test_cursors(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "work" / "cursor.json")
    assert cursor.load() is None
    for position in (START, Position("000000000001-0000000000000001.cborseq", 12)):
        cursor.save(position)
        loaded = cursor.load()
        assert loaded is not None
        assert loaded.position == position
    assert [entry.name for entry in cursor.path.parent.iterdir()] == ["cursor.json"]
