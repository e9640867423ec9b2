"""The upload queue, from both sides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from edgeloop.queue import QueueError, QueueReader, UploadQueue, released
from edgeloop.queue.reader import components
from edgeloop.uploader import released_file

NAME = "io.edgeloop.Maker"


def records(reader: QueueReader) -> list[bytes]:
    entries = [entry for entry in reader.entries() if entry.form == "records"]
    return [line for entry in entries for line, _, _ in reader.records(entry, 0).found]


def test_records_are_read_in_order(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME, segment=100)
    for n in range(50):
        queue.append("results", b'{"n":%d}' % n, sync=n == 7)
    queue.append("alarms", b"{}")
    reader = QueueReader(tmp_path, NAME)
    assert components(tmp_path) == [NAME]
    results = [entry for entry in reader.entries() if entry.kind == "results"]
    assert len(results) > 3
    assert [line for e in results for line, _, _ in reader.records(e, 0).found] == [b'{"n":%d}' % n for n in range(50)]
    first = results[0]
    middle = reader.records(first, 0).found[2][2]
    assert reader.records(first, middle).found[0][0] == b'{"n":3}'
    assert reader.records(first, 0, limit=1).found[0][0] == b'{"n":0}', "one record, however small the limit"


def test_a_file_is_there_whole_or_not(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME)

    def fails(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("camera")

    with pytest.raises(RuntimeError, match="camera"):
        queue.put("images", "a.jpg", fails)
    entry = queue.put("images", "a.jpg", lambda file: file.write(b"whole"), {"label": "ok"}, time=5)
    reader = QueueReader(tmp_path, NAME)
    assert reader.entries() == [entry]
    path, description = reader.describe(entry)
    assert path.read_bytes() == b"whole"
    assert (description.kind, description.name, description.time) == ("images", "a.jpg", 5)
    assert description.document == {"label": "ok"}
    assert len(list(queue.folder.iterdir())) == 1


def test_what_is_released_goes_and_nothing_else(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME, segment=10)
    for n in range(4):
        queue.append("results", b'{"number":%d}' % n)
    image = queue.put("images", "a.jpg", b"x")
    reader = QueueReader(tmp_path, NAME)
    second = reader.entries()[1]
    reader.release(second.number, image.number)
    reader.save()
    assert second not in reader.entries()
    queue.append("results", b'{"number":4}')
    assert records(reader) == [b'{"number":%d}' % n for n in (0, 2, 3, 4)]
    assert len(list(queue.folder.iterdir())) == 4
    again = QueueReader(tmp_path, NAME)
    assert image not in again.entries()
    queue.close()
    later = UploadQueue(tmp_path, NAME)
    later.append("results", b"{}")
    assert max(entry.number for entry in reader.entries()) > image.number, "numbers are never used twice"


def test_numbers_go_on_where_the_folder_was_emptied(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME)
    entry = queue.put("images", "a.jpg", b"x")
    reader = QueueReader(tmp_path, NAME)
    reader.release(entry.number)
    reader.save()
    queue.sweep()
    assert not list(queue.folder.iterdir())
    entry = UploadQueue(tmp_path, NAME).put("images", "a.jpg", b"x")
    assert QueueReader(tmp_path, NAME).entries() == [entry]


def test_over_the_budget_the_oldest_goes(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME, budget=5000)
    queue.append("alarms", b"{}")
    for n in range(20):
        queue.put("images", f"{n}.jpg", bytes(1000))
    queue.append("alarms", b"{}")
    assert records(QueueReader(tmp_path, NAME)) == [b"{}", b"{}"]
    assert queue.size <= 5000 + 1200
    assert queue.lost >= 14
    names = [QueueReader(tmp_path, NAME).describe(e)[1].name for e in QueueReader(tmp_path, NAME).entries()[1:]]
    assert names == [f"{n}.jpg" for n in range(20 - len(names), 20)]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "entry.json", "a b", "x" * 200])
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueueError, match="not a name"):
        UploadQueue(tmp_path, NAME).put("images", name, b"x")


def test_what_is_no_record_or_kind(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME)
    for record in (b"", b"a\nb"):
        with pytest.raises(QueueError, match="not a record"):
            queue.append("results", record)
    with pytest.raises(QueueError, match="not a kind"):
        queue.append("No Kind", b"{}")


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = UploadQueue(tmp_path, NAME)
    queue.append("results", b'{"n":1}')

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(QueueError, match="No space left on device; free disk space"):
            queue.append("results", b'{"n":2}')
    queue.append("results", b'{"n":3}')
    assert records(QueueReader(tmp_path, NAME)) == [b'{"n":1}', b'{"n":3}']


def test_a_damaged_entry_is_told(tmp_path: Path) -> None:
    queue = UploadQueue(tmp_path, NAME)
    entry = queue.put("images", "a.jpg", b"x")
    (queue.folder / entry.id / "entry.json").write_text("{")
    with pytest.raises(QueueError, match="cannot be read"):
        QueueReader(tmp_path, NAME).describe(entry)
    released_file(tmp_path, NAME).parent.mkdir(parents=True)
    released_file(tmp_path, NAME).write_text("{")
    with pytest.raises(QueueError, match="not known"):
        released.load(released_file(tmp_path, NAME))
    reader = QueueReader(tmp_path, NAME)
    assert "set aside" in reader.damage
    assert reader.entries() == [entry], "all of it goes up again"


MAKER = """
import sys
from pathlib import Path
from edgeloop.queue import UploadQueue
queue = UploadQueue(Path(sys.argv[1]), "io.edgeloop.Maker", segment=5000)
n = 0
while True:
    queue.append("results", b'{"n":%d}' % n)
    queue.put("images", f"{n}.jpg", b"image %d" % n) if n % 20 == 0 else None
    print(n, flush=True)
    n += 1
"""


def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = -1
    for line in process.stdout:
        told = int(line)
        if told == 500:
            break
    process.send_signal(signal.SIGKILL)
    told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.wait(60)
    process.stdout.close()
    queue = UploadQueue(tmp_path, NAME)
    reader = QueueReader(tmp_path, NAME)
    found = records(reader)
    assert found[: told + 1] == [b'{"n":%d}' % n for n in range(told + 1)]
    images = [reader.describe(entry) for entry in reader.entries() if entry.form == "file"]
    assert [path.read_bytes() for path, _ in images] == [b"image %d" % (20 * k) for k in range(len(images))]
    assert len(images) >= told // 20 + 1
    assert not list(queue.folder.glob("*.new"))
