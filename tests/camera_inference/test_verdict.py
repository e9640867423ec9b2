"""Outputs of models to findings and verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from camera_inference.frame import Frame
from camera_inference.prepare import Placement, Preparation
from camera_inference.verdict import Criteria, interpret
from edgeloop.errors import EdgeloopError
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Calibration, File, Golden, Image, Manifest, Tensor, Variant

FILE = File(sha256="0" * 64, size=1)
WHOLE = Placement(0.0, 0.0, 1 / 32, 1 / 24, 32, 24)
GOOD = Criteria(frozenset({"good"}))


def manifest(task: Any, outputs: dict[str, tuple[int | str, ...]], **more: Any) -> Manifest:
    image = more.pop("image", Image(input="x", width=32, height=24, layout="nhwc"))
    tensor = more.pop("tensor", Tensor(name="x", dtype="uint8", shape=(1, 24, 32, 3)))
    return Manifest(
        schema=1, name="m", version="1.0.0", task=task, files={"model.onnx": FILE, "golden.npz": FILE},
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),), inputs=(tensor,),
        outputs=tuple(Tensor(name=n, dtype="float32", shape=s) for n, s in outputs.items()),
        golden=Golden(), preprocessing=(image,), **more,
    )  # fmt: skip


def test_classification_from_probabilities_and_logits() -> None:
    known = manifest("classification", {"p": (1, 3)}, labels=("good", "scratch", "dent"))
    found = interpret(known, [np.array([[0.1, 0.7, 0.2]], np.float32)], WHOLE, GOOD)
    assert (found.label, found.score, found.confidence) == ("scratch", 0.9, 0.9)
    assert GOOD.judge(found, known) == "fail"
    found = interpret(known, [np.array([[9.0, 1.0, -4.0]], np.float32)], WHOLE, GOOD)
    assert found.label == "good"
    assert found.confidence > 0.99
    assert GOOD.judge(found, known) == "pass"
    strict = Criteria(frozenset({"good"}), threshold=0.2, certain=0.9)
    found = interpret(known, [np.array([[0.75, 0.2, 0.05]], np.float32)], WHOLE, strict)
    assert found.label == "scratch"
    assert strict.judge(found, known) == "unknown"


def test_one_class_says_how_sure_it_is() -> None:
    calibrated = Calibration(temperature=0.1)
    known = manifest("one_class", {"score": (1,)}, thresholds={"fail": 2.0}, calibration=calibrated)
    sure = interpret(known, [np.array([1.0], np.float32)], WHOLE, GOOD)
    close = interpret(known, [np.array([2.01], np.float32)], WHOLE, GOOD)
    assert (GOOD.judge(sure, known), GOOD.judge(close, known)) == ("pass", "fail")
    assert sure.confidence > 0.99
    assert close.confidence < 0.6
    assert (sure.label, close.label) == ("good", "anomaly")


def test_a_map_becomes_boxes() -> None:
    known = manifest("one_class", {"score": (1,), "map": (6, 8)}, thresholds={"fail": 0.5})
    weights = np.zeros((6, 8), np.float32)
    weights[1:3, 2:4], weights[5, 7] = 0.9, 0.6
    found = interpret(known, [np.array([0.9], np.float32), weights], WHOLE, GOOD)
    assert [(b.x, b.y, b.width, b.height) for b in found.boxes] == [
        (0.25, 0.1667, 0.25, 0.3333),
        (0.875, 0.8333, 0.125, 0.1667),
    ]
    assert interpret(known, [np.array([0.1], np.float32), weights], WHOLE, GOOD).boxes == ()


def test_detection_fails_for_what_is_not_accepted() -> None:
    known = manifest(
        "detection", {"boxes": ("n", 4), "scores": ("n",), "classes": ("n",)}, labels=("good", "crack"),
        thresholds={"fail": 0.6},
    )  # fmt: skip
    boxes = np.array([[0, 0, 16, 12], [8, 6, 40, 30]], np.float32)
    found = interpret(known, [boxes, np.array([0.9, 0.8]), np.array([0, 1])], WHOLE, GOOD)
    assert (found.label, found.score) == ("crack", 0.8)
    assert [(b.label, b.x, b.width) for b in found.boxes] == [("good", 0.0, 0.5), ("crack", 0.25, 0.75)]
    nothing = interpret(known, [np.empty((0, 4)), np.empty(0), np.empty(0)], WHOLE, GOOD)
    assert (nothing.label, GOOD.judge(nothing, known)) == ("good", "pass")
    assert GOOD.judge(interpret(known, [boxes, np.array([0.9, 0.5]), np.array([0, 1])], WHOLE, GOOD), known) == "pass"


@pytest.mark.parametrize(
    ("task", "outputs", "values"),
    [
        ("classification", {"p": (1, 3)}, [np.zeros((1, 2))]),
        ("classification", {"p": (1, 3)}, [np.array([[np.nan, 0, 1]])]),
        ("one_class", {"s": (2,)}, [np.zeros(2)]),
        ("detection", {"boxes": (1, 4)}, [np.zeros((1, 4))]),
        (
            "detection",
            {"boxes": (1, 4), "scores": (1,), "classes": (1,)},
            [np.zeros((1, 4)), np.ones(1), np.array([7])],
        ),
        ("regression", {"y": (1,)}, [np.zeros(1)]),
    ],
)
def test_outputs_that_make_no_sense(task: str, outputs: dict[str, Any], values: list[Any]) -> None:
    known = manifest(task, outputs, labels=("good", "scratch", "dent"))
    with pytest.raises(ModelError):
        interpret(known, values, WHOLE, GOOD)


def frame(image: Any, colour: Any = "rgb") -> Frame:
    return Frame("gate", 0, 0, image, colour)


def test_what_fits_is_not_copied() -> None:
    preparation = Preparation(manifest("one_class", {"s": (1,)}), (0, 0, 1, 1))
    image = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    tensor, _ = preparation.fill(frame(image), preparation.buffer())
    assert np.shares_memory(tensor, image)
    turned, _ = preparation.fill(frame(image[:, :, ::-1].copy(), "bgr"), preparation.buffer())
    assert (turned[0] == image).all()
    grey, _ = preparation.fill(frame(image[:, :, 0], "grey"), preparation.buffer())
    assert (grey[0, :, :, 2] == image[:, :, 0]).all()


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_box_comes_back_to_where_it_was(fit: Any, layout: Any) -> None:
    shape = (1, 3, 64, 64) if layout == "nchw" else (1, 64, 64, 3)
    known = manifest(
        "one_class", {"s": (1,)}, tensor=Tensor(name="x", dtype="float32", shape=shape),
        image=Image(
            input="x", width=64, height=64, layout=layout, fit=fit, mean=(0.5,) * 3, deviation=(0.25,) * 3
        ),
    )  # fmt: skip
    image = np.zeros((200, 400, 3), np.uint8)
    image[80:100, 200:240] = 255
    tensor, placement = Preparation(known, (0.25, 0.2, 0.5, 0.6)).fill(frame(image), np.empty(shape, np.float32))
    plane = tensor[0, 0] if layout == "nchw" else tensor[0, :, :, 0]
    assert plane.max() == pytest.approx(2.0, abs=0.05)
    rows, columns = np.where(plane > 0)
    box = placement.box("x", 1.0, columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert box[2:] == pytest.approx((0.5, 0.4, 0.1, 0.1), abs=0.03)


def test_models_that_take_no_image() -> None:
    for more in (
        {"tensor": Tensor(name="x", dtype="int64", shape=(1, 24, 32, 3))},
        {"tensor": Tensor(name="x", dtype="uint8", shape=(1, 3, 24, 32))},
    ):
        with pytest.raises(EdgeloopError):
            Preparation(manifest("one_class", {"s": (1,)}, **more), (0, 0, 1, 1))
