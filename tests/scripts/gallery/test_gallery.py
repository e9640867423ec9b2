"""Classes from five pictures: the next version of a package, and what a camera then says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from camera_inference.frame import Frame
from camera_inference.prepare import Preparation
from camera_inference.verdict import Criteria, interpret
from edgeloop.models import golden
from edgeloop.models.decoders import make
from edgeloop.models.head import Head
from edgeloop.models.manifest import Golden, Image, Manifest, Tensor, Variant
from edgeloop.models.package import listed, pack, unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop_tools.cli import main

COLOURS = {"red": (40, 40, 220), "green": (40, 200, 40), "blue": (220, 60, 40), "grey": (120, 120, 120)}
"""BGR."""


def pictures(folder: Path, name: str, count: int, seed: int) -> list[Path]:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        image = np.clip(rng.normal(COLOURS[name], 18, (24, 32, 3)), 0, 255).astype(np.uint8)
        made.append(folder / f"{name}{number}.png")
        cv2.imwrite(str(made[-1]), image)
    return made


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A real model whose vector is the picture's mean colour, about the middle; its gallery is empty."""
    shape = (1, 24, 32, 3)
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["vector"]),
    ]
    middle = onnx.numpy_helper.from_array(np.array([[100.0, 100.0, 100.0]], np.float32), "middle")
    graph = helper.make_graph(
        nodes, "colour", [helper.make_tensor_value_info("image", TensorProto.UINT8, list(shape))],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 3])], [middle],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    image = np.full(shape, 150, np.uint8)
    case = golden.Case({"image": image}, [np.full((1, 3), 50.0, np.float32)])
    files = {"model.onnx": model.SerializeToString(deterministic=True), "golden.npz": golden.encode([case])}
    manifest = Manifest(
        schema=2, name="products", version="1.0.0", task="embedding", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=shape),),
        outputs=(Tensor(name="vector", dtype="float32", shape=(1, 3)),), golden=Golden(), thresholds={"fail": 0.9},
        preprocessing=(Image(input="image", width=32, height=24, layout="nhwc"),),
        head=Head(decoder="embedding", roles={"vector": "vector"}),
    )  # fmt: skip
    pack(tmp_path / "products.tar", manifest, files)
    return tmp_path / "products.tar"


def said(path: Path, folder: Path, images: list[Path]) -> list[str]:
    """What the package's model says of pictures, as CameraInference reads it."""
    opened = unpack(path, folder)
    manifest = opened.manifest
    runner, preparation = open_runner(opened, manifest.variants[0], Options()), Preparation(manifest, (0, 0, 1, 1))
    decoder, found = make(manifest, opened.folder), []
    for image in images:
        frame = Frame("", 0, 0, cv2.imread(str(image)), "bgr")
        tensor, placement = preparation.fill(frame, preparation.buffer())
        criteria = Criteria(frozenset(manifest.labels))
        found.append(interpret(manifest, runner.run(tensor), placement, criteria, decoder).label)
    return found


def test_a_class_is_five_pictures(tmp_path: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = package
    for number, name in enumerate(("red", "green", "blue"), 1):
        pictures(tmp_path / name, name, 5, number)
        assert main(["gallery", "add", str(path), name, str(tmp_path / name)]) == 0
        path = tmp_path / f"products-1.0.{number}.tar"
    assert main(["gallery", "list", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == ["    5  red", "    5  green", "    5  blue"]
    seen = [p for name in ("red", "green", "blue") for p in pictures(tmp_path / "new", name, 20, 9)]
    assert said(path, tmp_path / "a", seen) == ["red"] * 20 + ["green"] * 20 + ["blue"] * 20
    assert set(said(path, tmp_path / "a", pictures(tmp_path / "other", "grey", 5, 3))) == {""}, "nothing it knows"
    assert main(["gallery", "remove", str(path), "red"]) == 0
    last = tmp_path / "products-1.0.4.tar"
    assert main(["gallery", "list", str(last)]) == 0
    assert "red" not in capsys.readouterr().out.split("gone")[1].replace("products", "")
    assert said(last, tmp_path / "b", seen[20:]) == ["green"] * 20 + ["blue"] * 20
    assert "red" not in said(last, tmp_path / "b", seen[:20])


@pytest.mark.parametrize("what", ["no picture", "no class", "no gallery", "itself", "nothing left"])
def test_what_is_wrong_is_one_line(tmp_path: Path, package: Path, what: str, capsys: Any) -> None:
    (tmp_path / "text.png").write_text("no picture")
    good = pictures(tmp_path / "red", "red", 1, 1)[0]
    other = Path(__file__).parents[3] / "components" / "models" / "visual_inspection" / "visual_inspection.tar"
    words: dict[str, list[Any]] = {
        "no picture": ["add", package, "red", tmp_path / "text.png"], "no class": ["remove", package, "red"],
        "no gallery": ["add", other, "red", good], "itself": ["add", package, "red", good, "--out", package],
        "nothing left": ["remove", tmp_path / "products-1.0.1.tar", "red"],
    }  # fmt: skip
    if what == "nothing left":
        assert main(["gallery", "add", str(package), "red", str(good)]) == 0
    assert main(["gallery", *map(str, words[what])]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("edgeloop: ")
