"""`demo --fleet`: what it deploys is valid, and its faults are such as analyses find; the run itself is long."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from anomaly_inference.configuration import Configuration as Anomaly
from edgeloop.config.load import convert
from edgeloop_tools.cli import main
from edgeloop_tools.demo import fleet
from edgeloop_tools.demo.plan import ANOMALY


def test_what_is_deployed_is_valid() -> None:
    monitors = convert(fleet._merge(7)[ANOMALY], Anomaly)
    assert monitors.fleet is not None
    assert monitors.fleet.findings
    assert monitors.monitors["press3_bearing"].asset == "press3"


def test_the_live_machine_wears_and_another_is_unlike() -> None:
    made, means, worn, unlike = fleet.simulated(20, 7)
    assert fleet.LIVE in worn
    assert unlike not in worn
    assert made.name(fleet.LIVE) == ("site1", "press3")
    assert made.device(fleet.LIVE) == fleet.THING != made.device(0)
    assert means.shape == (20, 2, fleet.DAYS + fleet.AFTER)
    assert means[fleet.LIVE, 1, fleet.DAYS - 1] > means[fleet.LIVE, 1, 0] + 1.5


def test_it_is_a_story_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--fleet", "--models"]) == 1
    assert main(["demo", "--fleet", "2"]) == 1
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.long
@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="takes minutes: EDGELOOP_LONG=1")
def test_the_fleets_story(tmp_path: Path) -> None:
    report = tmp_path / "fleet.json"
    assert main(["demo", "--fleet", "12", "--root", str(tmp_path / "core"), "--report", str(report)]) == 0
    told = json.loads(report.read_text())
    assert told["found"] == told["worn"] > 0
    assert told["label"]["reason"] == "true"
    assert [step["step"] for step in told["steps"]][-1] == "over"
    assert report.with_suffix(".html").exists()
