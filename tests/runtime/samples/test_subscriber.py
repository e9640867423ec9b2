"""Every item once and in order, whatever becomes of the notices."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgeloop
from edgeloop.journal import JournalFull, JournalReader, JournalWriter, Position
from edgeloop.journal.segment import segments
from edgeloop.samples import SamplesPublisher, SamplesSubscriber
from edgeloop.topics import SAMPLES
from edgeloop.wire.batch import Batch, Channel, Item

SMALL = {"segment_bytes": 16 << 10, "budget_bytes": 1 << 26, "sync_interval": 3600.0}
LIBRARY = str(Path(edgeloop.__file__).parents[1])


def batch(epoch: int, index: int, rows: int = 5, stream: str = "a") -> Batch:
    return Batch(stream, epoch, index, 0, (Channel("x"),), np.full((rows, 1), index, "<i4"), Fraction(10))


class Line:
    """A writer and the notices it sent."""

    def __init__(self, directory: Path, **options: int | float) -> None:
        self.directory = directory
        self.sent: list[bytes] = []
        self._options = {**SMALL, **options}
        self.index = 0
        self.restart()

    def restart(self) -> None:
        self.writer = JournalWriter(self.directory, **self._options)  # type: ignore[arg-type]
        self.publisher = SamplesPublisher(self._send, self.writer)

    def _send(self, topic: str, payload: bytes) -> bool:
        assert topic == SAMPLES
        self.sent.append(payload)
        return True

    def tick(self, rows: int = 5) -> bytes:
        """Appends one batch of stream a and one of b; returns the notice."""
        self.publisher.tick([batch(self.writer.epoch, self.index, rows), batch(self.writer.epoch, self.index, 1, "b")])
        self.index += rows
        return self.sent[-1]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.writer.close()


def keys(items: list[Item]) -> list[tuple[str, int, int]]:
    return [(item.stream, item.epoch, item.index) for item in items if isinstance(item, Batch)]


def taker(sent: list[bytes]) -> Callable[[str, bytes], bool]:
    def publish(topic: str, payload: bytes) -> bool:
        sent.append(payload)
        return True

    return publish


def all_of(directory: Path) -> list[tuple[str, int, int]]:
    return keys([item for item, _ in JournalReader(directory).read()])


@pytest.mark.parametrize("rows", [5, 3000])
def test_inline_or_in_the_journal_it_is_the_same(line: Line, rows: int) -> None:
    subscriber = SamplesSubscriber(line.directory)
    for _ in range(20):
        notice = line.tick(rows)
        assert (len(notice) < 200) == (rows > 1000)
        subscriber.notice(notice)
        assert len(subscriber.read(0)) == 2
        assert subscriber.position == line.writer.position


def test_inline_batches_need_no_file(line: Line) -> None:
    subscriber = SamplesSubscriber(line.directory)
    line.tick()
    assert len(subscriber.read(0)) == 2
    subscriber.notice(line.tick())
    for name in segments(line.directory):
        (line.directory / name).rename(line.directory / f"{name}.away")
    assert len(subscriber.read(0)) == 2
    for name in os.listdir(line.directory):
        (line.directory / name).rename(line.directory / name.removesuffix(".away"))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_lost_repeated_and_reordered_notices(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    line = Line(tmp_path_factory.mktemp("j"), segment_bytes=4096)
    subscriber = SamplesSubscriber(line.directory)
    seen: list[Item] = []
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(("tick", "big tick", "deliver", "old", "read", "restart", "nonsense"))):
            case "tick":
                line.tick()
            case "big tick":
                line.tick(3000)
            case "deliver" if line.sent:
                subscriber.notice(line.sent[-1])
            case "old" if line.sent:
                subscriber.notice(data.draw(st.sampled_from(line.sent)))
            case "restart":
                line.writer.close()
                line.restart()
            case "nonsense":
                subscriber.notice(data.draw(st.binary(max_size=20)))
            case _:
                seen += subscriber.read(0)
    line.writer.close()
    while items := subscriber.read(0):
        seen += items
    assert keys(seen) == all_of(line.directory)
    assert subscriber.gaps == 0


def test_only_the_streams_wanted(line: Line) -> None:
    subscriber = SamplesSubscriber(line.directory, {"b"})
    for i in range(10):
        notice = line.tick()
        if i % 2:
            subscriber.notice(notice)
    assert {item.stream for item in subscriber.read(0)} == {"b"}
    for _ in range(5):
        subscriber.notice(line.tick())
    assert [item.stream for item in subscriber.read(0)] == ["b"] * 5


def test_nothing_of_interest_is_no_reason_to_return_early_or_spin(line: Line) -> None:
    subscriber = SamplesSubscriber(line.directory, {"none"})
    line.tick()
    looks = 0
    real = subscriber._from_journal

    def counted(items: list[Item]) -> bool:
        nonlocal looks
        looks += 1
        return real(items)

    subscriber._from_journal = counted  # type: ignore[method-assign]
    subscriber.notice(line.tick())
    start = monotonic()
    assert subscriber.read(0.3) == []
    assert monotonic() - start >= 0.3
    assert looks < 8


def test_from_the_tail_or_from_a_saved_position(line: Line) -> None:
    for _ in range(5):
        line.tick()
    saved = line.writer.position
    for _ in range(5):
        line.tick()
    tail = SamplesSubscriber(line.directory)
    assert tail.read(0) == []
    again = SamplesSubscriber(line.directory, None, saved)
    assert keys(again.read(0)) == all_of(line.directory)[10:]
    notice = line.tick()
    tail.notice(notice)
    again.notice(notice)
    assert keys(tail.read(0)) == keys(again.read(0)) == all_of(line.directory)[-2:]


def test_a_notice_ends_the_wait(line: Line) -> None:
    subscriber = SamplesSubscriber(line.directory)
    subscriber.read(0)
    threading.Timer(0.1, lambda: subscriber.notice(line.tick())).start()
    start = monotonic()
    assert len(subscriber.read(30)) == 2
    assert monotonic() - start < 20


def test_without_any_notice_the_journal_is_looked_at(line: Line) -> None:
    subscriber = SamplesSubscriber(line.directory)
    subscriber.read(0)
    threading.Timer(0.1, line.tick).start()
    start = monotonic()
    assert len(subscriber.read(30)) == 2
    assert monotonic() - start < 20


def test_behind_the_oldest_it_goes_on_at_the_tail_and_counts(line: Line) -> None:
    for _ in range(200):
        line.tick()
    subscriber = SamplesSubscriber(line.directory, None, Position(segments(line.directory)[1], 0))
    for name in segments(line.directory)[:-1]:
        (line.directory / name).unlink()
    assert subscriber.read(0) == []
    assert subscriber.gaps == 1
    line.tick()
    assert keys(subscriber.read(0)) == all_of(line.directory)[-2:]


def test_a_long_backlog_comes_in_pieces(tmp_path: Path) -> None:
    line = Line(tmp_path, segment_bytes=8 << 20)
    subscriber = SamplesSubscriber(tmp_path)
    for _ in range(10):
        line.tick(1_000_000)
    line.writer.close()
    pieces = []
    while items := subscriber.read(0):
        pieces.append(len(items))
    assert sum(pieces) == 20
    assert len(pieces) > 1


def test_notices_that_nobody_takes_are_counted_and_empty_ticks_say_nothing(tmp_path: Path) -> None:
    with JournalWriter(tmp_path) as writer:
        publisher = SamplesPublisher(lambda topic, payload: False, writer)
        publisher.tick([])
        publisher.tick([batch(1, 0)])
        assert (publisher.notices, publisher.lost_notices) == (1, 1)
        subscriber = SamplesSubscriber(tmp_path, None, Position("", 0))
        assert len(subscriber.read(0)) == 1


def test_bare_notices(tmp_path: Path) -> None:
    sent: list[bytes] = []
    with JournalWriter(tmp_path) as writer:
        publisher = SamplesPublisher(taker(sent), writer, inline=0)
        subscriber = SamplesSubscriber(tmp_path)
        publisher.tick([batch(1, 0)])
        subscriber.notice(sent[0])
        assert len(subscriber.read(5)) == 1
    assert len(sent[0]) < 120


def test_what_a_full_disk_still_took_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    sent: list[bytes] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JournalWriter(tmp_path, sync_interval=3600) as writer:
        publisher = SamplesPublisher(taker(sent), writer)
        subscriber = SamplesSubscriber(tmp_path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(JournalFull) as full:
                publisher.tick([batch(1, i * 100, 100) for i in range(3)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        subscriber.notice(sent[0])
        assert len(subscriber.read(0)) == full.value.written == 1
        publisher.tick([batch(1, 100, 100)])
        subscriber.notice(sent[1])
        assert [key[2] for key in keys(subscriber.read(0))] == [100]


WRITER = """
import os, sys
from pathlib import Path
from fractions import Fraction
import numpy as np
from edgeloop.journal import JournalWriter
from edgeloop.samples import SamplesPublisher
from edgeloop.wire.batch import Batch, Channel

