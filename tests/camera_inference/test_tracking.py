"""Things that are followed and counted, places in pictures, what is hidden, and what becomes a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from camera_inference.configuration import Camera
from camera_inference.counts import Counts
from camera_inference.frame import Frame
from camera_inference.prepare import HIDDEN, Preparation
from camera_inference.redaction import Redaction
from camera_inference.tracking import Event, Tracker
from camera_inference.verdict import MOST, Box
from camera_inference.zones import Zone
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.models.manifest import Golden, Image, Manifest, Tensor, Variant
from edgeloop.models.package import listed

LINE, DOOR = Zone.parse("line 0,0.5 1,0.5"), Zone.parse("polygon 0.6,0.6 1,0.6 1,1 0.6,1")
SECOND = 10**9


def walk(x: float, begin: float, end: float, steps: int) -> list[tuple[float, float]]:
    return [(x, begin + (end - begin) * k / (steps - 1)) for k in range(steps)]


def person(x: float, foot: float, score: float = 0.9) -> Box:
    return Box("person", score, x - 0.05, foot - 0.3, 0.1, 0.3)


def followed(paths: list[list[tuple[float, float]]], zones: dict[str, Zone], jitter: float = 0.0) -> list[Event]:
    chance = np.random.default_rng(3)
    tracker = Tracker(zones)
    found: list[Event] = []
    for k in range(max(map(len, paths)) + 25):
        boxes = [person(*(np.array(path[k]) + chance.normal(0, jitter, 2))) for path in paths if k < len(path)]
        found += tracker.update(boxes, k * SECOND // 10)[1]
    return found


def test_each_is_counted_once_whichever_way_it_goes() -> None:
    down, up = walk(0.2, 0.35, 0.75, 30), walk(0.5, 0.8, 0.36, 30)
    waits = [(0.8, 0.499)] * 30
    events = followed([down, up, waits], {"l1": LINE}, jitter=0.003)
    assert sorted((event.zone, event.way) for event in events) == [("l1", "in"), ("l1", "out")]


def test_two_that_cross_stay_two() -> None:
    one = [(0.1 + 0.8 * k / 39, 0.5 + 0.25 * k / 39) for k in range(40)]
    other = [(0.9 - 0.8 * k / 39, 0.45 - 0.1 * k / 39) for k in range(40)]
    events = followed([one, other], {"l": Zone.parse("line 0.5,0 0.5,1")})
    assert sorted(event.way for event in events) == ["in", "out"]
    assert len({event.track for event in events}) == 2


def test_who_enters_is_told_and_how_long_it_stayed() -> None:
    path = walk(0.8, 0.4, 0.8, 10) + [(0.8, 0.8)] * 20 + walk(0.8, 0.8, 0.4, 10)
    entered, left = followed([path], {"door": DOOR})
    assert (entered.kind, left.kind, entered.label) == ("entered", "left", "person")
    assert left.dwell == pytest.approx((left.time - entered.time) / SECOND)
    assert 2.5 < left.dwell < 3.5
    gone = followed([walk(0.8, 0.4, 0.8, 10)], {"door": DOOR})
    assert [event.kind for event in gone] == ["entered", "left"]


def test_a_thing_keeps_its_number_over_a_gap_and_a_flash_is_none() -> None:
    tracker = Tracker({"door": DOOR})
    numbers = []
    for k, (x, y) in enumerate(walk(0.2, 0.4, 0.7, 20)):
        boxes = [] if 8 <= k < 12 else [person(x, y)]
        shown, _ = tracker.update([*boxes, *([person(0.7, 0.9)] if k == 5 else [])], k * SECOND // 10)
        numbers += [box.track for box in shown if box.track]
    assert set(numbers) == {numbers[0]}
    assert tracker.inside == {"door": 0}


@pytest.mark.parametrize("text", ["circle 0,0 1,1", "line 0,0", "polygon 0,0 1,1", "line 0,0 1,2", "polygon a,b", ""])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError):
        convert({"uri": "/a", "zones": {"z": text}}, Camera)


def test_places_that_are_named_are_there() -> None:
    for more in ({"mask": "sky"}, {"redact": {"zones": "sky"}}, {"mask": "l", "zones": {"l": "line 0,0 1,1"}}):
        with pytest.raises(ConfigurationError, match="no polygon of zones"):
            convert({"uri": "/a", **more}, Camera)


def test_what_is_hidden_is_nowhere_and_the_rest_is_as_it_was() -> None:
    image = np.random.default_rng(2).integers(0, 255, (120, 160, 3), np.uint8)
    face, car = Box("face", 0.9, 0.5, 0.5, 0.2, 0.2), Box("car", 0.9, 0.1, 0.1, 0.2, 0.2)
    street = Zone.parse("polygon 0,0.8 0.3,0.8 0.3,1 0,1")
    shown = Redaction("face plate", [street]).applied(image, [face, car], located=True)
    same = (shown == image).all(axis=2)
    hidden = ~same
    assert hidden[60:84, 80:112].mean() > 0.99
    assert hidden[97:119, 2:46].mean() > 0.99
    assert same[:50].all()
    assert same[:, 125:].all()
    spread = shown[60:84, 80:112].reshape(-1, 3).std(axis=0)
    assert (spread < 0.4 * image[60:84, 80:112].reshape(-1, 3).std(axis=0)).all()
    with pytest.raises(EdgeloopError, match="locates nothing"):
        Redaction("face", []).applied(image, [], located=False)
    with pytest.raises(EdgeloopError, match="may show what is to be redacted"):
        Redaction("face", []).applied(image, [face] * MOST, located=True)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_the_model_does_not_see_what_is_masked(fit: Any) -> None:
    manifest = Manifest(
        schema=1, name="m", version="1.0.0", task="one_class", files=listed({"model.onnx": b"m", "golden.npz": b"g"}),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=(1, 64, 64, 3)),),
        outputs=(Tensor(name="score", dtype="float32", shape=(1,)),),
        golden=Golden(), labels=("good", "bad"),
        preprocessing=(Image(input="image", width=64, height=64, layout="nhwc", fit=fit),),
    )  # fmt: skip
    preparation = Preparation(manifest, (0.0, 0.0, 1.0, 1.0), [Zone.parse("polygon 0,0 0.5,0 0.5,1 0,1")])
    image = np.full((64, 128, 3), 200, np.uint8)
    tensor, _ = preparation.fill(Frame("gate", 0, 0, image), preparation.buffer())
    assert (image == 200).all()
    assert (tensor[0, 32, :30] == HIDDEN).all()
    assert (tensor[0, 32, 34:] == 200).all()


def test_counts_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("camera_inference.counts.time.monotonic", lambda: now)
    counts = Counts({"door": "polygon", "l1": "line"})
    assert counts.due() is None
    for word in ("pass", "pass", "pass", "fail"):
        counts.verdict(word)
    counts.events([Event("crossed", "l1", 1, "person", 0, "in"), Event("entered", "door", 1, "person", 0)], {"door": 2})
    now = 101.0
    told = counts.due()
    assert told is not None
    assert {key: value for key, value in told.items() if key != "time"} == {
        "pass": 3, "fail": 1, "unknown": 0, "fail_share": 0.25, "unknown_share": 0.0,
        "door_entered": 1, "door_left": 0, "door_inside": 2, "l1_in": 1, "l1_out": 0,
    }  # fmt: skip
    now = 102.5
    again = counts.due()
    assert again is not None
    assert (again["pass"], again["fail_share"], again["door_inside"]) == (0, 0.25, 2)
