"""`source probe opcua` against a real server in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.cli import main

SERVER = Path(__file__).parent / "server.py"


def test_variables_are_browsed(
    make_peer: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = make_peer(SERVER, "{port}")
    assert main(["source", "probe", "opcua", f"opc.tcp://127.0.0.1:{server.port}/press/", "--timeout", "20"]) == 0
    said = capsys.readouterr().out
    nodes = yaml.safe_load(said)["sources"]["server1"]["nodes"]
    assert nodes == {
        "oiltemp": "nsu=urn:test:press;s=Press.OilTemp",
        "speed": "nsu=urn:test:press;s=Press.Speed",
        "running": "nsu=urn:test:press;s=Press.Running bool",
        "order": "nsu=urn:test:press;s=Press.Order string",
        "mode": "nsu=urn:test:press;s=Press.Mode",
        "level": "nsu=urn:test:press;s=Press.Level",
        "serial": "nsu=urn:test:press;s=Press.Serial",
    }
    assert "# 72.5" in said
    line = tmp_path / "line.yaml"
    line.write_text(said)
    assert main(["config", "check", str(line)]) == 0


def test_no_server_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["source", "probe", "opcua", "opc.tcp://127.0.0.1:9"]) == 1
    assert "cannot connect" in capsys.readouterr().err
