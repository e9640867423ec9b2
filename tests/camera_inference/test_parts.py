"""Parts on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_inference.documents import LARGEST, Result, pack
from camera_inference.parts import PartBook
from camera_inference.verdict import Box
from edgeloop import documents


def result(part: str, verdict: str = "pass") -> Result:
    return Result(camera="gate", part=part, time=1, decided=2, verdict=verdict)  # type: ignore[arg-type]


def test_one_verdict_for_each_part(tmp_path: Path) -> None:
    book = PartBook(tmp_path, "gate")
    assert book.open("a", 1, 10)
    assert not book.open("a", 1, 10)
    assert book.overdue(9) == []
    assert [p.part for p in book.overdue(10)] == ["a"]
    assert book.decide(result("a"))
    assert not book.decide(result("a", "fail"))
    assert not book.decide(result("never opened"))
    assert not book.open("a", 1, 10)
    assert [r.part for r in book.pending()] == ["a"]
    book.announced(["a"])
    assert book.pending() == []
    book.close()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("odak"), st.integers(0, 5)), max_size=40), tear=st.integers(0, 60))
def test_what_was_written_is_there_after_any_death(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], tear: int
) -> None:
    """Open, decide, announce, kill: a model of the book says the same; at the end a power cut tears the last line."""
    folder = tmp_path_factory.mktemp("parts")
    book = PartBook(folder, "gate")
    opened: dict[str, bool] = {}
    pending: list[str] = []
    for action, number in steps:
        part = f"p{number}"
        if action == "o":
            assert book.open(part, number, number + 1) == (part not in opened)
            opened.setdefault(part, True)
        elif action == "d":
            assert book.decide(result(part)) == opened.get(part, False)
            if opened.get(part):
                opened[part] = False
                pending.append(part)
        elif action == "a":
            book.announced([part])
            pending = [p for p in pending if p != part]
        else:
            book.close()
            book = PartBook(folder, "gate")
            assert {p.part for p in book.left} == {p for p, is_open in opened.items() if is_open}
        assert [r.part for r in book.pending()] == pending
    book.close()
    path = folder / "gate.jsonl"
    if path.exists():
        os.truncate(path, max(0, path.stat().st_size - tear))
    book = PartBook(folder, "gate")
    assert {p.part for p in book.left} <= set(opened)
    book.close()


def test_files_turn_and_the_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_inference.parts.LARGEST", 2000)
    book = PartBook(tmp_path, "gate")
    for k in range(200):
        book.open(f"p{k}", k, k)
        if k % 50:
            book.decide(result(f"p{k}"))
            book.announced([f"p{k}"])
    assert [path.name for path in tmp_path.iterdir()] == ["gate.jsonl"]
    assert (tmp_path / "gate.jsonl").stat().st_size < 20_000
    book.close()
    again = PartBook(tmp_path, "gate")
    assert [p.part for p in again.left] == ["p0", "p50", "p100", "p150"]
    assert again.last == "p199"
    assert not again.open("p3", 1, 1)
    again.close()


def test_a_full_disk_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = PartBook(tmp_path, "gate")

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert book.open("a", 1, 1)
    assert "space" in book.trouble
    assert book.decide(result("a"))
    assert not book.decide(result("a", "fail"))
    book.close()


def test_numbered_files_of_release_0_1_are_taken_over(tmp_path: Path) -> None:
    lines = [b'{"decided":["a","b"],"last":"c"}', b'{"open":"c","time":5}', b"{}", b'{"open":"d","time":6}']
    (tmp_path / "gate.1.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "gate.2.jsonl").write_bytes(b'{"decided":["x"],"la')
    book = PartBook(tmp_path, "gate")
    assert [p.part for p in book.left] == ["c", "d"]
    assert book.damaged == 1
    assert not book.open("a", 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["gate.jsonl"]
    book.close()


def test_messages_stay_small() -> None:
    boxes = tuple(Box("scratch", 0.5, 0.1, 0.1, 0.2, 0.2) for _ in range(20))
    many = [Result(camera="gate", part=f"p{k}", time=1, decided=2, verdict="fail", boxes=boxes) for k in range(40)]
    messages = pack(many, site="plant", device="line7", component="c", time=1)
    assert all(len(m) <= LARGEST for m in messages)
    assert [r["part"] for m in messages for r in documents.decode(m)["results"]] == [r.part for r in many]
