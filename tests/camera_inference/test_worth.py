"""Which pictures are worth a label, and what a person overruled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from camera_inference.configuration import Camera, Examples
from camera_inference.documents import Result
from camera_inference.frame import Frame
from camera_inference.hard_examples import HardExamples
from camera_inference.worth import Worth
from edgeloop.config.load import convert
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop.sim.conveyor import Camera as Belt
from edgeloop.sim.conveyor import Conveyor

OWNER = "io.edgeloop.CameraInference"
SURE = Result(camera="gate", time=1, decided=2, verdict="pass", part="p", confidence=0.99)


class Around:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def problem(self, key: str, line: str) -> None:
        raise AssertionError(line)

    def clear(self, key: str) -> None: ...


def wanted(**settings: Any) -> Examples:
    return convert({"random": "0%", **settings}, Examples)


@pytest.mark.parametrize(
    ("settings", "change", "why"),
    [
        ({}, {}, ""),
        ({}, {"confidence": 0.7}, "below"),
        ({"below": 0, "margin": 0.3}, {"margin": 0.2}, "margin"),
        ({"below": 0, "margin": 0.3}, {"confidence": 0.6}, "margin"),
        ({"below": 0, "margin": 0.3}, {"confidence": 0.7}, ""),
        ({"below": 0, "entropy": 0.9}, {"entropy": 0.95}, "entropy"),
        ({"below": 0, "novelty": 0.9}, {"strange": 0.95}, "novelty"),
        ({"random": "100%"}, {}, "random"),
        ({"most": 0}, {"confidence": 0.1}, ""),
        ({"most": 0, "random": "100 %"}, {"confidence": 0.1}, "random"),
    ],
)
def test_each_doubt_has_its_word(settings: dict[str, Any], change: dict[str, Any], why: str) -> None:
    assert Worth(0).reason(wanted(**settings), msgspec.structs.replace(SURE, **change)) == why


def test_the_random_share_is_what_it_says() -> None:
    worth, examples = Worth(1), wanted(random="5%", below=0)
    kept = sum(worth.reason(examples, SURE) == "random" for _ in range(4000))
    assert 160 <= kept <= 240


def test_the_same_picture_is_kept_once_and_other_parts_are_kept() -> None:
    belt = Belt(Conveyor("gate", 7))
    worth, examples = Worth(0), wanted()
    rng = np.random.default_rng(0)
    kept = []
    for number in (*range(0, 400, 20), 0, 20):
        image = belt.image(number).astype(np.int16) + rng.integers(-2, 3, (240, 320, 3))
        kept.append(worth.new(examples, Frame("gate", 1, 1, np.clip(image, 0, 255).astype(np.uint8))))
    assert sum(kept[:20]) >= 19
    assert kept[20:] == [False, False]
    assert worth.spend(wanted(bytes="1 kB"), 900)
    assert not worth.spend(wanted(bytes="1 kB"), 200)
    assert worth.spend(wanted(bytes="0"), 10**9)


def test_what_a_person_overruled_goes_up_clean(tmp_path: Path) -> None:
    around, queue = Around(), UploadQueue(tmp_path, OWNER)
    examples = HardExamples(tmp_path, queue, around)  # type: ignore[arg-type]
    examples.start()
    camera = convert({"uri": "/x", "policy": "every", "examples": {"below": 0, "random": "0%"}}, Camera)
    for number in range(25):
        failed = msgspec.structs.replace(SURE, part=f"1-{number}", verdict="fail", time=100 + number)
        while examples._waiting.full():
            pass
        examples.offer(camera, Frame("gate", 1, 1, Belt(Conveyor("gate", 7)).image(number)), failed)
    examples.close()
    assert not examples.overruled("gate", "1-2"), "only the last 20 are here"
    assert examples.overruled("gate", "1-20")
    reader = QueueReader(tmp_path, OWNER)
    (kept,) = [reader.describe(entry)[1] for entry in reader.entries()]
    assert (kept.name, kept.document["kept"], kept.document["part"]) == ("gate_120.jpg", "overruled", "1-20")
    assert around.counts == {"hard_examples.gate": 1}
    queue.close()
