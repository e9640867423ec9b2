"""Records of the upload queues: alarms that open windows, and what is released when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeloop.alarms import Alarm, Cause
from edgeloop.config.quantities import Duration
from edgeloop.queue import QueueError, QueueReader, UploadQueue
from stream_upload import state
from stream_upload.capture import Alarms
from stream_upload.configuration import Configuration
from stream_upload.ledger import Gap
from stream_upload.manager import Export, Unavailable
from stream_upload.records import Records
from stream_upload.spool import Spool
from stream_upload.state import State

NAME = "io.edgeloop.AnomalyInference"
CONFIGURATION = Configuration(bucket="bucket", kinesis="k", every=Duration("1 h"))


class Kinesis:
    """The part of the manager that records need."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.exported = -1
        self.fails_at = -1

    def export(self, stream: str) -> Export:
        return Export(len(self.messages) - 1, self.exported, "")

    def append(self, stream: str, data: bytes) -> int:
        if len(self.messages) == self.fails_at:
            raise Unavailable("gone")
        self.messages.append(msgspec.json.decode(data))
        return len(self.messages) - 1


def alarm(state: str, time: int) -> bytes:
    return Alarm(
        id="a1", monitor="bearing", asset="press1", kind="process", severity="high", state=state, text="outer race ×6",  # type: ignore[arg-type]
        raised_at=time, time=time, sample_time=time, cause=Cause(stream="press1_vib"),
    ).document()  # fmt: skip


def test_alarms_open_windows_once(tmp_path: Path) -> None:
    queue, saved, alarms = UploadQueue(tmp_path, NAME), State(), Alarms()
    records = Records(saved, Spool(tmp_path / "spool"), alarms, "core7")
    readers = [QueueReader(tmp_path, NAME)]
    queue.append("alarms", alarm("raised", 100))
    queue.append("alarms", alarm("cleared", 200))
    with pytest.raises(QueueError, match="not a record"):
        queue.append("alarms", b"no json")
    queue.append("results", alarm("raised", 300))
    for _ in range(2):
        records.look(readers)
    assert [a.time for a in alarms.kept()] == [100]
    assert alarms.between("press1_vib", set(), 50, 100)
    assert not alarms.between("press2_vib", set(), 50, 100)
    assert alarms.between("press2_vib", {"bearing"}, 50, 100)


def test_what_components_declare_is_declared_once(tmp_path: Path) -> None:
    queue, saved, declared = UploadQueue(tmp_path, NAME), State(), list[Gap]()
    records = Records(saved, Spool(tmp_path / "spool"), Alarms(), "core7", declare=declared.append)
    readers = [QueueReader(tmp_path, NAME)]
    queue.append("gaps", b'{"schema":1,"stream":"gate_video","first":5,"last":9,"reason":"dropped","time":10}')
    queue.append("gaps", b'{"stream":"gate_video"}')
    for _ in range(2):
        records.look(readers)
    assert declared == [Gap("gate_video", 0, 5, 9, "dropped", 10)]


def test_records_go_on_where_the_connection_broke(tmp_path: Path) -> None:
    queue, saved, kinesis = UploadQueue(tmp_path, NAME, segment=600), State(), Kinesis()
    records = Records(saved, Spool(tmp_path / "spool"), Alarms(), "core7")
    readers = [QueueReader(tmp_path, NAME)]
    for n in range(60):
        queue.append("results", b'{"n":%d}' % n)
    kinesis.fails_at = 25
    with pytest.raises(Unavailable):
        records.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    kinesis.fails_at = -1
    records.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    assert [m["document"]["n"] for m in kinesis.messages] == list(range(60))
    assert len({(m["file"], m["offset"]) for m in kinesis.messages}) == 60
    files = len(readers[0].entries())
    kinesis.exported = 30
    records.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    assert 0 < len(readers[0].entries()) < files
    again = Records(msgspec.json.decode(msgspec.json.encode(saved), type=State), records._spool, Alarms(), "core7")
    again.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    assert len(kinesis.messages) == 60, "nothing twice after a restart"
    kinesis.messages = kinesis.messages[:31]
    again.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    assert {m["document"]["n"] for m in kinesis.messages} == set(range(60)), "what a wiped store lost comes again"
    kinesis.exported = len(kinesis.messages) - 1
    again.stream(readers, CONFIGURATION, kinesis)  # type: ignore[arg-type]
    assert len(readers[0].entries()) == 1, "the file that is still written to"


def test_files_of_records_survive_a_death_before_the_state_is_saved(tmp_path: Path) -> None:
    queue, spool = UploadQueue(tmp_path, NAME, segment=600), Spool(tmp_path / "spool")
    for n in range(60):
        queue.append("results", b'{"n":%d}' % n)
    readers = [QueueReader(tmp_path, NAME)]
    Records(State(), spool, Alarms(), "core7").store(readers, CONFIGURATION)
    made = [waiting.note.key for waiting in spool.files]
    assert len(made) == 2, "the last file is still written to"
    found, recovered = Spool(tmp_path / "spool"), State()
    state.recover(recovered, found.files)
    Records(recovered, found, Alarms(), "core7").store([QueueReader(tmp_path, NAME)], CONFIGURATION)
    assert [waiting.note.key for waiting in found.files] == made
