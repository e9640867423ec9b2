"""Parts that a stream announces: which picture is theirs, exactly one verdict for each, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from camera_inference.configuration import Camera
from camera_inference.frame import Frame
from camera_inference.trigger import BURST, Moment, Trigger, Waiting
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.journal import JournalWriter, directory
from edgeloop.samples import SamplesPublisher
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch

MS = 1_000_000


def camera(**more: Any) -> Camera:
    return convert({"uri": "/images", "policy": "every", **more}, Camera)


def plc(begin: int, present: list[bool], parts: list[str], step: int = 10 * MS) -> RecordBatch:
    times = np.array([begin + k * step for k in range(len(present))], np.int64)
    columns = {
        "present": Column("bool", np.array(present, np.uint8)), "part": Column("string", tuple(parts)),
    }  # fmt: skip
    return RecordBatch("plc", 1, 0, times, columns)


def test_a_part_is_an_edge_with_the_name_of_that_moment() -> None:
    trigger = Trigger(camera(trigger="plc.present", part="plc.part", delay="20 ms"))
    assert trigger.streams == {"plc"}
    found = trigger.take([plc(1000, [True, False, True, True, False], ["a", "a", "b", "b", "b"])])
    assert found == [Moment("b", 1000 + 20 * MS, 1000 + 40 * MS)]
    assert trigger.take([plc(10**9, [False, True], ["c", "d"])]) == [Moment("d", 10**9 + 10 * MS, 10**9 + 30 * MS)]


def test_an_edge_between_two_processes_is_none_too_many_and_none_too_few() -> None:
    first = Trigger(camera(trigger="!plc.present"))
    assert first.take([plc(0, [True], ["a"])]) == []
    second = Trigger(camera(trigger="!plc.present"))
    second.seen = msgspec.json.decode(msgspec.json.encode(first.seen), type=type(first.seen))
    assert [moment.time for moment in second.take([plc(50, [False], ["a"])])] == [50]
    assert Trigger(camera(trigger="!plc.present")).take([plc(50, [False], ["a"])]) == []


def test_pulses_of_a_counter() -> None:
    def counted(values: list[float], begin: int) -> Batch:
        times = np.array([begin + 10 * MS * k for k in range(len(values))], np.int64)
        samples = np.array([values], np.float64).T
        return Batch("enc", 1, 0, begin, (Channel("count"),), np.ascontiguousarray(samples), times=times)

    trigger = Trigger(camera(pulses={"stream": "enc.count", "every": 400}))
    found = trigger.take([counted([100, 300, 500, 1300], 0)])
    assert [moment.time // MS for moment in found] == [15, 23, 28]
    assert len({moment.part for moment in found}) == 3
    assert trigger.take([counted([0, 100, float("nan"), 420], 10**9)])[0].time == 10**9 + 28_750_000
    assert len(trigger.take([counted([10**9], 2 * 10**9)])) == BURST


def test_the_first_picture_taken_when_the_part_is_in_view() -> None:
    waiting = Waiting(10**9)
    frames = [Frame("gate", at, 0, np.zeros((2, 2), np.uint8)) for at in range(0, 5 * 10**8, 10**8)]
    for frame in frames[:3]:
        assert waiting.frame(frame) == []
    assert waiting.part(Moment("late", 0, 15 * 10**7)) is frames[2]
    early = Moment("early", 0, 35 * 10**7)
    assert waiting.part(early) is None
    assert waiting.frame(frames[3]) == []
    assert waiting.frame(frames[4]) == [early]
    assert not waiting.drop("early")
    assert waiting.part(Moment("never", 0, 10**12)) is None
    assert waiting.drop("never")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"trigger": "plc.present", "deadline": "99 ms"}, "shorter than two ticks"),
        ({"trigger": "plc.present", "policy": "latest"}, "need policy: every"),
        ({"trigger": "nonsense"}, "no condition"),
        ({"trigger": "plc.present", "pulses": {"stream": "enc.count", "every": 4}}, "take one"),
        ({"part": "plc.part"}, "belong to a trigger"),
        ({"trigger": "plc.present", "part": "plc.part > 3"}, "no column"),
        ({"pulses": {"stream": "enc.count", "every": 0}}, "above 0"),
    ],
)
def test_what_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        camera(**more)


@pytest.fixture
def samples(plant: Any) -> Iterator[SamplesPublisher]:
    (plant.root / "work" / "io.edgeloop.SensorIngest").mkdir(parents=True)
    writer = JournalWriter(directory(plant.root))
    yield SamplesPublisher(plant.bus.publish, writer)
    writer.close()


def test_parts_of_a_line_are_judged_once_each(
    plant: Any, samples: SamplesPublisher, make_model: Any, tmp_path: Path
) -> None:
    image = tmp_path / "part.png"
    cv2.imwrite(str(image), np.random.default_rng(1).integers(20, 90, (48, 64, 3), np.uint8))
    make_model(plant.root / "brightness.tar")
    plant.configure(
        cameras={
            "gate": {
                "uri": f"file:{image}?loop=true&rate=50", "policy": "every", "trigger": "plc.present",
                "part": "plc.part", "deadline": "5 s", "delay": "30 ms", "pictures": {"usual": False},
            },
            "blind": {
                "uri": f"file:{tmp_path}/none.png", "policy": "every", "trigger": "plc.present", "deadline": "500 ms",
            },
        }
    )  # fmt: skip
    plant.start()
    plant.wait(lambda: plant.health().get("counters", {}).get("frames.gate", 0) > 5)
    begin = time.time_ns()
    samples.tick([plc(begin, [False, True], ["", "p1"], step=1)])
    samples.tick([plc(begin + 10, [False, True, False, True], ["p1", "p2", "p2", "p1"], step=1)])
    plant.wait(lambda: len([r for r in plant.results() if r["camera"] == "blind"]) == 3)
    plant.wait(lambda: len([r for r in plant.results() if r["camera"] == "gate"]) == 2)
    by_camera = {name: [r for r in plant.results() if r["camera"] == name] for name in ("gate", "blind")}
    assert [r["part"] for r in by_camera["gate"]] == ["p1", "p2"]
    assert {r["time"] for r in by_camera["gate"]} == {begin + 1, begin + 11}
    for result in by_camera["gate"]:
        assert result["verdict"] == "unknown"
        assert "no model: edgeloop teach" in result["reason"]
    assert {r["reason"] for r in by_camera["blind"]} == {"no picture"}
    assert "camera.gate.inference" in str(plant.health())
