"""Segments, sizes, times to live, and what a crash leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop_tools.core.stream_manager.definitions import MessageStreamDefinition, convert
from edgeloop_tools.core.stream_manager.store import Log, Message, StreamFull
from edgeloop_tools.core.stream_manager.store.log import TooLarge
from edgeloop_tools.core.stream_manager.store.segment import HEAD, Segment

KINDS = pytest.mark.parametrize("persistence", [0, 1], ids=["file", "memory"])


def definition(**fields: Any) -> MessageStreamDefinition:
    defaults = {"name": "s", "strategyOnFull": 1, "streamSegmentSize": 1024, "maxSize": 4096}
    return convert({**defaults, **fields}, MessageStreamDefinition)


def open_log(folder: Path, dropped: list[int] | None = None, **fields: Any) -> Log:
    def on_drop(segment: Segment) -> None:
        if dropped is not None:
            dropped.extend(message.sequence_number for message in segment.read(0))

    return Log(definition(**fields), folder, on_drop)


def numbers(log: Log, start: int = 0) -> list[int]:
    return [message.sequence_number for message in log.read(start)]


@KINDS
def test_the_oldest_segments_go_when_it_is_full(tmp_path: Path, persistence: int) -> None:
    dropped: list[int] = []
    log = open_log(tmp_path, dropped, persistence=persistence)
    for number in range(100):
        assert log.append(bytes(200), number) == number
        assert log.total_bytes <= 4096
        assert log.total_bytes == (log.newest - log.oldest + 1) * (200 + HEAD.size)
    assert numbers(log) == list(range(log.oldest, 100))
    assert dropped == list(range(log.oldest))
    assert log.oldest % 4 == 0, "data goes segment by segment"
    assert log.available(90) == 10
    assert numbers(log, 97) == [97, 98, 99]
    assert len(list(tmp_path.iterdir())) <= 5


@KINDS
def test_a_full_stream_may_keep_what_it_has(tmp_path: Path, persistence: int) -> None:
    log = open_log(tmp_path, persistence=persistence, strategyOnFull=0)
    kept = [log.append(bytes(200), number) for number in range(4096 // (200 + HEAD.size))]
    with pytest.raises(StreamFull, match="of 4096 bytes"):
        log.append(bytes(200), 0)
    assert numbers(log) == kept
    with pytest.raises(TooLarge):
        log.append(bytes(1024), 0)
    assert log.append(bytes(4096 - log.total_bytes - HEAD.size), 0) == len(kept)


@KINDS
def test_messages_outlive_their_time_segment_by_segment_and_numbers_go_on(tmp_path: Path, persistence: int) -> None:
    log = open_log(tmp_path, persistence=persistence, timeToLiveMillis=60_000)
    for number in range(8):
        log.append(bytes(200), number * 10_000)
    log.expire(60_000 + 30_000)
    assert numbers(log) == [4, 5, 6, 7]
    log.expire(10_000_000)
    assert numbers(log) == []
    assert (log.oldest, log.newest, log.total_bytes) == (8, 7, 0)
    if persistence == 0:
        log.close()
        log = open_log(tmp_path, timeToLiveMillis=60_000)
    assert log.append(b"x", 10_000_000) == 8


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    log = open_log(tmp_path, maxSize=1 << 20)
    payloads = [bytes([number]) * (number + 1) for number in range(200)]
    for number, payload in enumerate(payloads):
        log.append(payload, number)
    again = open_log(tmp_path, maxSize=1 << 20)
    assert list(again.read(0)) == [Message(number, number, payload) for number, payload in enumerate(payloads)]
    assert again.total_bytes == log.total_bytes
    assert again.append(b"more", 1) == 200


@given(cut=st.integers(0, 2000), junk=st.binary(max_size=40))
@settings(deadline=None, max_examples=60)
def test_a_torn_tail_is_cut_and_the_stream_goes_on(tmp_path_factory: Any, cut: int, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder, streamSegmentSize=2048)
    ends = [0]
    for number in range(40):
        log.append(bytes([number]) * number, 0)
        ends.append(ends[-1] + HEAD.size + number)
    log.close()
    path = folder / f"{0:020d}.log"
    path.write_bytes(path.read_bytes()[:cut] + junk)
    whole = sum(1 for end in ends[1:] if end <= cut)
    again = open_log(folder, streamSegmentSize=2048)
    assert [message.payload for message in again.read(0)] == [bytes([number]) * number for number in range(whole)]
    assert again.append(b"next", 0) == whole
    assert path.stat().st_size == again.total_bytes
    shutil.rmtree(folder)


def test_damage_in_an_old_segment_costs_its_end_only(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(12):
        log.append(bytes(200), number)
    log.close()
    first = sorted(tmp_path.iterdir())[0]
    data = bytearray(first.read_bytes())
    data[2 * (200 + HEAD.size) + 30] ^= 1
    first.write_bytes(data)
    again = open_log(tmp_path)
    assert numbers(again) == [0, 1, *range(4, 12)]
    assert first.read_bytes() == bytes(data), "what is damaged stays for a person to look at"
    assert numbers(again, 3) == list(range(4, 12))
