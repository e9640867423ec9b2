from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.journal import JournalError, JournalReader, JournalWriter, Position, since, tail
from edgeloop.journal.segment import segments
from edgeloop.wire.batch import Batch
from edgeloop.wire.codec import encode, encode_map

Make = Callable[..., Batch]


def filled(directory: Path, make: Make, count: int = 100, segment_bytes: int = 4096) -> list[Position]:
    """A sealed journal of `count` appends, and the position after each."""
    with JournalWriter(directory, epoch=1, segment_bytes=segment_bytes, budget_bytes=1 << 26) as writer:
        return [writer.append([make(1, i * 10)]).position for i in range(count)]


def first_indexes(reader: JournalReader, **limits: int) -> list[int]:
    return [item.index for item, _ in reader.read(**limits) if isinstance(item, Batch)]  # type: ignore[arg-type]


def test_nothing_there_yet(tmp_path: Path, make: Make) -> None:
    reader = JournalReader(tmp_path / "j")
    assert not list(reader.read())
    assert tail(tmp_path / "j") == ("", 0)
    filled(tmp_path / "j", make, 3)
    assert first_indexes(reader) == [0, 10, 20]
    assert reader.gaps == 0


def test_every_position_is_a_place_to_go_on(tmp_path: Path, make: Make) -> None:
    positions = filled(tmp_path, make)
    read = [position for _, position in JournalReader(tmp_path).read()]
    assert read == positions
    for i in range(0, 100, 7):
        assert first_indexes(JournalReader(tmp_path, positions[i])) == [*range((i + 1) * 10, 1000, 10)]


def test_until(tmp_path: Path, make: Make) -> None:
    positions = filled(tmp_path, make)
    reader = JournalReader(tmp_path)
    seen: list[int] = []
    for position in positions[9::10]:
        seen += [item.index for item, _ in reader.read(until=position) if isinstance(item, Batch)]
        assert reader.position == position
    assert seen == [*range(0, 1000, 10)]
    assert not list(reader.read(until=positions[3]))


@pytest.mark.parametrize("limit", [1, 200, 5000])
@pytest.mark.parametrize("chunk", [13, 100, 1 << 20])
def test_in_pieces_of_any_size(tmp_path: Path, make: Make, limit: int, chunk: int) -> None:
    filled(tmp_path, make)
    reader = JournalReader(tmp_path, chunk=chunk)
    seen: list[int] = []
    while piece := first_indexes(reader, limit_bytes=limit):
        seen += piece
    assert seen == [*range(0, 1000, 10)]


def test_an_abandoned_iterator_stops_after_what_it_gave(tmp_path: Path, make: Make) -> None:
    filled(tmp_path, make)
    reader = JournalReader(tmp_path)
    position = next(position for item, position in reader.read() if isinstance(item, Batch) and item.index == 420)
    assert reader.position == position
    assert first_indexes(reader)[0] == 430


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 3000), max_size=20))
def test_a_live_segment_gives_whole_frames_only(
    tmp_path_factory: pytest.TempPathFactory, make: Make, cuts: list[int]
) -> None:
    """The file grows by arbitrary pieces, as a reader may see a write under way."""
    directory = tmp_path_factory.mktemp("j")
    frames = [b"".join(encode(make(1, i * 10))) for i in range(10)]
    ends = [sum(map(len, frames[: i + 1])) for i in range(len(frames))]
    data = b"".join(frames)
    path = directory / "000000000001-0000000000000001.cborseq"
    reader, seen = JournalReader(directory), 0
    for cut in [*sorted(cuts), len(data)]:
        path.write_bytes(data[:cut])
        assert tail(directory).offset == max((end for end in ends if end <= cut), default=0)
        seen += len(list(reader.read()))
        assert seen == sum(end <= cut for end in ends)
    assert reader.gaps == 0


def test_a_segment_that_is_gone_is_a_gap_and_the_oldest_is_next(tmp_path: Path, make: Make) -> None:
    filled(tmp_path, make)
    names = segments(tmp_path)
    reader = JournalReader(tmp_path, Position(names[2], 0))
    for name in names[:5]:
        (tmp_path / name).unlink()
    rest = first_indexes(reader)
    assert rest == first_indexes(JournalReader(tmp_path))
    assert (reader.gaps, reader.gap) == (1, f"{names[2]} is gone")


def test_or_the_tail(tmp_path: Path, make: Make) -> None:
    filled(tmp_path, make)
    names = segments(tmp_path)
    reader = JournalReader(tmp_path, Position(names[2], 0), resume="tail")
    for name in names[:5]:
        (tmp_path / name).unlink()
    assert not first_indexes(reader)
    assert reader.gaps == 1
    with JournalWriter(tmp_path) as writer:
        writer.append([make(2, 0)])
        assert first_indexes(reader) == [0]


@pytest.mark.parametrize("resume", ["oldest", "tail"])
def test_segments_that_went_while_one_was_read(tmp_path: Path, make: Make, resume: str) -> None:
    filled(tmp_path, make)
    names = segments(tmp_path)
    reader = JournalReader(tmp_path, resume=resume)  # type: ignore[arg-type]
    iterator = reader.read()
    next(iterator)
    for name in names[:5]:
        (tmp_path / name).unlink()
    rest = [item.index for item, _ in iterator if isinstance(item, Batch)]
    assert reader.gaps == 1
    in_hand = [index for index in rest if index < first_indexes(JournalReader(tmp_path))[0]]
    assert in_hand, "an open segment is read to its end"
    assert rest == (in_hand + first_indexes(JournalReader(tmp_path)) if resume == "oldest" else in_hand)


