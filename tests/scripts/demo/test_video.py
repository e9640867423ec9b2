"""`demo --video`: what it deploys is valid, and its stand-in for a larger model answers; the run itself is long."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from camera_inference.configuration import Configuration as Cameras
from edgeloop.config.load import convert
from edgeloop_tools.cli import main
from edgeloop_tools.cloud.larger import Larger
from edgeloop_tools.config.outline import VIDEO
from edgeloop_tools.demo import video
from edgeloop_tools.demo.plan import CAMERA
from video_upload.aws.http import Connection, Unreachable
from video_upload.configuration import Configuration as Sent


def test_what_is_deployed_is_valid() -> None:
    merge = video._merge(7, "http://127.0.0.1:1/judge")
    cameras, sent = convert(merge[CAMERA], Cameras).cameras, convert(merge[VIDEO], Sent).cameras
    assert {id: camera.waits for id, camera in cameras.items()} == {"edge": False, "hybrid": True, "cloud": True}
    assert {id: camera.opinion for id, camera in sent.items()} == {id: cameras[id].opinion for id in sent}


def test_the_stand_in_answers_until_it_is_gone() -> None:
    with Larger(lambda camera, part: {"7": "scratch"}.get(part), pause=0.0, right=1.0) as model:
        connection = Connection(model.url)
        about = {"x-amzn-sagemaker-custom-attributes": "camera=gate,id=7"}
        status, answer = connection.request("POST", model.url, about, b"jpeg")
        assert (status, json.loads(answer)["label"]) == (200, "scratch")
        assert (model.pictures["gate"], model.bytes["gate"]) == (1, 4)
        model.gone = True
        with pytest.raises(Unreachable):
            connection.request("POST", model.url, about, b"jpeg")
        connection.close()


def test_two_stories_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--video", "--models"]) == 1
    assert "story" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="takes minutes: EDGELOOP_LONG=1")
def test_both_together_are_better_than_the_edge_alone(tmp_path: Path) -> None:
    report = tmp_path / "video.json"
    words = ["demo", "--video", "--duration", "40", "--root", str(tmp_path / "core"), "--report", str(report)]
    assert main(words) == 0
    rows = json.loads(report.read_text())["video"]
    assert rows["hybrid"]["right"] >= rows["edge"]["right"]
    assert rows["hybrid"]["sent"] <= 0.2
    assert all(row["late"] == 0 for row in rows.values())
