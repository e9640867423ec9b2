"""`source probe modbus` against a real server in its own process: it prints what `config check` takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.cli import main

SERVER = Path(__file__).parent / "server.py"
READING = {"1", "2", "3", "4"}


def test_what_is_there_is_proposed_and_nothing_is_written(
    make_peer: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = make_peer(SERVER, "tcp", "{port}")
    (device.folder / "silent").write_text("2 3 4 5 6")
    url = f"tcp://127.0.0.1:{device.port}"
    words = ["--unit", "6..7", "--range", "0..35", "--timeout", "0.4"]
    assert main(["source", "probe", "modbus", url, *words]) == 0
    said, doing = capsys.readouterr()
    assert "unit 6: no answer" in doing
    source = yaml.safe_load(said)["sources"]["plc1"]
    assert source["unit"] == 7
    assert source["tags"] == {f"ir_{n}": f"ir {n} uint16" for n in range(10)} | {
        f"{table}_{n}": f"{table} {n}" for table, step in (("co", 3), ("di", 2)) for n in range(0, 32, step)
    }
    assert "# 704" in said
    line = tmp_path / "line.yaml"
    line.write_text(said)
    assert main(["config", "check", str(line)]) == 0
    asked = (device.folder / "requests").read_text().splitlines()
    assert {request.split()[0] for request in asked} <= READING


def test_holes_are_found_by_halves(make_peer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    device = make_peer(SERVER, "tcp", "{port}")
    url = f"tcp://127.0.0.1:{device.port}"
    assert main(["source", "probe", "modbus", url, "--range", "390..412"]) == 0
    tags = yaml.safe_load(capsys.readouterr().out)["sources"]["plc1"]["tags"]
    assert [name for name in tags if name.startswith("hr_")] == [f"hr_{n}" for n in range(400, 410)]


def test_nobody_there_is_one_line(make_peer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    device = make_peer(SERVER, "tcp", "{port}")
    (device.folder / "silent").write_text("9")
    url = f"tcp://127.0.0.1:{device.port}"
    assert main(["source", "probe", "modbus", url, "--unit", "9", "--timeout", "0.2"]) == 1
    assert "no unit answers" in capsys.readouterr().err.splitlines()[-1]
    assert main(["source", "probe", "modbus", "http://x"]) == 1
    assert "begins with none of" in capsys.readouterr().err