def test_a_folder_that_was_made_anew(tmp_path: Path, make: Make) -> None:
    last = filled(tmp_path, make)[-1]
    for name in segments(tmp_path):
        (tmp_path / name).unlink()
    reader = JournalReader(tmp_path, last)
    assert not first_indexes(reader)
    filled(tmp_path, make, 3)
    with JournalWriter(tmp_path, epoch=2) as writer:
        writer.append([make(2, 0)])
    assert first_indexes(reader) == [0, 10, 20, 0]
    assert reader.gaps == 1


def test_one_damaged_frame_costs_one_frame(tmp_path: Path, make: Make) -> None:
    positions = filled(tmp_path, make)
    damaged = positions[5]
    with (tmp_path / damaged.segment).open("r+b") as file:
        file.seek(damaged.offset + 100)
        file.write(b"\xff\xff")
    reader = JournalReader(tmp_path)
    assert first_indexes(reader) == [index for index in range(0, 1000, 10) if index != 60]
    assert reader.gaps == 1
    assert f"{damaged.segment} byte {damaged.offset}" in reader.gap


def test_a_damaged_length_costs_one_frame(tmp_path: Path, make: Make) -> None:
    positions = filled(tmp_path, make)
    damaged = positions[5]
    with (tmp_path / damaged.segment).open("r+b") as file:
        file.seek(damaged.offset)
        file.write(b"\xff\xff")
    reader = JournalReader(tmp_path)
    assert first_indexes(reader) == [index for index in range(0, 1000, 10) if index != 60]
    assert reader.gaps == 1
    assert reader.lost == {"press1_vib": 10}
    assert "10 samples of press1_vib are gone" in reader.gap


def test_damage_in_a_live_segment_is_waited_out_and_then_passed_over(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1) as writer:
        spans = [writer.append([make(1, i * 10)]) for i in range(10)]
        with (tmp_path / spans[4].segment).open("r+b") as file:
            file.seek(spans[4].start + 90)
            right = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(b"\xff")
            file.flush()
            reader = JournalReader(tmp_path)
            assert first_indexes(reader) == [0, 10, 20, 30]
            file.seek(-1, os.SEEK_CUR)
            file.write(right)
            file.flush()
            assert first_indexes(reader) == [40, 50, 60, 70, 80, 90]
            file.seek(-1, os.SEEK_CUR)
            file.write(b"\xff")
            file.flush()
            reader = JournalReader(tmp_path)
            seen = [index for _ in range(6) for index in first_indexes(reader)]
            assert seen == [0, 10, 20, 30, 50, 60, 70, 80, 90]
            assert reader.gaps == 1


def test_frames_of_a_later_version_are_passed_over(tmp_path: Path, make: Make) -> None:
    parts = [*encode(make(1, 0)), *encode_map({"type": "picture", "stream": "a"}), *encode(make(1, 10))]
    (tmp_path / "000000000001-0000000000000001.cborseq").write_bytes(b"".join(parts))
    assert first_indexes(JournalReader(tmp_path)) == [0, 10]


def test_where_a_time_begins(tmp_path: Path, make: Make) -> None:
    assert since(tmp_path / "none", 0) == ("", 0)
    filled(tmp_path, make)
    with JournalWriter(tmp_path, epoch=2) as writer:
        writer.append([make(2, 5000)])
        for time in (0, 1, 333_000_000, 999_000_000, 5_009_000_000):
            items = [
                item for item, _ in JournalReader(tmp_path, since(tmp_path, time)).read() if isinstance(item, Batch)
            ]
            wanted = [
                item for item, _ in JournalReader(tmp_path).read() if isinstance(item, Batch) and item.end >= time
            ]
            assert [item.index for item in items if item.end >= time] == [item.index for item in wanted]
            assert len(items) <= len(wanted) + 16
    assert since(tmp_path, 10**18) == tail(tmp_path)


def test_a_long_journal_takes_little_memory(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1, sync_interval=3600) as writer:
        for i in range(16):
            writer.append([make(1, i * 1_000_000 + j * 100_000, 100_000) for j in range(10)])
    tracemalloc.start()
    try:
        assert sum(len(item) for item, _ in JournalReader(tmp_path).read() if isinstance(item, Batch)) == 16_000_000
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_other_files_are_none_of_its_business(tmp_path: Path, make: Make) -> None:
    filled(tmp_path, make, 3)
    (tmp_path / "zzz.cborseq").write_bytes(b"no")
    (tmp_path / "000000000009-x.cborseq").touch()
    assert first_indexes(JournalReader(tmp_path)) == [0, 10, 20]


def test_a_journal_of_another_user(tmp_path: Path, make: Make) -> None:
    filled(tmp_path / "j", make, 3)
    user = os.geteuid()
    (segment,) = segments(tmp_path / "j")
    if user == 0:
        os.seteuid(65534)
    else:
        (tmp_path / "j" / segment).chmod(0)
    try:
        with pytest.raises(JournalError, match=r"Permission denied; let user \d+ be the one"):
            list(JournalReader(tmp_path / "j", Position(segment, 0)).read())
    finally:
        os.seteuid(user)