def publish(topic, payload):
    os.write(1, payload.hex().encode() + b"\\n")
    return True

writer = JournalWriter(Path(sys.argv[1]), segment_bytes=256 << 10, budget_bytes=1 << 30)
publisher = SamplesPublisher(publish, writer)
index = 0
while True:
    rows = 2000 if index % 3 else 20
    publisher.tick([Batch(s, writer.epoch, index, 0, (Channel("x"),), np.full((rows, 1), index, "<i4"), Fraction(10))
                    for s in ("a", "b")])
    index += rows
"""


def test_a_reader_beside_writers_that_are_killed(tmp_path: Path) -> None:
    """Real processes; a third of the notices is lost, some come twice or late."""
    directory = tmp_path / "journal"
    subscriber = SamplesSubscriber(directory)
    seen: list[tuple[str, int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.extend(keys(subscriber.read(0.05)))

    reader = threading.Thread(target=read)
    reader.start()
    chance = random.Random(3)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": LIBRARY},
        ) as writer:
            assert writer.stdout
            held: list[bytes] = []
            for _ in range(chance.randrange(200, 400)):
                payload = bytes.fromhex(writer.stdout.readline().decode())
                held.append(payload)
                if chance.random() < 0.6:
                    subscriber.notice(held.pop(chance.randrange(len(held))))
                if chance.random() < 0.1:
                    subscriber.notice(payload)
            writer.kill()
    JournalWriter(directory).close()
    wanted = all_of(directory)
    deadline = monotonic() + 20
    while len(seen) < len(wanted) and monotonic() < deadline:
        reader.join(0.05)
    done.set()
    reader.join()
    assert seen == wanted
    assert len({epoch for _, epoch, _ in seen}) == 4
    assert subscriber.gaps == 0
