"""`part wrong` through a Console's socket, and where there is none."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeloop.models import store
from edgeloop.models.store import Ref, Shelf
from edgeloop_tools.cli import main

CONSOLE = "io.edgeloop.Console"


@pytest.fixture
def short() -> Iterator[Path]:
    """A root whose sockets have names that fit (unix(7): 108 bytes)."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-") as folder:
        yield Path(folder)


@contextmanager
def console(root: Path, answer: dict[str, object], then: Callable[[], object] = lambda: None) -> Iterator[list[bytes]]:
    """What a Console's socket heard, whole once this is left; it answers one caller, and then does what is said."""
    folder = root / "work" / CONSOLE
    folder.mkdir(parents=True)
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(folder / "operator.sock"))
        server.listen()

        def serve() -> None:
            caller, _ = server.accept()
            with caller, caller.makefile("rwb") as file:
                heard.append(file.readline())
                file.write(json.dumps(answer).encode() + b"\n")
            then()

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(60)


@pytest.mark.parametrize(("answer", "code"), [({"ok": {}}, 0), ({"error": "no such part"}, 1)])
def test_a_label_goes_through_the_console(
    answer: dict[str, object], code: int, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with console(short, answer) as heard:
        words = ["part", "wrong", "gate/1-7", "--label", "scratch", "--by", "Ana", "--root", str(short)]
        assert main(words) == code
    asked = {"command": "part wrong", "camera": "gate", "part": "1-7", "label": "scratch", "by": "Ana"}
    assert json.loads(heard[0]) == asked
    said = capsys.readouterr()
    assert ("gate/1-7 is scratch, says Ana" in said.out) == (code == 0)
    assert ("no such part" in said.err) == (code == 1)


@pytest.mark.parametrize(("part", "said"), [("gate", "which part?"), ("gate/1", "cannot send a label")])
def test_what_cannot_be_said_is_one_line(
    part: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["part", "wrong", part, "--label", "good", "--root", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_a_device_is_told_to_teach_by_itself(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what it was taught is waited for, in ModelUpdate's store."""

    def taught() -> None:
        shelf = Shelf(store.directory(short, "lid"), "lid")
        shelf.activate(Ref(digest=64 * "a", version="1.1.0", variant=0), 1)

    with console(short, {"ok": {}}, taught) as heard:
        words = ["teach", "lid", "--from", "device", "--camera", "gate", "--good", "20", "--by", "Ana"]
        assert main([*words, "--root", str(short)]) == 0
    asked = json.loads(heard[0])
    assert asked == {"command": "teach", "camera": "gate", "good": 20, "reject": 0.01, "template": False, "by": "Ana"}
    assert "lid 1.1.0 is active" in capsys.readouterr().out
    assert main(["teach", "lid", "--from", "device", "--root", str(short)]) == 1
    assert "which camera?" in capsys.readouterr().err
