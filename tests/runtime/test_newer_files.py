"""Files of a newer version are read for what is known of them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from edgeloop.alarms import Alarm, AlarmBook, AlarmJournal, Cause
from edgeloop.journal import CursorFile, Position
from edgeloop.models import store


def extended(line: bytes) -> bytes:
    document = json.loads(line)
    return json.dumps(document | {"novelty": {"deep": [1]}}).encode() if isinstance(document, dict) else line


def test_a_cursor(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "journal.cursor")
    cursor.save(Position("000000000001-00000000000000aa.cborseq", 17))
    saved = cursor.load()
    cursor.path.write_bytes(extended(cursor.path.read_bytes()))
    assert saved is not None
    assert cursor.load() == saved


def test_the_pointer_of_a_model(tmp_path: Path) -> None:
    shelf = store.Shelf(tmp_path / "m", "m")
    pointer = shelf.activate(store.Ref(digest="0" * 64, version="1.0.0"), 5)
    path = tmp_path / "m" / store.POINTER
    document = json.loads(path.read_bytes())
    document |= {"novelty": 1, "active": document["active"] | {"signed_by": "x"}}
    path.write_text(json.dumps(document))
    assert store.read(tmp_path / "m") == pointer
    again = store.Shelf(tmp_path / "m", "m")
    assert again.damage == ""
    assert again.pointer == pointer


def test_alarms(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    journal = AlarmJournal(path)
    book = AlarmBook(journal.alarms, journal.record)
    raised = book.raise_("m", "process", asset="a", severity="low", text="t", cause=Cause(stream="s"), now=5, sample=5)
    journal.close()
    known: list[Alarm] = [msgspec.structs.replace(alarm) for alarm in raised]
    lines = [extended(line) for line in path.read_bytes().splitlines() if line]
    path.write_bytes(b"".join(b"\n" + line for line in [*lines, b'{"novelty": "a line of another kind"}']))
    journal = AlarmJournal(path)
    assert list(journal.alarms) == known
    assert list(journal.unannounced) == known
    journal.close()
