from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgeloop
from edgeloop.alarms import Acknowledge, Alarm, AlarmBook, AlarmJournal, Cause, Kind, Shelve, Unshelve, parse
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError

T = 1_700_000_000 * NS


def cause(index: int, epoch: int = 7) -> Cause:
    return Cause(stream="press1_vib", epoch=epoch, index=index)


def up(
    book: AlarmBook, index: int = 100, now: int = T, kind: Kind = "process", monitor: str = "m", epoch: int = 7
) -> list[Alarm]:
    return book.raise_(
        monitor,
        kind,
        asset="press1",
        severity="high",
        text="RMS ×3, channel z",
        cause=cause(index, epoch),
        now=now,
        sample=now,
    )


def down(book: AlarmBook, index: int = 200, now: int = T + NS, kind: Kind = "process") -> list[Alarm]:
    return book.clear("m", kind, cause=cause(index), now=now, sample=now)


def test_raised_acknowledged_cleared() -> None:
    book = AlarmBook()
    (raised,) = up(book)
    assert (raised.state, raised.open) == ("raised", True)
    assert up(book, 101) == []
    (seen,) = book.command(Acknowledge(id=raised.id, reason="true", by="kim"), T + 1)
    assert (seen.state, seen.reason, seen.by, seen.id) == ("acknowledged", "true", "kim", raised.id)
    assert book.command(Acknowledge(id=raised.id, reason="true"), T + 2) == []
    (cleared,) = down(book)
    assert (cleared.state, cleared.id, cleared.reason) == ("cleared", raised.id, "true")
    assert book.open == ()
    assert down(book) == []
    (again,) = up(book, 300, T + 9 * NS)
    assert again.id != raised.id


def test_shelved_is_silent_and_comes_back_if_the_condition_persists() -> None:
    book = AlarmBook()
    (raised,) = up(book)
    (shelved,) = book.command(Shelve(id=raised.id, until=T + 60 * NS), T + 1)
    assert shelved.state == "shelved"
    assert up(book, 150) == [] == down(book, 160) == up(book, 170) == book.tick(T + 59 * NS)
    (back,) = book.tick(T + 60 * NS)
    assert (back.state, back.id) == ("raised", raised.id)
    book.command(Shelve(id=raised.id, until=T + 90 * NS), T + 61 * NS)
    assert down(book, 180) == []
    (over,) = book.tick(T + 90 * NS)
    assert over.state == "cleared"
    (other,) = up(book, 200, T + 99 * NS)
    book.command(Shelve(id=other.id, until=T + 200 * NS), T + 100 * NS)
    (early,) = book.command(Unshelve(id=other.id), T + 101 * NS)
    assert early.state == "raised"


def test_commands_that_make_no_sense_are_one_line() -> None:
    book = AlarmBook()
    (raised,) = up(book)
    for command in (
        Acknowledge(id="nobody", reason="true"),
        Shelve(id=raised.id, until=T - 1),
        Shelve(id=raised.id, until=T * 2),
    ):
        with pytest.raises(EdgeloopError, match=r"."):
            book.command(command, T + 1)
    assert book.open == (raised,)


@given(
    st.binary(max_size=80)
    | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5)).map(json.dumps).map(str.encode)
)
def test_garbage_is_no_command(payload: bytes) -> None:
    with suppress(EdgeloopError):
        parse(payload)


def test_samples_read_again_after_a_restart_change_nothing(tmp_path: Path) -> None:
    journal = AlarmJournal(tmp_path / "alarms.jsonl")
    book = AlarmBook(journal.alarms, journal.record)
    up(book, 100)
    down(book, 200)
    journal.close()
    book = AlarmBook(AlarmJournal(tmp_path / "alarms.jsonl").alarms)
    assert up(book, 100) == [] == up(book, 150)
    assert len(up(book, 201)) == 1
    assert len(up(book, 5, monitor="m", kind="gap")) == 1
    assert len(up(AlarmBook(), 5, epoch=8)) == 1


