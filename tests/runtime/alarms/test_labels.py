"""Reasons of operators as intervals of samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.alarms import Acknowledge, Alarm, AlarmBook, AlarmJournal, Cause, label, labels
from edgeloop.clock import NS
from edgeloop.data import labels as read_labels
from edgeloop.errors import EdgeloopError

T = 1_700_000_000 * NS


def history(path: Path, reason: str = "true", epoch: int = 7) -> list[Alarm]:
    """The states of one alarm, acknowledged before it ends."""
    journal = AlarmJournal(path)
    book = AlarmBook((), journal.record)
    about = {"asset": "press1", "severity": "high", "text": "t"}
    states = book.raise_(
        "m",
        "process",
        cause=Cause(stream="press1_vib", epoch=7, index=100),
        now=T,
        sample=T - NS,
        **about,  # type: ignore[arg-type]
    )
    states += book.command(Acknowledge(id=states[0].id, reason=reason, by="kim"), T + NS)  # type: ignore[arg-type]
    cause = Cause(stream="press1_vib", epoch=epoch, index=300)
    states += book.clear("m", "process", cause=cause, now=T + 9 * NS, sample=T + 8 * NS)
    journal.close()
    return states


def test_a_reason_is_a_label_from_the_raising_to_the_clearing_sample(tmp_path: Path) -> None:
    raised, acknowledged, cleared = history(tmp_path / "alarms.jsonl")
    assert label(raised) is None
    early = label(acknowledged)
    assert early is not None
    assert (early.first, early.last, early.open, early.by) == (100, 100, True, "kim")
    (found,) = labels((tmp_path / "alarms.jsonl").read_bytes().splitlines())
    assert (found.first, found.last, found.start, found.end) == (100, 300, T - NS, T + 8 * NS)
    assert (found.reason, found.open, found.monitor, found.stream, found.epoch) == ("true", False, "m", "press1_vib", 7)
    assert labels([cleared, acknowledged, early, found.document(), raised]) == [found]
    assert labels([cleared], "press2_vib") == []


def test_an_end_in_another_epoch_is_known_by_its_time(tmp_path: Path) -> None:
    (found,) = labels(history(tmp_path / "alarms.jsonl", epoch=8))
    assert (found.last, found.end) == (-1, T + 8 * NS)


def test_uploaded_records_are_read_back(tmp_path: Path) -> None:
    states = history(tmp_path / "alarms.jsonl", "false")
    for kind, documents in (("alarms", [s.document() for s in states]), ("labels", [label(states[-1]).document()])):  # type: ignore[union-attr]
        folder = tmp_path / "up" / "records" / "site=plant" / f"kind={kind}" / "date=2023-11-14"
        folder.mkdir(parents=True)
        lines = [
            json.dumps(
                {"device": "d", "component": "c", "kind": kind, "file": 1, "offset": 0, "document": json.loads(d)}
            )
            for d in documents
        ]
        (folder / "d_c_1_0-9.jsonl").write_text("\n".join([*lines, '{"torn', ""]))
    (found,) = read_labels(tmp_path / "up")
    assert found == labels(states)[0]
    assert read_labels(tmp_path / "up" / "raw", "press1_vib") == [found]
    assert read_labels(tmp_path / "up", "press2_vib") == []
    assert read_labels(tmp_path / "alarms.jsonl") == [found]
    assert read_labels(tmp_path / "up", end=T - 2 * NS) == read_labels(tmp_path / "up", start=T + 9 * NS) == []
    assert read_labels(tmp_path / "up", start=T, end=T + NS) == [found]
    with pytest.raises(EdgeloopError, match="no labels"):
        read_labels(tmp_path / "nowhere")


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b'{"document":[[[]]]}', b'{"document":{"alarm":1}}', b"[" * 5000])
    )
)
def test_nonsense_is_no_label(lines: list[bytes]) -> None:
    assert labels(lines) == []
