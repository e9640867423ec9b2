"""Zones, tracking, counting and redaction, by the component as a process: a bright thing goes from left to right."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeloop import topics
from edgeloop.models import store
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf
from edgeloop_tools import cli

SIDE, THING = 320, 60
PLACES = [40 + 24 * k for k in range(11)]
"""Pixels of its middle, picture by picture."""


def detector(path: Path) -> None:
    """YOLOv8's layout: one box around what is brighter than 0.8, where that is."""
    rows = np.zeros((1, 6, 2100), np.float32)
    rows[0, :4] = np.random.default_rng(0).uniform(10, 300, (4, 2100))
    rows[0, :4, 900] = 0, 0, THING, THING
    spots = np.zeros((3, 1, 6, 2100), np.float32)
    for k, row in enumerate((0, 1, 5)):
        spots[k, 0, row, 900] = 1
    across = np.broadcast_to(np.arange(SIDE, dtype=np.float32), (1, 1, SIDE, SIDE)).copy()
    constants = {
        "rows": rows, "s0": spots[0], "s1": spots[1], "s2": spots[2], "limit": np.float32([0.8]),
        "x": across, "y": across.transpose(0, 1, 3, 2).copy(), "least": np.float32([1e-3]), "much": np.float32([0.01]),
        "zero": np.float32(0), "top": np.float32(0.95),
    }  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["grey", "limit"], ["over"]),
        helper.make_node("Relu", ["over"], ["bright"]),
        helper.make_node("ReduceSum", ["bright"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "least"], ["total"]),
        helper.make_node("Mul", ["sum", "much"], ["sure"]),
        helper.make_node("Clip", ["sure", "zero", "top"], ["score"]),
        helper.make_node("Mul", ["s2", "score"], ["o2"]),
    ]
    for k, name in enumerate(("x", "y")):
        nodes += [
            helper.make_node("Mul", ["bright", name], [f"m{k}"]),
            helper.make_node("ReduceSum", [f"m{k}"], [f"t{k}"], keepdims=0),
            helper.make_node("Div", [f"t{k}", "total"], [f"c{k}"]),
            helper.make_node("Mul", [f"s{k}", f"c{k}"], [f"o{k}"]),
        ]
    nodes.append(helper.make_node("Sum", ["rows", "o0", "o1", "o2"], ["output0"]))
    graph = helper.make_graph(
        nodes, "v8", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 2100])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def picture(middle: int) -> np.ndarray[Any, Any]:
    """Dim texture, and a thing of stripes that only somebody who sees it whole could read."""
    rng = np.random.default_rng(middle)
    image = rng.integers(40, 140, (SIDE // 8, SIDE // 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    thing = np.full((THING, THING, 3), 255, np.uint8)
    thing[:, ::6] = thing[:, 1::6] = 215
    left, top = middle - THING // 2, SIDE // 2 - THING // 2
    image[top : top + THING, max(0, left) : left + THING] = thing[:, max(0, -left) :]
    return image


def stripes(image: np.ndarray[Any, Any]) -> float:
    """Part of the thing's columns that differ from their neighbour as its stripes do."""
    columns = image[SIDE // 2 - 20 : SIDE // 2 + 20].astype(np.float32).mean(axis=(0, 2))
    bright = columns[columns > 195]
    assert len(bright) > THING // 3
    return float((np.abs(np.diff(bright)) > 20).mean())


def test_what_goes_by_is_followed_counted_and_not_shown(plant: Any, tmp_path: Path) -> None:
    detector(tmp_path / "v8.onnx")
    (tmp_path / "labels.txt").write_text("nut\nperson\n")
    out = tmp_path / "people.tar"
    words = ["model", "package", str(tmp_path / "v8.onnx"), "--name", "people", "--version", "1.0.0", "-o", str(out)]
    assert cli.main([*words, "--labels", str(tmp_path / "labels.txt"), "--threshold", "0.4", "--colours", "rgb"]) == 0
    shelf = Shelf(store.directory(plant.root, "people"), "people")
    shelf.activate(Ref(digest=unpack(out, shelf.folder).digest, version="1.0.0"), time.time_ns())
    images = tmp_path / "images"
    images.mkdir()
    began = time.time_ns() - 60 * 10**9
    for k, middle in enumerate(PLACES):
        path = images / f"{k:02}.png"
        cv2.imwrite(str(path), picture(middle))
        os.utime(path, ns=(began + k * 10**8,) * 2)
    camera = {
        "uri": f"folder:{images}", "policy": "every", "deadline": "60 s", "model": "people", "accept": "nut",
        "track": True, "stream": True, "redact": {"labels": "person"},
        "zones": {"gate": "line 0.5,0 0.5,1", "yard": "polygon 0.55,0 1,0 1,1 0.55,1"},
        "examples": {"below": 0.999, "random": "100 %"},
    }  # fmt: skip
    plant.configure(cameras={"hall": camera})
    process = plant.start()
    plant.wait(lambda: len(plant.results()) >= len(PLACES))
    results = sorted(plant.results(), key=lambda r: r["part"])
    boxes = [r["boxes"] for r in results]
    assert all(len(each) == 1 and each[0]["label"] == "person" for each in boxes), boxes
    assert len({each[0]["track"] for each in boxes if each[0].get("track")}) == 1, "one thing, one number"
    middles = [each[0]["x"] + each[0]["width"] / 2 for each in boxes]
    assert max(abs(m - p / SIDE) for m, p in zip(middles, PLACES, strict=True)) < 0.03
    events = [(e["zone"], e.get("way") or e["kind"]) for r in results for e in r.get("events", ())]
    assert [e for e in events if e[0] == "gate"] in ([("gate", "in")], [("gate", "out")]), events
    assert ("yard", "entered") in events
    counted = topics.samples_of("hall")
    plant.wait(lambda: sum(d["gate_in"] + d["gate_out"] for d in plant.documents(counted)) == 1)
    plant.wait(lambda: sum(d["yard_entered"] for d in plant.documents(counted)) == 1)
    plant.wait(lambda: sum(d["fail"] for d in plant.documents(counted)) == len(PLACES))
    kept = plant.work / "evidence" / "hall"
    plant.wait(lambda: list(kept.glob("[0-9]*.jpg")))
    process.terminate()
    assert process.wait(60) == 0
    assert all(stripes(picture(middle)) > 0.25 for middle in PLACES)
    for path in kept.glob("[0-9]*.jpg"):
        assert stripes(cv2.imread(str(path))) < 0.15, "what is kept shows it no more"
