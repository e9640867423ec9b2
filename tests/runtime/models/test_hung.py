"""A model that hangs on real input only: its golden set passes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.models import report, store
from edgeloop.models.golden import Case
from edgeloop.models.manifest import Tensor
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf

USER = "io.edgeloop.CameraInference"


def hanging() -> bytes:
    """y = x, after as many turns of a loop as the largest x is above 1,000, times 10^12."""
    turn = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "turn",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Sub", ["most", "limit"], ["above"]),
        helper.make_node("Relu", ["above"], ["over"]),
        helper.make_node("Mul", ["over", "many"], ["turns"]),
        helper.make_node("Cast", ["turns"], ["count"], to=TensorProto.INT64),
        helper.make_node("Loop", ["count", "yes", "x"], ["y"], body=turn),
    ]
    graph = helper.make_graph(
        nodes,
        "hanging",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(np.array(1000, np.float32), "limit"),
            numpy_helper.from_array(np.array(1e12, np.float32), "many"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Line:
    def __init__(self, root: Path, make: Any) -> None:
        self.root, self._make = root, make
        self.shelf = Shelf(store.directory(root, "linear"), "linear")

    def add(self, version: str, **changes: Any) -> None:
        path, digest = self._make(version=version, **changes)
        unpack(path, self.shelf.folder, digest)
        self.shelf.activate(Ref(digest=digest, version=version), time.time_ns())

    def run(self, how: str) -> list[str]:
        script = str(Path(__file__).with_name("hanging_process.py"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, script, str(self.root), "linear", USER, how],
            env=environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == (1 if how == "hang" else 0), done.stderr
        return done.stdout.splitlines()

    @property
    def report(self) -> report.Report:
        found = report.read(report.path(self.root / "work" / USER, "linear"))
        assert found is not None
        return found


@pytest.mark.parametrize("committed", [False, True])
def test_a_model_that_hangs_on_real_input_only_is_marked_and_the_previous_one_serves(
    tmp_path: Path, make: Any, committed: bool
) -> None:
    line = Line(tmp_path, make)
    line.add("1.0.0")
    line.shelf.commit(time.time_ns())
    x = np.ones((3, 4), np.float32)
    outputs = (Tensor(name="y", dtype="float32", shape=("n", 4)),)
    line.add("2.0.0", model=hanging(), cases=[Case({"x": x}, [x])], outputs=outputs)
    if committed:
        line.shelf.commit(time.time_ns())
    assert line.run("good") == ["2.0.0"]
    said = line.run("hang")
    assert said[0] == "2.0.0"
    assert "has taken more than 1 s: it hangs" in said[1]
    assert line.report.fate == "crashed"
    assert line.run("good") == ["1.0.0"]
    assert (line.report.fate, line.report.origin) == ("crashed", "previous")
