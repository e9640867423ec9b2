"""`demo --loop`: what it deploys is valid and its curve says what it should; the run itself is long."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from camera_inference.configuration import Configuration as Cameras
from edgeloop.config.load import convert
from edgeloop_tools.cli import main
from edgeloop_tools.demo.curve import Point, page
from edgeloop_tools.demo.loop import Turns
from edgeloop_tools.demo.plan import CAMERA, MODELS, UPLOAD
from model_update.configuration import Configuration as Models
from stream_upload.configuration import Configuration as Uploads


def test_what_is_deployed_is_valid() -> None:
    turns = SimpleNamespace(_seed=7, _first=(Path("/models/surface-1.0.0.tar"), 64 * "a"), _public="A" * 43 + "=")
    merge = Turns.merge(turns)  # type: ignore[arg-type]
    assert convert(merge[CAMERA], Cameras).cameras["gate"].examples.below == 0.9
    assert convert(merge[MODELS], Models).models["surface"].sha256 == 64 * "a"
    assert convert(merge[UPLOAD], Uploads).bucket


def test_the_page_shows_before_and_after() -> None:
    ours = [Point(24, "1.0.0", 0.61, 0.3, 0.5), Point(64, "1.1.0 <b>", 0.9, 0.1, 0.1)]
    html = page(ours, [Point(64, "by chance", 0.8, 0.2, 0.2)])
    assert html.count("<circle") == 3
    assert "<b>61.0%</b> before, <b>90.0%</b> after; <b>64</b> labels" in html
    assert "1.1.0 <b>" not in html
    assert "http" not in html.replace("http-equiv", "")


def test_two_stories_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--loop", "--models"]) == 1
    assert "story" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="takes minutes: EDGELOOP_LONG=1")
def test_the_line_is_better_afterwards(tmp_path: Path) -> None:
    report = tmp_path / "loop.json"
    assert main(["demo", "--loop", "--root", str(tmp_path / "core"), "--report", str(report)]) == 0
    found = json.loads(report.read_text())["loop"]
    assert found["after"] > found["before"]
    assert found["labels"] <= 264
    assert report.with_suffix(".html").read_text().count("<circle") >= 3
