"""Bytes a day, the order of what waits, and shares."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from stream_manager import Status

from edgeloop.config.load import InvalidConfiguration, convert
from edgeloop.config.quantities import Size
from edgeloop.queue import QueueReader, UploadQueue
from stream_upload.allowance import Allowance
from stream_upload.capture import Alarms
from stream_upload.configuration import Configuration
from stream_upload.manager import Manager
from stream_upload.records import Records
from stream_upload.spool import Spool
from stream_upload.state import State
from stream_upload.tasks import File, Tasks, definitions

DAY = Configuration(bucket="bucket", day=Size(10_000))
MAKER = "io.edgeloop.AnomalyInference"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moved = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: moved[0])
    return moved


@pytest.fixture
def line(memory: Any, tmp_path: Path) -> Any:
    return Line(memory, tmp_path)


class Line:
    def __init__(self, memory: Any, folder: Path) -> None:
        self.memory, self.folder, self.state = memory, folder, State()
        self.begin()

    def begin(self) -> None:
        manager = Manager(lambda: self.memory)
        self.tasks = Tasks(manager, self.state, lambda *_: None)
        assert manager.connected
        for definition in definitions(Configuration(bucket="bucket")):
            manager.define(definition)

    def offer(self, number: int, kind: Any, size: int = 1000) -> None:
        path = self.folder / f"{kind}{number}"
        path.touch()
        name = "samples" if kind == "samples" else "files"
        self.tasks.offer([File(path, path.name, size, name, number, lambda: None, kind)])

    def given(self, kind: str, configuration: Configuration = DAY) -> int:
        """Those handed over until nothing more is; each arrives at once."""
        name, before = "samples" if kind == "samples" else "files", -1
        while before < (count := len(self.memory.keys("samples")) + len(self.memory.keys("files"))):
            before = count
            done = {line: len(self.memory.keys(line)) for line in ("samples", "files")}
            self.tasks.step(configuration)
            for line, first in done.items():
                for number in range(first, len(self.memory.keys(line))):
                    self.memory.tell(line, number, Status.Success)
        return sum(key.startswith(kind) for key in self.memory.keys(name))


def test_no_more_than_the_days_bytes_go_up_in_any_24_hours(line: Line, clock: list[float]) -> None:
    for n in range(60):
        line.offer(n, "samples")
    for hour in range(72):
        gone = line.given("samples")
        assert gone <= 5 * (1 + hour // 24), "half of 10,000 bytes are those of samples"
        if hour == 30:
            line.begin()
            for n in range(gone, 60):
                line.offer(n, "samples")
        clock[0] += 3600
    assert line.given("samples") >= 15, "what waited goes the next day"
    assert line.tasks.counts.held == len(line.tasks.waiting) > 0


def test_records_go_whatever_the_day_has_left_and_files_have_their_share(line: Line, clock: list[float]) -> None:
    for n in range(20):
        line.offer(n, "samples")
        line.offer(n, "records")
        line.offer(n, "files")
    assert line.given("records") == 20
    assert line.given("files") == 3, "their share: they went first"
    assert line.given("samples") == 1, "one goes however much the others took"
    assert line.tasks._day.spent() == sum(sum(hour.values()) for hour in line.state.spent) == 24_000


def test_a_restart_brings_no_new_day(clock: list[float]) -> None:
    spent: list[dict[str, int]] = []
    Allowance(spent).spend("samples", 5000)
    clock[0] += 86_400 * 3
    again = Allowance(spent)
    assert not again.allows("samples", 1, DAY)
    clock[0] += 86_399
    assert not again.allows("samples", 1, DAY)
    clock[0] += 3601
    assert again.allows("samples", 5000, DAY)


@pytest.mark.parametrize("order", ["backlog", "live"])
def test_the_order_of_what_waits(line: Line, order: str) -> None:
    configuration = convert({"bucket": "bucket", "order": order}, Configuration)
    for n in range(40):
        line.offer(n, "samples")
    line.given("samples", configuration)
    numbers = [int(key.removeprefix("samples")) for key in line.memory.keys("samples")]
    assert numbers == sorted(range(40), reverse=order == "live")


def test_records_keep_to_their_share_of_the_disk(tmp_path: Path) -> None:
    configuration = Configuration(bucket="bucket", disk=Size("1 MiB"))
    spool, queue = Spool(tmp_path / "spool"), UploadQueue(tmp_path, MAKER, segment=100_000)
    for _ in range(600):
        queue.append("results", b'{"text":"%s"}' % (b"x" * 1000))
    reader = QueueReader(tmp_path, MAKER)
    records = Records(State(), spool, Alarms(), "core7")
    for _ in range(20):
        records.store([reader], configuration)
    share = (1 << 20) * 0.2
    assert share <= spool.held("records") < share + 120_000
    assert len(reader.entries()) >= 3, "the others wait where they are"
    for waiting in spool.files:
        spool.remove(waiting)
    before = len(reader.entries())
    records.store([reader], configuration)
    assert len(reader.entries()) < before


@pytest.mark.parametrize(
    "wrong",
    [{"shares": {"records": "60%", "files": "30%", "samples": "50%"}}, {"shares": {"files": "30"}}, {"order": "x"}],
)
def test_what_is_no_share_and_no_order(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration):
        convert({"bucket": "bucket", **wrong}, Configuration)
