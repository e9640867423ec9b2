"""The life of export tasks, against a Stream Manager in memory with the SDK's own types."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from stream_manager import (
    ServerOutOfMemoryException,
    Status,
)

from edgeloop.config.quantities import Size
from edgeloop.errors import EdgeloopError
from stream_upload.configuration import Configuration, Priorities
from stream_upload.manager import Manager, Refused, Unavailable
from stream_upload.state import State
from stream_upload.tasks import FLIGHT, STANDS, File, Tasks, definitions

CONFIGURATION = Configuration(bucket="bucket", kinesis="k")


class Line:
    def __init__(self, folder: Path, memory: Any) -> None:
        self.memory, self.folder = memory, folder
        self.state = State()
        self.problems: dict[str, str | None] = {}
        self.arrived: list[str] = []
        self.manager = Manager(lambda: self.memory)
        self.tasks = Tasks(self.manager, self.state, self.problems.__setitem__)
        assert self.manager.connected
        for definition in definitions(CONFIGURATION):
            self.manager.define(definition)

    def offer(self, name: str, line: str = "samples", size: int = 10, key: str = "") -> None:
        key = key or f"raw/{name.partition(' ')[0]}"
        file = File(self.folder / name, key, size, line, len(name), lambda: self.arrived.append(name))
        file.path.touch()
        self.tasks.offer([file])


@pytest.fixture
def line(tmp_path: Path, memory: Any) -> Line:
    return Line(tmp_path, memory)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moved = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: moved[0])
    return moved


def test_files_of_which_none_arrives_are_told(line: Line, clock: list[float]) -> None:
    line.offer("one.parquet")
    line.tasks.step(CONFIGURATION)
    clock[0] += STANDS + 1
    line.tasks.step(CONFIGURATION)
    assert "nothing has arrived in the cloud for 121 s, 1 files wait" in str(line.problems["upload.stands"])
    line.memory.tell("samples", 0, Status.Success)
    line.tasks.step(CONFIGURATION)
    assert line.problems["upload.stands"] is None


def test_a_file_is_released_on_success_alone(line: Line) -> None:
    line.offer("one é.parquet")
    for status in (Status.InProgress, Status.Warning):
        line.tasks.step(CONFIGURATION)
        line.memory.tell("samples", 0, status, "SlowDown: wait")
    line.tasks.step(CONFIGURATION)
    assert line.arrived == []
    assert "SlowDown: wait; it is tried again" in str(line.problems["s3"])
    line.memory.tell("samples", 0, Status.Success)
    line.tasks.step(CONFIGURATION)
    assert line.arrived == ["one é.parquet"]
    assert line.problems["s3"] is None
    assert (line.state.objects, line.state.bytes, line.state.flight) == (1, 10, {})
    assert len(line.memory.keys()) == 1


@pytest.mark.parametrize("status", [Status.Failure, Status.Canceled])
def test_what_failed_is_given_again_later(line: Line, clock: list[float], status: Status) -> None:
    line.offer("one")
    line.tasks.step(CONFIGURATION)
    for attempt in range(5):
        line.memory.tell("samples", attempt, status, "AccessDenied")
        line.tasks.step(CONFIGURATION)
        assert len(line.memory.keys()) == attempt + 1, "not before it is due"
        clock[0] += 2 ** (attempt + 1) + 0.1
        line.tasks.step(CONFIGURATION)
        assert len(line.memory.keys()) == attempt + 2
    assert line.tasks.counts.failures == 5
    assert line.arrived == []
    assert set(line.memory.keys()) == {"raw/one"}


def test_an_old_word_of_failure_does_not_count(line: Line, clock: list[float]) -> None:
    line.offer("one")
    line.tasks.step(CONFIGURATION)
    line.memory.tell("samples", 0, Status.Failure)
    line.tasks.step(CONFIGURATION)
    clock[0] += 10
    line.tasks.step(CONFIGURATION)
    line.memory.tell("samples", 0, Status.Failure)
    line.tasks.step(CONFIGURATION)
    assert line.tasks.counts.failures == 1


def test_a_store_that_was_wiped_is_filled_again(line: Line) -> None:
    for n in range(3):
        line.offer(f"file{n}")
    line.tasks.step(CONFIGURATION)
    line.memory.tell("samples", 0, Status.Success)
    line.tasks.step(CONFIGURATION)
    assert line.state.status == 1
    for stream in line.memory.streams.values():
        stream.clear()
    for _ in range(2):
        line.tasks.step(CONFIGURATION)
    assert sorted(line.memory.keys()) == ["raw/file1", "raw/file2"]
    for n in range(2):
        line.memory.tell("samples", n, Status.Success)
    line.tasks.step(CONFIGURATION)
    assert sorted(line.arrived) == ["file0", "file1", "file2"]


def test_done_without_a_word(line: Line, clock: list[float]) -> None:
    line.offer("one")
    line.tasks.step(CONFIGURATION)
    line.memory.exported["edgeloop-samples"] = 0
    clock[0] += 599
    line.tasks.step(CONFIGURATION)
    assert len(line.memory.keys()) == 1
    clock[0] += 2
    line.tasks.step(CONFIGURATION)
    assert len(line.memory.keys()) == 2
    assert line.tasks.counts.resent == 1


def test_what_is_urgent_goes_first_and_few_at_once(line: Line) -> None:
    for n in range(30):
        line.offer(f"sample{n}")
    line.offer("image", "files")
    line.tasks.step(CONFIGURATION)
    assert line.memory.keys("files") == ["raw/image"]
    assert len(line.memory.keys()) == FLIGHT - 1
    line.offer("image2", "files")
    line.tasks.step(CONFIGURATION)
    assert len(line.memory.keys("files")) == 1
    line.memory.tell("samples", 0, Status.Success)
    line.tasks.step(CONFIGURATION)
    assert line.memory.keys("files") == ["raw/image", "raw/image2"]


def test_bandwidth(line: Line, clock: list[float]) -> None:
    configuration = Configuration(bucket="bucket", bandwidth=Size(1000))
    for n in range(10):
        line.offer(f"sample{n}", size=2000)
    clock[0] += 1
    for expected in (1, 1, 2, 2, 2, 3):
        line.tasks.step(configuration)
        assert len(line.memory.keys()) == expected
        clock[0] += 0.7


def test_streams_are_made_once_and_follow_the_configuration(line: Line) -> None:
    assert sorted(line.memory.streams) == ["edgeloop-files", "edgeloop-records", "edgeloop-samples", "edgeloop-status"]
    for definition in definitions(CONFIGURATION):
        line.manager.define(definition)
    assert line.memory.updates == 0
    for definition in definitions(Configuration(bucket="bucket", kinesis="k2", priorities=Priorities(samples=9))):
        line.manager.define(definition)
    assert line.memory.updates == 2
    changed = line.memory.definitions["edgeloop-records"].export_definition.kinesis[0]
    assert changed.kinesis_stream_name == "k2"


def test_a_full_stream_is_a_refusal_and_no_lost_connection(line: Line) -> None:
    line.memory.error = ServerOutOfMemoryException("the stream is full")
    line.offer("one")
    with pytest.raises(Refused, match="the stream is full"):
        line.tasks.step(CONFIGURATION)
    line.memory.error = None
    line.tasks.step(CONFIGURATION)
    assert line.memory.keys() == ["raw/one"]


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset by peer"), KeyError("id"), TimeoutError()])
def test_whatever_the_client_raises_means_a_new_connection(line: Line, clock: list[float], error: Exception) -> None:
    line.memory.error = error
    line.offer("one")
    with pytest.raises(Unavailable) as raised:
        line.tasks.step(CONFIGURATION)
    assert len(str(raised.value).splitlines()) == 1
    line.memory.error = None
    assert not line.manager.connected, "not at once"
    clock[0] += 1.1
    assert line.manager.connected
    line.tasks.step(CONFIGURATION)
    assert line.manager.connections == 2


def test_attempts_to_connect_become_rarer(clock: list[float]) -> None:
    attempts: list[float] = []

    def refuse() -> Any:
        attempts.append(clock[0])
        raise ConnectionRefusedError(111, "Connection refused")

    manager = Manager(refuse)
    for _ in range(3000):
        clock[0] += 0.1
        before = len(attempts)
        with suppress(EdgeloopError):
            assert not manager.connected
        assert len(attempts) <= before + 1
    clock[0] += 60
    with pytest.raises(Unavailable, match="Connection refused; deploy aws.greengrass.StreamManager"):
        assert manager.connected
    waits = [round(b - a) for a, b in itertools.pairwise(attempts[:9])]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_file_whose_owner_dropped_it(line: Line, clock: list[float]) -> None:
    line.offer("one")
    line.tasks.step(CONFIGURATION)
    line.memory.tell("samples", 0, Status.Failure, "no such file")
    (line.folder / "one").unlink()
    line.tasks.step(CONFIGURATION)
    assert line.tasks.counts.vanished == 1
    assert line.tasks.waiting == ()
    assert line.problems["s3"] is None


def test_a_key_that_s3_cannot_have_is_told(line: Line) -> None:
    line.offer("long", key="k" * 1100)
    line.offer("one")
    line.tasks.step(CONFIGURATION)
    assert "key must have a maximum length" in str(line.problems["s3"])
    assert line.memory.keys() == ["raw/one"]
