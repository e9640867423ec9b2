"""A package that `model package` made, at a camera."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeloop.models import store
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools import cli


def detector(path: Path) -> None:
    """YOLOv8's layout at 320 × 320: one box in the middle, as sure as the picture is bright."""
    rows = np.zeros((1, 6, 2100), np.float32)
    rows[0, :4] = np.random.default_rng(0).uniform(10, 300, (4, 2100))
    rows[0, :4, 900] = 160, 160, 80, 40
    where = np.zeros((1, 6, 2100), np.float32)
    where[0, 5, 900] = 1.0
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "where"], ["sure"]),
        helper.make_node("Add", ["sure", "rows"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes, "v8", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 320, 320])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 2100])],
        [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(where, "where")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(model)


def test_a_detector_judges_parts_by_its_head(plant: Any, tmp_path: Path) -> None:
    detector(tmp_path / "v8.onnx")
    (tmp_path / "labels.txt").write_text("nut\nbolt\n")
    out = tmp_path / "bolts.tar"
    words = ["model", "package", str(tmp_path / "v8.onnx"), "--name", "bolts", "--version", "1.0.0", "-o", str(out)]
    assert cli.main([*words, "--labels", str(tmp_path / "labels.txt"), "--threshold", "0.35"]) == 0
    shelf = Shelf(store.directory(plant.root, "bolts"), "bolts")
    shelf.activate(Ref(digest=unpack(out, shelf.folder).digest, version="1.0.0"), time.time_ns())
    images = tmp_path / "images"
    images.mkdir()
    part = Camera(Conveyor("gate", 1, defective=0.0)).image(0)[:, :, ::-1]
    for name, image in (("bright", np.clip(part * 1.6, 0, 255)), ("dim", part * 0.5)):
        cv2.imwrite(str(images / f"{name}.png"), image.astype(np.uint8))
        os.utime(images / f"{name}.png", ns=(time.time_ns(), time.time_ns()))
    camera = {"uri": f"folder:{images}", "policy": "every", "deadline": "30 s", "model": "bolts", "accept": "nut"}
    plant.configure(cameras={"gate": camera})
    process = plant.start()
    plant.wait(lambda: len(plant.results()) >= 2)
    judged = {r["part"]: r for r in plant.results()}
    assert judged["bright.png"]["verdict"] == "fail"
    assert judged["bright.png"]["label"] == "bolt"
    (box,) = judged["bright.png"]["boxes"]
    assert (box["x"], box["width"]) == (0.375, 0.25)
    assert abs(box["y"] + box["height"] / 2 - 0.5) < 0.01
    assert (judged["dim.png"]["verdict"], judged["dim.png"]["model"]["name"]) == ("pass", "bolts")
    process.terminate()
    assert process.wait(60) == 0
