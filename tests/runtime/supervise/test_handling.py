"""What was in hand when the process died, by processes that really die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop.supervise import handling
from edgeloop.supervise.handling import Handling

DIES = """
import os, signal, sys
from pathlib import Path
from edgeloop.supervise.handling import Handling

work, where, data = Path(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
hand = Handling(work / "page", work, "a file", print, patience=int(sys.argv[4]))
with hand.of("first", 1):
    pass
if not hand.deadly(where, 7):
    with hand.of(where, 7, data):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def die(work: Path, where: str, data: str = "", patience: int = 2, first: bool = False) -> tuple[int, str]:
    script = DIES if first else DIES.replace('with hand.of("first", 1):\n    pass\n', "")
    command = [sys.executable, "-c", script, str(work), where, data, str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def kept(work: Path) -> list[tuple[dict[str, object], bytes]]:
    found = sorted((work / "set-aside").glob("*.json"))
    return [(json.loads(path.read_text()), path.with_suffix(".input").read_bytes()) for path in found]


def test_what_two_processes_died_of_is_set_aside_told_and_not_taken_a_third_time(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"poison")
    assert die(tmp_path, str(bad)) == (-signal.SIGKILL, "")
    assert die(tmp_path, str(bad)) == (-signal.SIGKILL, ""), "once may be a kill from outside"
    code, said = die(tmp_path, str(bad))
    assert code == 0
    assert said.startswith(
        f"a file was in hand 2 times in a row when the process died, and is not handled again: {bad}"
    )
    ((about, data),) = kept(tmp_path)
    assert (about["from"], about["what"], about["stamp"], data) == (str(bad), "a file", 7, b"poison")
    assert str(about["why"]) in said
    assert die(tmp_path, str(bad)) == (0, ""), "told once, remembered over further starts"
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "set-aside").iterdir()} == {0}


def test_two_deaths_that_are_not_in_a_row_are_no_reason(tmp_path: Path) -> None:
    for _ in range(3):
        assert die(tmp_path, "x", "y", first=True)[0] == -signal.SIGKILL
    assert kept(tmp_path) == []


def test_a_message_is_kept_with_its_bytes_after_the_first_death(tmp_path: Path) -> None:
    assert die(tmp_path, "topic", "payload", patience=1)[0] == -signal.SIGKILL
    assert "an action was in hand" not in (said := die(tmp_path, "topic", "payload", patience=1)[1])
    assert said.startswith("a file was in hand once")
    assert kept(tmp_path)[0][1] == b"payload"


def test_what_ended_in_an_exception_or_well_was_no_death(tmp_path: Path) -> None:
    told: list[str] = []
    hand = Handling(tmp_path / "page", tmp_path, "a file", told.append, patience=1)
    with pytest.raises(ValueError, match="bad"), hand.of("x"):
        raise ValueError("bad")
    with hand.of("y"):
        pass
    hand.close()
    Handling(tmp_path / "page", tmp_path, "a file", told.append, patience=1).close()
    assert told == []


def test_a_power_cut_is_nobodys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert die(tmp_path, "x", "y", patience=1)[0] == -signal.SIGKILL
    monkeypatch.setattr(handling, "_boot", lambda: "another")
    told: list[str] = []
    Handling(tmp_path / "page", tmp_path, "a file", told.append, patience=1).close()
    assert told == []


@pytest.mark.parametrize("page", [b"", b"\xff", b"\xff" * 64, b"\x05\0\0\0\x05\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"])
def test_a_page_of_no_use_is_passed_over(tmp_path: Path, page: bytes) -> None:
    (tmp_path / "page").write_bytes(page)
    told: list[str] = []
    hand = Handling(tmp_path / "page", tmp_path, "a file", told.append, patience=1)
    with hand.of("x", 1, bytes(1 << 20)):
        assert not hand.deadly("x", 1)
    hand.close()
    assert told == []


def test_a_disk_that_takes_nothing_costs_the_note_alone(tmp_path: Path) -> None:
    told: list[str] = []
    hand = Handling(tmp_path / "none" / "page", tmp_path / "none", "a file", told.append)
    with hand.of("x", 1, b"y"):
        pass
    assert not hand.deadly("x", 1)
    assert told == []


def test_what_is_set_aside_is_bounded_the_oldest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling, "MOST", 3)
    monkeypatch.setattr(handling, "LARGEST", 25)
    for number in range(6):
        hand = Handling(tmp_path / "page", tmp_path, "a file", lambda line: None, patience=1)
        os.pwrite(hand._page, _dead(number, hand._boot), 0)
        hand.close()
        Handling(tmp_path / "page", tmp_path, "a file", lambda line: None, patience=1).close()
    assert [about["from"] for about, _ in kept(tmp_path)] == ["file4", "file5"]


def _dead(number: int, boot: str) -> bytes:
    head = json.dumps({"what": "a file", "where": f"file{number}", "boot": boot}).encode()
    return handling._HEAD.pack(len(head), 10) + head + bytes(10)
