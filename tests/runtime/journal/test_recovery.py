from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.journal import JournalReader, JournalWriter
from edgeloop.journal.segment import read_footer, segments
from edgeloop.wire.batch import Batch
from edgeloop.wire.codec import encode

Make = Callable[..., Batch]
FIRST = "000000000001-0000000000000001.cborseq"


def read(directory: Path) -> list[int]:
    return [item.index for item, _ in JournalReader(directory).read() if isinstance(item, Batch)]


@pytest.mark.parametrize("kept", [0, 1, 12, 13, 14, 100, -1])
def test_a_write_cut_by_death_is_cut_off_and_sealed(
    tmp_path: Path, make: Make, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    whole = b"".join(b for i in range(3) for b in encode(make(1, i * 10)))
    half = b"".join(encode(make(1, 30)))[:kept]
    (tmp_path / FIRST).write_bytes(whole + half)
    with JournalWriter(tmp_path, epoch=2) as writer:
        assert writer.previous("press1_vib") == (1, 29)
        assert (tmp_path / FIRST).read_bytes()[: len(whole)] == whole
        footer = read_footer(tmp_path / FIRST)
        assert footer is not None
        assert footer.offset == len(whole)
        assert footer.contents.ranges == {"press1_vib": [[1, 0, 29]]}
        assert writer.append([make(2, 0)]).segment == "000000000002-0000000000000002.cborseq"
    assert caplog.messages == ([f"cut {len(half)} B of an unfinished write off {FIRST}"] if half else [])
    assert read(tmp_path) == [0, 10, 20, 0]


def test_the_first_wrong_checksum_ends_a_dead_segment(tmp_path: Path, make: Make) -> None:
    frames = [bytearray(b"".join(encode(make(1, i * 10)))) for i in range(4)]
    frames[2][60] ^= 1
    (tmp_path / FIRST).write_bytes(b"".join(frames))
    JournalWriter(tmp_path).close()
    assert read(tmp_path) == [0, 10]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(1, 40), min_size=1, max_size=8), data=st.data())
def test_after_any_cut_and_any_rubbish_the_whole_frames_before_are_there(
    tmp_path_factory: pytest.TempPathFactory, make: Make, rows: list[int], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("j")
    frames = [b"".join(encode(make(1, sum(rows[:i]), count))) for i, count in enumerate(rows)]
    ends = [sum(map(len, frames[: i + 1])) for i in range(len(frames))]
    cut = data.draw(st.integers(0, ends[-1]))
    (directory / FIRST).write_bytes(b"".join(frames)[:cut] + data.draw(st.binary(max_size=40)))
    with JournalWriter(directory, epoch=2) as writer:
        whole = sum(end <= cut for end in ends)
        last = sum(rows[:whole]) - 1
        assert writer.previous("press1_vib") == ((1, last) if whole else None)
        writer.append([make(2, 0)])
    reader = JournalReader(directory)
    found = [(item.epoch, item.index) for item, _ in reader.read() if isinstance(item, Batch)]
    assert found == [*((1, sum(rows[:i])) for i in range(whole)), (2, 0)]
    assert reader.gaps == 0


def test_blocks_of_zeros_after_a_power_cut(tmp_path: Path, make: Make) -> None:
    (tmp_path / FIRST).write_bytes(b"".join(encode(make(1, 0))) + bytes(8192))
    JournalWriter(tmp_path).close()
    assert read(tmp_path) == [0]


def test_a_segment_that_never_got_a_frame(tmp_path: Path, make: Make) -> None:
    (tmp_path / FIRST).touch()
    with JournalWriter(tmp_path) as writer:
        writer.append([make(2, 0)])
    reader = JournalReader(tmp_path)
    assert [item.index for item, _ in reader.read() if isinstance(item, Batch)] == [0]
    assert (reader.gaps, len(segments(tmp_path))) == (0, 2)


def test_a_live_segment_of_a_writer_that_lives_is_left_alone(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1) as writer:
        writer.append([make(1, 0)])
        reader = JournalReader(tmp_path)
        list(reader.read())
        size = (tmp_path / FIRST).stat().st_size
        assert size == writer.position.offset


def test_a_position_after_what_a_power_cut_took(tmp_path: Path, make: Make) -> None:
    with JournalWriter(tmp_path, epoch=1) as writer:
        ahead = [writer.append([make(1, i * 10)]).position for i in range(200)][-1]
    data = (tmp_path / FIRST).read_bytes()
    (tmp_path / FIRST).write_bytes(data[: ahead.offset // 2])
    with JournalWriter(tmp_path, epoch=2) as writer:
        writer.append([make(2, 0)])
        reader = JournalReader(tmp_path, ahead)
        assert [item.epoch for item, _ in reader.read()] == [2]


def test_payloads_cannot_pass_for_a_footer(tmp_path: Path, make: Make) -> None:
    """A sealed segment is known by a whole footer at its very end, not by bytes that look like its last five."""
    (tmp_path / FIRST).write_bytes(b"".join(encode(make(1, 0))) + b"\x1a\x00\x00\x00\x28")
    assert read_footer(tmp_path / FIRST) is None
