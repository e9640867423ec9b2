"""Graphs with the output layouts of published models, and pictures to try them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.sim.conveyor import Camera, Conveyor

_KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


def constant(
    path: Path, outputs: dict[str, np.ndarray[Any, Any]], *, size: tuple[int, int] = (640, 640), channels: int = 3,
    metadata: dict[str, str] | None = None, more: dict[str, tuple[int, ...]] | None = None,
) -> Path:  # fmt: skip
    """A model whose outputs are these, whatever picture is given: the picture's mean is added times 0.

    more: further inputs, int64.
    """
    width, height = size
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    described = []
    for name, values in outputs.items():
        constants.append(numpy_helper.from_array(values, f"{name}_values"))
        if values.dtype == np.float32:
            nodes.append(helper.make_node("Add", [f"{name}_values", "nothing"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_values"], [name]))
        described.append(helper.make_tensor_value_info(name, _KINDS[str(values.dtype)], list(values.shape)))
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, channels, height, width])]
    inputs += [helper.make_tensor_value_info(n, TensorProto.INT64, list(s)) for n, s in (more or {}).items()]
    graph = helper.make_graph(nodes, "layout", inputs, described, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good parts under `good`, defective ones under `bad`."""
    folder = tmp_path_factory.mktemp("pictures")
    for kind, defective in (("good", 0.0), ("bad", 1.0)):
        (folder / kind).mkdir()
        camera = Camera(Conveyor("gate", 5, defective=defective))
        for number in range(8):
            cv2.imwrite(str(folder / kind / f"{number}.png"), camera.image(number * 50)[:, :, ::-1])
    return folder
