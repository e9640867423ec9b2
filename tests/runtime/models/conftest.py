from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.models import golden
from edgeloop.models.golden import Case
from edgeloop.models.manifest import Golden, Manifest, Tensor, Variant
from edgeloop.models.package import listed, pack

WEIGHTS = np.arange(8, dtype=np.float32).reshape(4, 2)


def linear(bias: float = 0.0, weights: np.ndarray[Any, Any] = WEIGHTS) -> bytes:
    """y = x · W + bias, for any number of rows."""
    rows, columns = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", columns])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.float32([bias]), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def cases_of(bias: float = 0.0) -> list[Case]:
    random = np.random.default_rng(5)
    inputs = [random.normal(size=(3, 4)).astype(np.float32) for _ in range(4)]
    return [Case({"x": x}, [x @ WEIGHTS + np.float32(bias)]) for x in inputs]


def manifest(files: dict[str, bytes], **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "schema": 1,
        "name": "linear",
        "version": "1.0.0",
        "task": "regression",
        "files": listed(files),
        "variants": (Variant(runtime="onnxruntime", path="model.onnx"),),
        "inputs": (Tensor(name="x", dtype="float32", shape=("n", 4)),),
        "outputs": (Tensor(name="y", dtype="float32", shape=("n", 2)),),
        "golden": Golden(),
        **changes,
    }
    return Manifest(**fields)


Make = Callable[..., tuple[Path, str]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Packs a linear model; returns archive and digest. `says` is the bias that the golden set was made with."""

    def build(
        bias: float = 0.0,
        says: float | None = None,
        *,
        model: bytes | None = None,
        key: str | None = None,
        cases: list[Case] | None = None,
        more: dict[str, bytes] | None = None,
        **changes: Any,
    ) -> tuple[Path, str]:
        files = {
            "model.onnx": linear(bias) if model is None else model,
            "golden.npz": golden.encode(cases or cases_of(bias if says is None else says)),
            **(more or {}),
        }
        about = manifest(files, **changes)
        path = tmp_path / f"{about.name}-{about.version}-{bias}-{says}.tar"
        return path, pack(path, about, files, key)

    return build
