"""What StreamUpload asks of the disk where nothing happens, and of queues whose owners die or delete meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from stream_manager import Status

from edgeloop.clock import NS, now
from edgeloop.config.load import convert
from edgeloop.health import Health
from edgeloop.journal import JournalWriter, directory
from edgeloop.log import Log
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop.wire.batch import Batch, Channel, Clock
from stream_upload.capture import Alarms
from stream_upload.configuration import Configuration
from stream_upload.declaration import NAME
from stream_upload.queues import Queues
from stream_upload.records import Records
from stream_upload.spool import Spool
from stream_upload.state import State
from stream_upload.uploader import Uploader

MAKER = "io.edgeloop.AnomalyInference"
CONFIGURATION = Configuration(bucket="bucket")


def samples(n: int, time: int) -> Batch:
    values = np.full((1, 1), n, "<i2")
    return Batch("plc", 1, n, time, (Channel("x"),), values, times=np.array([time]), clock=Clock("ntp"))


def test_an_idle_uploader_asks_for_no_sync(tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work" / NAME
    work.mkdir(parents=True)
    said = convert({"bucket": "bucket", "every": "1 s"}, Configuration)
    health = Health(NAME, lambda _: None)
    app: Any = SimpleNamespace(config=said, work=work, root=tmp_path, health=health, log=Log(NAME))
    queue = UploadQueue(tmp_path, MAKER)
    base = now() // NS * NS - 3600 * NS
    with JournalWriter(directory(tmp_path), epoch=1) as journal:
        journal.append([samples(n, base + n * NS) for n in range(3)])
    queue.put("images", "a.jpg", b"image")
    with Uploader(app, lambda: memory) as uploader:
        for _ in range(3):
            uploader.step()
        assert len(memory.keys()) >= 1
        assert len(memory.keys("files")) == 2
        for line in ("samples", "files"):
            for number in range(len(memory.keys(line))):
                memory.tell(line, number, Status.Success)
        monkeypatch.setattr("stream_upload.state.LAZY", 0.0)
        for _ in range(3):
            uploader.step()
        assert not list((work / "spool").iterdir())
        asked: list[str] = []
        for call in ("fsync", "fdatasync", "rename", "replace", "unlink"):
            real = getattr(os, call)
            monkeypatch.setattr(os, call, lambda *a, real=real, call=call, **o: (asked.append(call), real(*a, **o))[1])
        for _ in range(5):  # what came last may still be on its way to the disk
            asked.clear()
            for _ in range(200):
                uploader.step()
            if not asked:
                break
        assert asked == []
        assert health.problems == {}


def test_a_file_of_records_with_a_torn_tail_goes_up_and_is_released(tmp_path: Path) -> None:
    torn = UploadQueue(tmp_path, MAKER)
    for n in range(3):
        torn.append("results", b'{"n":%d}' % n)
    path = next(torn.folder.glob("*-results.jsonl"))
    torn.close()
    with path.open("ab") as file:
        file.write(b'{"crc":"0000')
    UploadQueue(tmp_path, MAKER).append("results", b'{"n":3}')
    reader, spool, state = QueueReader(tmp_path, MAKER), Spool(tmp_path / "spool"), State()
    records = Records(state, spool, Alarms(), "core7")
    records.store([reader], CONFIGURATION)
    (waiting,) = spool.files
    lines = waiting.path.read_bytes().splitlines()
    assert [msgspec.json.decode(line)["document"]["n"] for line in lines] == [0, 1, 2]
    assert records.damaged == 1
    assert path.name not in {entry.id for entry in reader.entries()}, "released"


@pytest.mark.parametrize("form", ["file", "records"])
def test_an_entry_that_is_deleted_between_listing_and_reading_is_no_problem(tmp_path: Path, form: str) -> None:
    told: dict[str, str | None] = {}
    queue = UploadQueue(tmp_path, MAKER)
    queue.put("images", "a.jpg", b"image")
    queue.append("results", b"{}")
    queues = Queues(tmp_path, "core7", told.__setitem__)
    queues.look()
    (reader,) = queues.readers
    entry = next(entry for entry in reader.entries() if entry.form == form)
    there = reader.folder / entry.id
    listed = reader.entries()
    reader.entries = lambda: listed  # type: ignore[method-assign]
    shutil.rmtree(there) if form == "file" else there.unlink()
    files = [file.key for file in queues.files(CONFIGURATION)]
    assert len(files) == (0 if form == "file" else 2)
    records = Records(State(), Spool(tmp_path / "spool"), Alarms(), "core7")
    records.look(queues.readers)
    records.store(queues.readers, CONFIGURATION)
    assert not any(told.values())
    assert (records.damaged, records.backlog) == (0, 0 if form == "records" else records.backlog)
