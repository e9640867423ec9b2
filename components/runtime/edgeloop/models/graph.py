"""ONNX graphs, written node by node."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional

OPSET: Final = 17
"""What onnxruntime 1.14 and later, and most other runtimes, know."""

Shape = Sequence[int | str]


@dataclass(frozen=True)
class Node:
    """operator, names of inputs and of the output, attributes. unused: further outputs that the operator has."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    unused: tuple[str, ...] = ()


class Graph:
    """Nodes and constants, in order. inputs: type and shape by name."""

    def __init__(self, name: str, inputs: Mapping[str, tuple[str, Shape]], prefix: str = "") -> None:
        """prefix: of the names of what is made here."""
        self.name, self.inputs, self._prefix = name, dict(inputs), prefix
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str | NDArray[Any] | float, output: str = "", **attributes: Any) -> str:
        """The name of a new node's output. Numbers become float32 constants, arrays constants as they are; "" is an
        optional input left out."""
        names = []
        for each in inputs:
            if isinstance(each, str):
                names.append(each)
                continue
            name = f"{self._prefix}c{len(self.constants)}"
            self.constants[name] = each if isinstance(each, np.ndarray) else np.asarray(each, np.float32)
            names.append(name)
        output = output or f"{self._prefix}n{len(self.nodes)}"
        unused = (f"{output}.places",) if operator == "TopK" else ()
        self.nodes.append(Node(operator, tuple(names), output, attributes, unused))
        return output

    def encode(self, outputs: Mapping[str, Shape]) -> bytes:
        """The model, float32 outputs by name, checked."""
        onnx = optional.load("onnx", "writing a model")
        helper, numpy_helper, kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
        graph = helper.make_graph(
            [helper.make_node(n.operator, n.inputs, [n.output, *n.unused], **n.attributes) for n in self.nodes],
            self.name,
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
                for name, (dtype, shape) in self.inputs.items()
            ],
            [helper.make_tensor_value_info(name, kinds.FLOAT, list(shape)) for name, shape in outputs.items()],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9, producer_name="edgeloop")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def run(model: bytes, inputs: Iterable[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """The outputs for each value of the only input."""
    ort = optional.load("onnxruntime", "running a model")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for value in inputs:
        yield session.run(None, {name: value})


def area(score: NDArray[np.floating[Any]], bad: NDArray[np.bool_]) -> float:
    """Under the receiver operating characteristic: the chance that a bad one scores higher than a good one.

    >>> area(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    ordered = np.sort(score)
    ranks = (np.searchsorted(ordered, score, "left") + np.searchsorted(ordered, score, "right") + 1) / 2
    n = int(bad.sum())
    return float((ranks[bad].sum() - n * (n + 1) / 2) / (n * (len(bad) - n)))


def versions() -> dict[str, str]:
    """What trains here."""
    return {name: str(importlib.import_module(name).__version__) for name in ("numpy", "onnx", "onnxruntime")}