def test_journal_remembers_and_says_what_was_not_announced(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    journal = AlarmJournal(path)
    book = AlarmBook(journal.alarms, journal.record)
    (first,) = up(book)
    journal.announced(first)
    (second,) = up(book, kind="gap", now=T + 1)
    journal.close()
    with path.open("ab") as file:
        file.write(b'\n{"id": "cut sho')
    journal = AlarmJournal(path)
    assert journal.damaged == 1
    assert [a.id for a in journal.alarms] == [first.id, second.id]
    assert journal.unannounced == (second,)
    (cleared,) = AlarmBook(journal.alarms, journal.record).clear("m", "process", cause=cause(900), now=T + 9, sample=T)
    assert cleared in journal.unannounced
    assert path.stat().st_mode & 0o777 == 0o600


def test_journal_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    journal = AlarmJournal(path, largest=20_000, unseen=10)
    book = AlarmBook((), journal.record)
    up(book, kind="gap")
    for i in range(200):
        up(book, 1000 * i + 1, T + 600 * i * NS)
        down(book, 1000 * i + 2, T + (600 * i + 1) * NS)
    assert path.stat().st_size < 21_000
    kept = AlarmJournal(path, unseen=10).alarms
    assert len(kept) == 11
    assert kept[0].kind == "gap", "the open one is kept"


WRITER = """
import sys
from pathlib import Path
from edgeloop.alarms import AlarmBook, AlarmJournal, Cause
journal = AlarmJournal(Path(sys.argv[1]), largest=30_000, unseen=1_000_000)
book = AlarmBook(journal.alarms, journal.record)
i = 1 + max([a.sample_index for a in journal.alarms], default=0)
while True:
    cause = Cause(stream="s", epoch=7, index=i)
    for a in book.raise_("m", "process", asset="a", severity="low", text="t", cause=cause, now=300_000 * i, sample=i):
        print(a.id, a.state, flush=True)
    cause = Cause(stream="s", epoch=7, index=i + 1)
    for a in book.clear("m", "process", cause=cause, now=300_000 * i + 1, sample=i):
        print(a.id, a.state, flush=True)
    i += 2_000_000
"""


def test_what_was_announced_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    root = Path(edgeloop.__file__).parents[1]
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert process.stdout is not None
        told = [process.stdout.readline().decode().split() for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        told += [line.decode().split() for line in process.stdout.readlines() if line.endswith(b"\n")]
        process.wait(60)
        process.stdout.close()
        known: dict[str, Any] = {a.id: a for a in AlarmJournal(path, unseen=1_000_000).alarms}
        for identity, state in told:
            assert known[identity].state in (state, "cleared")


def test_a_full_disk_is_an_error_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    code = f"""
import resource, signal
from pathlib import Path
from edgeloop.alarms import Alarm, AlarmJournal, Cause
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = AlarmJournal(Path({str(path)!r}))
def alarm(n): return Alarm(id=f"a{{n}}", monitor="m", asset="a", kind="gap", severity="low", state="raised", text="t",
                           raised_at=n, time=n, sample_time=n, cause=Cause(stream="s"))
journal.record(alarm(1))
size = Path({str(path)!r}).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, resource.RLIM_INFINITY))
for n in (2, 3):
    try: journal.record(alarm(n))
    except OSError as e: print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.record(alarm(4))
"""
    root = Path(edgeloop.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")
    assert [a.id for a in AlarmJournal(path).alarms] == ["a1", "a4"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def test_documents_have_the_fields_of_the_contract() -> None:
    (raised,) = up(AlarmBook())
    document = json.loads(raised.document())
    assert document["time_rfc3339"].startswith("2023-11-14T22:13:20")
    wanted = {
        "schema",
        "id",
        "monitor",
        "asset",
        "kind",
        "severity",
        "state",
        "text",
        "raised_at",
        "time",
        "cause",
        "sample_time",
    }
    assert wanted <= set(document)
    assert {"stream", "epoch", "index", "score", "return_time", "attribution"} <= set(document["cause"])
    assert len(document["id"]) <= 32
