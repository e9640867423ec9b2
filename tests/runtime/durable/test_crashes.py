"""Every user of the durable room: whatever a crash leaves of what was not synced, what was promised is kept.

And the harness itself: without the syncs of files, without those of folders, or writing in place, it finds the loss.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pytest

from anomaly_inference.learned import LearnedFile
from camera_inference.parts import PartBook
from edgeloop import durable
from edgeloop.alarms import Alarm, AlarmJournal, Cause
from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError
from edgeloop.journal import START, CursorFile, JournalReader, JournalWriter, Position
from edgeloop.journal.segment import name
from edgeloop.models import report, store
from edgeloop.queue import QueueReader, UploadQueue, released
from edgeloop.uploader import released_file
from edgeloop.wire.batch import Batch, Channel, Dropped
from edgeloop_tools.harness.crash import Operation, Recorder, State, states, weakened
from model_update.progress import Journal, Progress
from sensor_ingest.audit import Audit
from sensor_ingest.failsafe import Entry, HeldTargets
from stream_upload import state as upload
from stream_upload.spool import Note, Spool

NAME = "io.edgeloop.Maker"
ROUNDS = 5
OVERFULL: Final = 9
Weakness = Literal["sync", "syncdir", "rename"]


@dataclass(frozen=True)
class User:
    """run(folder, step): does things, each within `step(number, power)`; kept(folder): the numbers that are there after
    a restart. Of a document the last number stands for all before."""

    name: str
    run: Callable[[Path, Recorder], None]
    kept: Callable[[Path], set[int]]
    needs: tuple[Weakness, ...]


def steps(recorder: Recorder, *, power: bool = True, rounds: int = ROUNDS) -> Iterator[int]:
    for number in range(rounds):
        recorder.attempt(number)
        yield number
        recorder.promise(number, power=power)


def upto(number: int) -> set[int]:
    return set(range(number + 1))


def alarm(number: int) -> Alarm:
    return Alarm(
        id=f"a{number}", monitor="m", asset="a", kind="process", severity="high", state="raised", text="t",
        raised_at=number, time=number, sample_time=number, cause=Cause(stream="s"),
    )  # fmt: skip


def alarms(folder: Path, recorder: Recorder) -> None:
    journal = AlarmJournal(folder / "alarms.jsonl", largest=700)
    for number in steps(recorder):
        journal.record(alarm(number))
    journal.close()


def audit(folder: Path, recorder: Recorder) -> None:
    book = Audit(folder / "actions.jsonl", largest=120, kept=9)
    for number in steps(recorder):
        book.write({"id": str(number), "pad": "x" * 40})
    book.close()


def audit_kept(folder: Path) -> set[int]:
    return {int(record["id"]) for record in Audit(folder / "actions.jsonl", kept=9).recent(99)}


def parts(folder: Path, recorder: Recorder) -> None:
    book = PartBook(folder, "cam")
    for number in steps(recorder):
        book.open(f"{number}", number, number)
        book.sync()
    book.close()


def parts_kept(folder: Path) -> set[int]:
    book = PartBook(folder, "cam")
    book.close()
    return {int(part.part) for part in book.left}


def queue_records(folder: Path, recorder: Recorder) -> None:
    queue = UploadQueue(folder, NAME, segment=60)
    for number in steps(recorder):
        queue.append("alarms", b'{"n":%d}' % number, sync=True)
    queue.close()


def queue_records_kept(folder: Path) -> set[int]:
    UploadQueue(folder, NAME).close()
    reader = QueueReader(folder, NAME)
    found = [reader.records(entry, 0).found for entry in reader.entries()]
    return {msgspec.json.decode(line)["n"] for lines in found for line, _, _ in lines}


def queue_files(folder: Path, recorder: Recorder) -> None:
    queue = UploadQueue(folder, NAME)
    for number in steps(recorder, rounds=3):
        queue.put("images", f"{number}.jpg", b"image %d" % number, {"n": number}, time=1)
    queue.close()


def queue_files_kept(folder: Path) -> set[int]:
    UploadQueue(folder, NAME).close()
    reader = QueueReader(folder, NAME)
    kept = set()
    for entry in reader.entries():
        path, description = reader.describe(entry)
        assert path.read_bytes() == b"image %d" % description.document["n"]
        kept.add(int(str(description.document["n"])))
    return kept


def marks(folder: Path, recorder: Recorder) -> None:
    reader = QueueReader(folder, NAME)
    for number in steps(recorder):
        reader.release(number + 1)
        reader.save()


def spool(folder: Path, recorder: Recorder) -> None:
    made = Spool(folder / "spool")

    def write(number: int) -> Callable[[Path], Note]:
        def content(path: Path) -> Note:
            with durable.File(path) as file:
                file.write(b"content %d" % number)
                return Note(key=str(number), kind="samples", bytes=file.sync(), made=number)

        return content

    for number in steps(recorder, rounds=4):
        made.add(write(number))


def spool_kept(folder: Path) -> set[int]:
    found = Spool(folder / "spool")
    if found.damaged:
        raise ValueError("damaged")
    for waiting in found.files:
        assert waiting.path.read_bytes() == b"content %s" % waiting.note.key.encode()
    return {int(waiting.note.key) for waiting in found.files}


def upload_state(folder: Path, recorder: Recorder) -> None:
    saved = upload.Saved(folder / "state.json")
    known = saved.load()
    for number in steps(recorder):
        known.objects = number + 1
        saved.save(known)


def learned(folder: Path, recorder: Recorder) -> None:
    file = LearnedFile(folder / "learned.npz", 1.0)
    for number in steps(recorder):
        file.save({"m": {"n": np.array([number])}}, START)


def learned_kept(folder: Path) -> set[int]:
    states = LearnedFile(folder / "learned.npz", 1.0).load()[0]
    return upto(int(states["m"]["n"][0])) if states else set()


def cursor(folder: Path, recorder: Recorder) -> None:
    file = CursorFile(folder / "journal.cursor")
    for number in steps(recorder, power=False):
        file.save(Position(name(number + 1, 7), number))


def cursor_kept(folder: Path) -> set[int]:
    file = CursorFile(folder / "journal.cursor")
    found = file.load()
    if file.damage:
        raise ValueError(file.damage)
    return upto(found.offset) if found else set()


def pointer(folder: Path, recorder: Recorder) -> None:
    shelf = store.Shelf(folder / "store", "m")
    for number in steps(recorder):
        shelf.activate(store.Ref(digest=f"{number:064x}", version=str(number)), number)


def pointer_kept(folder: Path) -> set[int]:
    found = store.read(folder / "store")
    return upto(int(found.active.version)) if found and found.active else set()


def progress(folder: Path, recorder: Recorder) -> None:
    journal = Journal(folder)
    for number in steps(recorder):
        journal.save(Progress(name="m", tries=number + 1))


def reports(folder: Path, recorder: Recorder) -> None:
    for number in steps(recorder):
        report.write(folder / "m.json", report.Report(component="c", name="m", inferences=number))


def reports_kept(folder: Path) -> set[int]:
    found = report.read(folder / "m.json")
    return upto(found.inferences) if found else set()


def documents(folder: Path, recorder: Recorder) -> None:
    """As the remembered configuration and what rules have fired are kept."""
    file: Document[Any] = Document(folder / "configuration.json", Any, dict)
    for number in steps(recorder):
        file.save({"n": number})


def documents_kept(folder: Path) -> set[int]:
    file: Document[Any] = Document(folder / "configuration.json", Any, dict)
    found = file.load()
    if file.damage:
        raise ValueError(file.damage)
    return upto(found["n"]) if found else set()


def held(folder: Path, recorder: Recorder) -> None:
    targets = HeldTargets(folder / "fail_safe.json", lambda: 0.0)
    for number in steps(recorder):
        targets.hold(Entry(source="plc", target=str(number), action="a"), 1.0, (None, 1))


def held_kept(folder: Path) -> set[int]:
    found = HeldTargets(folder / "fail_safe.json", lambda: 0.0)
    if found.damage:
        raise ValueError(found.damage)
    return {int(each.entry.target) for each in found}


def places(folder: Path, recorder: Recorder) -> None:
    """Where a replay, a folder of pictures or a simulation stands, and the servers that are trusted."""
    for number in steps(recorder):
        durable.replace(folder / "place.json", durable.seal(b'{"n":%d}' % number))


def places_kept(folder: Path) -> set[int]:
    found = durable.read(folder / "place.json", dict[str, int])
    return upto(found["n"]) if found else set()


def batch(number: int) -> Batch:
    return Batch("s", 1, number, number, (Channel("x"),), np.full((1, 1), number, "<i2"), rate=Fraction(1))


def journal(folder: Path, recorder: Recorder) -> None:
    with JournalWriter(folder / "journal", epoch=1, sync_interval=0, segment_bytes=4096) as writer:
        for number in steps(recorder):
            writer.append([batch(number)])


def journal_kept(folder: Path) -> set[int]:
    JournalWriter(folder / "journal", epoch=2).close()
    items = [item for item, _ in JournalReader(folder / "journal").read()]
    assert all(isinstance(item, Batch) and int(item.samples[0, 0]) == item.index for item in items)
    return {item.index for item in items if isinstance(item, Batch)}


def overfull(folder: Path, recorder: Recorder) -> None:
    """A journal over its budget: the oldest segments go, their record stays."""
    with JournalWriter(
        folder / "journal", epoch=1, sync_interval=0, segment_bytes=4096, budget_bytes=3 * 4096
    ) as writer:
        for number in steps(recorder, rounds=OVERFULL):
            wide = tuple(Channel(f"c{k}") for k in range(800))
            samples = np.full((1, 800), number, "<i2")
            writer.append([Batch("s", 1, number, number, wide, samples, rate=Fraction(1))])


def overfull_kept(folder: Path) -> set[int]:
    """There, or told to be dropped."""
    found: set[int] = set()
    for item, _ in JournalReader(folder / "journal").read():
        found |= set(range(item.first, item.last + 1)) if isinstance(item, Dropped) else {item.index}
    return found


ALL: tuple[Weakness, ...] = ("sync", "syncdir", "rename")
USERS = (
    User("alarms", alarms, lambda f: {a.raised_at for a in _closed(AlarmJournal(f / "alarms.jsonl"))}, ALL),
    User("actions", audit, audit_kept, ("sync", "syncdir")),
    User("parts", parts, parts_kept, ("sync", "syncdir")),
    User("queue records", queue_records, queue_records_kept, ("sync", "syncdir")),
    User("queue files", queue_files, queue_files_kept, ("sync", "syncdir")),
    User("released marks", marks, lambda f: upto(released.load(released_file(f, NAME)).through - 1), ALL),
    User("spool", spool, spool_kept, ALL),
    User("upload state", upload_state, lambda f: upto(upload.Saved(f / "state.json").load().objects - 1), ALL),
    User("learned", learned, learned_kept, ALL),
    User("cursor", cursor, cursor_kept, ("sync", "rename")),
    User("model pointer", pointer, pointer_kept, ALL),
    User("progress", progress, lambda f: upto(Journal(f).load("m").tries - 1), ALL),
    User("reports", reports, reports_kept, ("sync", "syncdir")),
    User("configuration, rules", documents, documents_kept, ALL),
    User("fail-safe", held, held_kept, ALL),
    User("places", places, places_kept, ALL),
    User("journal", journal, journal_kept, ("sync", "syncdir")),
    User("journal over its budget", overfull, overfull_kept, ("sync", "syncdir")),
)  # fmt: skip


def _closed(journal: AlarmJournal) -> tuple[Alarm, ...]:
    journal.close()
    return journal.alarms


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[User], list[Operation]]:
    known: dict[str, list[Operation]] = {}

    def record(user: User) -> list[Operation]:
        if user.name not in known:
            folder = tmp_path_factory.mktemp("recorded")
            with Recorder(folder) as recorder:
                user.run(folder, recorder)
            known[user.name] = recorder.operations
        return known[user.name]

    return record


def broken(user: User, operations: list[Operation], folder: Path) -> Iterator[str]:
    """What is lost or wrong in each folder that a crash may leave."""
    numbers = itertools.count()
    for state in states(operations):
        there = folder / str(next(numbers))
        there.mkdir()
        state.make(there)
        if said := _judged(user, state, there):
            yield said


def _judged(user: User, state: State, there: Path) -> str:
    try:
        kept = user.kept(there)
    except Exception as error:
        return f"after {state.prefix} operations: {type(error).__name__} {error}"
    if lost := state.promised - kept:
        return f"after {state.prefix} operations: promised and lost: {sorted(lost)}"
    if kept - state.attempted:
        return f"after {state.prefix} operations: never written: {sorted(kept - state.attempted)}"
    return ""


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_what_is_promised_is_kept(
    user: User, recorded: Callable[[User], list[Operation]], tmp_path: Path
) -> None:
    operations = recorded(user)
    assert sum(operation.kind == "promise" for operation in operations) >= 3
    assert list(broken(user, operations, tmp_path)) == []


@pytest.mark.parametrize(
    ("user", "weakness"),
    [(user, weakness) for user in USERS for weakness in user.needs],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_program_that_promises_too_much_is_found(
    user: User, weakness: Weakness, recorded: Callable[[User], list[Operation]], tmp_path: Path
) -> None:
    operations = recorded(user)
    assert any(operation.kind == weakness for operation in operations)
    assert next(broken(user, weakened(operations, weakness), tmp_path), None) is not None


def test_a_victim_that_goes_before_its_record_is_found(
    recorded: Callable[[User], list[Operation]], tmp_path: Path
) -> None:
    user = next(user for user in USERS if user.run is overfull)
    early: list[Operation] = []
    for operation in recorded(user):
        if operation.kind == "unlink":
            segment = max(at for at, before in enumerate(early) if before.kind == "create")
            early.insert(segment + 1, operation)
        else:
            early.append(operation)
    assert sum(operation.kind == "unlink" for operation in early) >= 3
    assert any("promised and lost" in said for said in broken(user, early, tmp_path))


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_damage_is_told_or_passed_over(
    user: User, recorded: Callable[[User], list[Operation]], tmp_path: Path
) -> None:
    """Flipped bits, cut ends and zeroed blocks at every class of offset: no other error, and nothing that was never
    written. The pictures and Parquet files that only wait to be uploaded are not looked into."""
    operations = recorded(user)
    *_, last = states(operations)
    source = random.Random(7)
    numbers = itertools.count()
    for file, node in last.names.items():
        content = last.contents.get(node, b"")
        if file.endswith(".jpg") or (user.name == "spool" and not file.endswith(".json")):
            continue
        for damaged in damages(content, source):
            there = tmp_path / str(next(numbers))
            there.mkdir()
            last.make(there)
            if not (there / file).parent.is_dir():
                continue
            (there / file).write_bytes(damaged)
            with suppress(EdgeloopError, ValueError, OSError):
                kept = user.kept(there)
                assert kept <= last.attempted, (file, len(content))


def damages(content: bytes, source: random.Random) -> Iterator[bytes]:
    size = len(content)
    if not size:
        return
    places = {0, 1, size // 4, size // 2, size - 2, size - 1, *(source.randrange(size) for _ in range(4))}
    for at in sorted(place for place in places if 0 <= place < size):
        yield content[:at] + bytes([content[at] ^ (1 << source.randrange(8))]) + content[at + 1 :]
    for at in (0, size // 3, size - 1):
        yield content[:at]
        yield content[:at] + bytes(min(64, size - at)) + content[at + 64 :]


def test_the_model_of_a_disk(tmp_path: Path) -> None:
    """A file that was renamed without a sync may be empty; one that was not named on the disk may be gone."""
    with Recorder(tmp_path) as recorder:
        descriptor = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"content")
        os.close(descriptor)
        os.rename(tmp_path / "a", tmp_path / "b")
    made = states(recorder.operations)
    found = {tuple(sorted((n, s.contents.get(i, b"")) for n, i in s.names.items())) for s in made}
    assert {(), (("a", b""),), (("a", b"content"),), (("b", b""),), (("b", b"content"),), (("b", b"con"),)} <= found
