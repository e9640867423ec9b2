"""What release 0.1.0 left on a device and in the cloud: nothing is lost, and nothing learned anew."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import edgeloop
from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.learned import PLACE
from camera_inference.parts import PartBook
from edgeloop import clock
from edgeloop.alarms import AlarmJournal
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect import state as learned
from edgeloop.journal import CursorFile, JournalReader, JournalWriter, directory
from edgeloop.models import report, store
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop.uploader import journal_cursor
from edgeloop.wire.batch import Batch, Channel, Clock, Dropped, row_times
from edgeloop_tools.cli import main
from model_update.progress import Journal
from sensor_ingest.audit import Audit
from sensor_ingest.failsafe import HeldTargets
from stream_upload import configuration as upload
from stream_upload import state
from stream_upload.harvest import Harvest
from stream_upload.records import Records
from stream_upload.spool import Spool

ARCHIVE = Path(__file__).parent / "upgrade" / "release_0_1_0.tar.xz"
ANOMALY, CAMERA, UPDATE, UPLOAD = (
    f"io.edgeloop.{name}" for name in ("AnomalyInference", "CameraInference", "ModelUpdate", "StreamUpload")
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def expected(old: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((old / "expected.json").read_text())
    return found


def test_the_line_is_still_a_line(old: Path) -> None:
    assert main(["config", "check", str(old / "line.yaml")]) == 0


def test_the_journal_is_read_and_written_on(old: Path) -> None:
    folder = directory(old / "root")
    digests: dict[str, Any] = {}
    for item, _ in JournalReader(folder).read(limit_bytes=1 << 30):
        assert not isinstance(item, Dropped)
        digest = digests.setdefault(item.stream, hashlib.sha256())
        samples = item.samples.tobytes() + row_times(item).tobytes() if isinstance(item, Batch) else b""
        digest.update(samples or item.times.tobytes())  # type: ignore[union-attr]
    assert {stream: digest.hexdigest() for stream, digest in digests.items()} == expected(old)["digest"]
    with JournalWriter(folder, durable_readers={"upload": journal_cursor(old / "root")}) as writer:
        assert writer.previous("oven") == (0x0123456789ABCDEF, 479)


def test_what_was_learned_is_known(old: Path) -> None:
    told = expected(old)
    engine = Engine(convert(told["monitors"], Configuration))
    states = learned.load(old / "root" / "work" / ANOMALY / "learned.npz")
    states.pop(PLACE)
    engine.restore(states)
    rows = np.load(old / "next.npy")
    channels = (Channel("temp", "Cel", 0.1, -20.0), Channel("flow", "l/min", 0.01))
    found = []
    for k in range(0, len(rows), 20):
        time = (1_772_323_200 + 600 + 480 + k) * NS
        batch = Batch(
            "oven", 0x0123456789ABCDEF, 480 + k, time, channels, rows[k : k + 20], rate=Fraction(1),
            clock=Clock("ntp"), calibration="c7",
        )  # fmt: skip
        found += engine.process(batch, now=batch.end).results
    assert {(r.monitor, r.state) for r in found} == {("oven", "live"), ("levels", "live")}
    assert all(r.learned == 1.0 for r in found)
    assert [r.monitor for r in found] == [before["monitor"] for before in told["after"]]
    assert all(0.0 <= r.return_time < 4.0 for r in found), "normal rows are normal, as they were"


def test_alarms_are_known_and_told(old: Path) -> None:
    told = expected(old)
    journal = AlarmJournal(old / "root" / "work" / ANOMALY / "alarms.jsonl")
    assert [a.id for a in journal.alarms] == [a["id"] for a in told["alarms"]]
    assert [a.id for a in journal.unannounced] == told["unannounced"]
    assert journal.damaged == 0
    journal.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    real, moved = clock.elapsed, [0]
    monkeypatch.setattr(clock, "elapsed", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += round(seconds * NS)

    return move


def test_all_that_was_journalled_is_uploaded_once(old: Path, later: Callable[[float], None]) -> None:
    """What had gone up under schema 1 and what goes up now make up the whole, and are read as one."""
    root, uploads = old / "root", old / "uploads"
    work = root / "work" / UPLOAD
    spool, saved = Spool(work / "spool"), state.Saved(work / "state.json")
    assert spool.damaged == 0
    known = saved.load()
    assert not saved.damage
    state.recover(known, spool.files)
    options = {"site": "plant7", "bucket": "factory", "every": "2 min", "fast": {"policy": "all"}}
    settings = convert(options, upload.Configuration)
    cursor = CursorFile(journal_cursor(root))
    harvest = Harvest(directory(root), cursor, spool, known, settings, "core7")
    records = Records(known, spool, harvest.alarms, "core7")
    queue = UploadQueue(root, ANOMALY)
    for kind in ("alarms", "results", "labels"):
        queue.append(kind, b"{}")
    reader = QueueReader(root, ANOMALY)
    for _ in range(6):
        records.look([reader])
        while harvest.read():
            pass
        records.store([reader], settings)
        harvest.account()
        saved.save(known)
        harvest.release()
        later(300)
    for waiting in spool.files:
        path = uploads / waiting.note.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(waiting.path.read_bytes())
    for stream, epochs in expected(old)["samples"].items():
        table = edgeloop.read(str(uploads / "raw"), stream=stream)
        assert len(table) == sum(epochs.values()), stream
    lines = [
        msgspec.json.decode(line)
        for path in uploads.rglob("records/**/*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    alarms = [line["document"] for line in lines if line["kind"] == "alarms" and line["document"]]
    states = {(a["id"], a["state"], a["time"]) for a in alarms}
    assert len(states) == len(alarms), "none twice"
    known_ids = {a["id"] for a in expected(old)["alarms"]}
    assert {a["id"] for a in alarms} >= known_ids - set(expected(old)["unannounced"])
    harvest.close()
    queue.close()


def test_the_rest_of_the_work_folders(old: Path) -> None:
    work = old / "root" / "work"
    book = PartBook(work / CAMERA / "parts", "cam1")
    assert [p.part for p in book.left] == ["p28", "p29"]
    assert [r.part for r in book.pending()] == ["p26", "p27"]
    assert not book.open("p3", 1, 1)
    book.close()
    reader = QueueReader(old / "root", CAMERA)
    (image,) = (entry for entry in reader.entries() if entry.form == "file")
    path, description = reader.describe(image)
    assert (path.read_bytes(), description.document["label"]) == (b"\xff\xd8 image", "scratch")
    assert [r["id"] for r in Audit(work / "io.edgeloop.SensorIngest" / "actions.jsonl").recent(9)] == [
        "act0", "act1", "act2",
    ]  # fmt: skip
    held = HeldTargets(work / "io.edgeloop.SensorIngest" / "fail_safe.json", lambda: 0.0)
    assert [h.entry.target for h in held] == ["lamp"]
    pointer = store.read(work / UPDATE / "store" / "insp")
    assert pointer is not None
    assert pointer.previous is not None
    assert (pointer.active.version if pointer.active else "", pointer.previous.version) == ("1.1.0", "1.0.0")
    progress = Journal(work / UPDATE).load("insp")
    assert (progress.step, progress.refused) == ("active", {"old": "too slow"})
    said = report.read(report.path(work / CAMERA, "insp"))
    assert said is not None
    assert said.inferences == 1200
