"""What the durable room promises beside what crashes may leave: few writes, told damage, bounded work."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from edgeloop.durable import AppendLog, Document, Listing, Snapshot
from edgeloop.journal import CursorFile, JournalReader, JournalWriter, Position
from edgeloop.journal.retention import Retention
from edgeloop.journal.segment import name
from edgeloop.models import store
from edgeloop.models.golden import Case, worst
from edgeloop.models.manifest import Golden
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop.wire.batch import Batch, Channel, Dropped


class Counted:
    """Syncs that were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for call in ("fsync", "fdatasync"):
            real = getattr(os, call)

            def counting(descriptor: int, real: object = real) -> None:
                self.count += 1
                real(descriptor)  # type: ignore[operator]

            monkeypatch.setattr(os, call, counting)


def test_what_has_not_changed_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document: Document[dict[str, int]] = Document(tmp_path / "d.json", dict[str, int], dict)
    syncs = Counted(monkeypatch)
    assert document.save({"n": 1})
    first = syncs.count
    assert not any(document.save({"n": 1}) for _ in range(1000))
    assert syncs.count == first
    (tmp_path / "d.json").unlink()
    assert document.save({"n": 1}), "somebody deleted it"


def test_a_damaged_document_is_set_aside_and_told(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    document: Document[dict[str, int]] = Document(path, dict[str, int], lambda: {"n": 0})
    document.save({"n": 12345})
    path.write_bytes(path.read_bytes().replace(b"12345", b"12346"))
    assert document.load() == {"n": 0}
    assert "set aside as d.damaged" in document.damage
    assert not path.exists()


def test_a_snapshot_keeps_to_its_budget(tmp_path: Path) -> None:
    now = [0.0]
    file = Snapshot(tmp_path / "s", every=10.0, day=1_000_000, clock=lambda: now[0])
    for second in range(86_400):
        now[0] = float(second)
        if file.due:
            file.save(second.to_bytes(8, "big") * 125)
    assert 0.8e6 < file.written <= 1.01e6
    large = Snapshot(tmp_path / "l", every=10.0, day=1, longest=240.0, clock=lambda: now[0])
    large.save(b"x" * 1000)
    now[0] += 241
    assert large.due, "whatever its size, it is never older than that"


def test_a_failed_sync_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AppendLog(tmp_path / "l.jsonl")
    log.append(b'{"n":0}')
    real, written = os.fdatasync, os.pwrite
    again: list[bytes] = []

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        log.append(b'{"n":1}')
    monkeypatch.setattr(os, "fdatasync", real)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: again.append(bytes(data)) or written(fd, data, at))
    log.append(b'{"n":2}')
    assert any(b'"n":1' in data for data in again), "what the failed sync perhaps lost"
    assert log.read() == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    log.close()


def test_lines_that_ran_into_each_other_are_parted(tmp_path: Path) -> None:
    log = AppendLog(tmp_path / "l.jsonl")
    for n in range(3):
        log.append(b'{"n":%d}' % n, sync=False)
    content = (tmp_path / "l.jsonl").read_bytes()
    (tmp_path / "l.jsonl").write_bytes(content.replace(b"\n", b"x", 1))
    assert AppendLog(tmp_path / "l.jsonl").read() == [b'{"n":1}', b'{"n":2}']


def test_a_settled_folder_is_not_listed_again(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    old = time.time_ns() - 10_000_000_000
    os.utime(tmp_path, ns=(old, old))
    listing = Listing(tmp_path)
    assert [listing.names() for _ in range(100)] == [("a",)] * 100
    assert listing.listed == 1
    (tmp_path / "b").touch()
    assert listing.names() == ("a", "b")


def test_sixteen_thousand_entries_are_released_in_linear_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = UploadQueue(tmp_path, "io.edgeloop.Maker")
    queue.append("alarms", b"{}")
    for number in range(2, 16_001):
        (queue.folder / f"{number:012d}-images").mkdir()
    queue.close()
    reader = QueueReader(tmp_path, "io.edgeloop.Maker")
    listed = reader._listing
    entries = reader.entries()
    assert len(entries) == 16_000
    syncs = Counted(monkeypatch)
    for entry in entries:
        reader.release(entry.number)
    reader.save()
    assert reader.entries() == []
    assert listed.listed <= 2
    assert syncs.count <= 4


def batch(index: int, stream: str = "s") -> Batch:
    return Batch(stream, 1, index, index, (Channel("x"),), np.zeros((1, 1), "<i2"), times=np.array([index]))


def test_a_journal_whose_folder_vanishes_goes_on(tmp_path: Path) -> None:
    folder, cursor = tmp_path / "journal", CursorFile(tmp_path / "cursor")
    told: dict[str, str] = {}
    with JournalWriter(folder, durable_readers={"upload": cursor.path}, on_problem=told.__setitem__) as writer:
        writer.append([batch(0)])
        reader = JournalReader(folder)
        assert len(list(reader.read())) == 1
        cursor.save(reader.position)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        writer.append([batch(1)])
        assert "deleted" in told["journal.vanished"]
        assert [item.index for item, _ in reader.read() if isinstance(item, Batch)] == [1]
        assert reader.gaps == 1
        cursor.save(Position(name(500, 7), 0))
    with JournalWriter(folder, durable_readers={"upload": cursor.path}) as writer:
        span = writer.append([batch(2)])
        assert span.segment > name(500, 7), "places rise, whatever became of the folder"


def test_what_is_named_like_a_segment_and_is_none(tmp_path: Path) -> None:
    (tmp_path / name(3, 7)).mkdir()
    (tmp_path / name(4, 7)).symlink_to(tmp_path / "nowhere")
    with JournalWriter(tmp_path) as writer:
        writer.append([batch(0)])
        assert len(list(JournalReader(tmp_path).read())) == 1


def test_of_too_many_records_the_oldest_go_not_the_first_by_name(tmp_path: Path) -> None:
    told: list[object] = []
    retention = Retention(tmp_path, 1, {}, lambda *line: told.append(line), told.append)
    retention._record([Dropped(f"s{k:04}", 1, 0, 9, 1000 - k) for k in range(1000)])
    kept = retention._record([Dropped("aa", 1, 0, 9, 5000)])
    assert [record.stream for record in kept] == ["aa"]
    assert {"aa", "s0000"} <= {record.stream for record in retention._known}
    assert "s0999" not in {record.stream for record in retention._known}
    assert retention.forgotten == 1


def test_a_model_that_has_proved_itself_is_never_lost(tmp_path: Path) -> None:
    shelf = store.Shelf(tmp_path / "m", "m")
    a, b, c = (store.Ref(digest=digit * 64, version=digit) for digit in "abc")
    shelf.activate(a, 1)
    shelf.commit(2)
    shelf.activate(b, 3)
    back = shelf.activate(a, 4)
    assert (back.active, back.previous, back.state) == (a, None, "committed")
    shelf.activate(b, 5)
    on = shelf.activate(c, 6)
    assert (on.active, on.previous, on.state) == (c, a, "probation")


def test_no_number_is_never_equal() -> None:
    case = Case({}, [np.array([np.nan])])
    assert worst(case, [np.array([np.nan])], Golden()) == float("inf")
