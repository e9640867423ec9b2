"""`source probe mqtt` at a real broker, while another program speaks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.cli import main


def test_topics_that_speak_are_proposed(
    broker: Any, device: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device.publish("plant/press1/state", '{"temp": 21.5, "load": 40}', retain=True)
    device.publish("plant/Hall 2/temp", "19.5", retain=True)
    device.publish("plant/picture", b"\x00\xff\xd8binary", retain=True)
    assert main(["source", "probe", "mqtt", broker.url, "--for", "1s", "--filter", "plant/#", "--id", "hall"]) == 0
    said = capsys.readouterr().out
    topics = yaml.safe_load(said)["sources"]["hall"]["topics"]
    assert {entry["filter"]: entry["payload"] for entry in topics.values()} == {
        "plant/press1/state": "json", "plant/Hall 2/temp": "json",
    }  # fmt: skip
    assert "temp 21.5, load 40" in said
    assert "plant/picture" in said.splitlines()[0]
    line = tmp_path / "line.yaml"
    line.write_text(said)
    assert main(["config", "check", str(line)]) == 0


def test_silence_is_no_section(broker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["source", "probe", "mqtt", broker.url, "--for", "200ms"]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert "nothing was found to read" in said.err
    assert threading.active_count() < 50
