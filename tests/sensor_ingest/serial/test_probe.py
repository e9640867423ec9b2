"""`source probe serial` at a pseudo-terminal that somebody writes to."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from edgeloop_tools.cli import main


@contextmanager
def speaking(line: bytes) -> Iterator[str]:
    mine, theirs = pty.openpty()
    tty.setraw(mine)
    tty.setraw(theirs)
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.03):
            with contextlib.suppress(OSError):
                os.write(mine, line)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        stop.set()
        thread.join()
        os.close(mine)
        os.close(theirs)


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        (b"21.5;1013;40\r\n", {"lines": {"payload": "text"}}),
        (b'{"t": 21.5}\n', {"lines": {"payload": "json"}}),
        (b"temp=21.5 load=40\r", {"lines": {"payload": "pairs"}}),
        (b"\x0221.5\x03", {"lines": {"payload": "json"}, "start": "STX", "end": "ETX"}),
    ],
)
def test_lines_are_understood(
    line: bytes, settings: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking(line) as port:
        assert main(["source", "probe", "serial", port, "--for", "5s"]) == 0
    said = capsys.readouterr().out
    source = yaml.safe_load(said)["sources"]["port1"]
    assert source == {"type": "serial", "port": port, "baud": 9600, **settings}
    file = tmp_path / "line.yaml"
    file.write_text(said)
    assert main(["config", "check", str(file)]) == 0


def test_what_is_no_line_of_numbers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(b"\x80\x81\x82") as port:
        assert main(["source", "probe", "serial", port, "--for", "200ms", "--baud", "9600"]) == 1
    assert "no lines of numbers" in capsys.readouterr().err
