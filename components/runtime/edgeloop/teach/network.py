"""The taught model as one graph: picture in, score, heat and unlikeness out.

    image → backbone → features at strides 8 and 16, each the mean of 3 × 3, together of length 1 → distance to the
    nearest of the memory → of the most unusual places the mean

Source: Roth et al., PatchCore (2022), without its reweighting; the length of 1 is worth 4 to 11 points of AUROC with
the linear bottlenecks of this backbone (measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import onnxfile, optional
from edgeloop.models.graph import Graph
from edgeloop.teach import backbone
from edgeloop.teach.backbone import Floats, Pixels

CHANNELS: Final = 40 + 112
CELL: Final = 8
"""Pixels between two places."""
MOST_UNUSUAL: Final = 0.001
"""Share of the places whose mean distance is a picture's."""
USUAL: Final = 0.1
"""Score of an average good picture; the limit's is 0.5."""


@dataclass(frozen=True, slots=True)
class Limits:
    """fail: mean of what the most unusual places say, from which a picture is bad; usual: that of good ones. middle:
    median of the distances, most: their 90th percentile, from which a picture is not what was taught."""

    fail: float
    usual: float
    middle: float
    most: float


@dataclass(frozen=True, slots=True)
class Head:
    """What labelled bad pictures taught: what a place says is by · distance + weights · features + bias instead of the
    distance alone."""

    by: float
    weights: Floats
    bias: float


def places(height: int, width: int) -> int:
    return (height // CELL) * (width // CELL)


def unusual(count: int) -> int:
    """Places whose mean is a picture's, of so many."""
    return max(1, round(MOST_UNUSUAL * count))


def describe(height: int, width: int) -> Graph:
    """From `image` to `patches`: (1, CHANNELS, height / 8, width / 8), each place of length 1."""
    graph = Graph("taught", {"image": ("uint8", (1, height, width, 3))}, prefix="t.")
    fine, coarse = (
        graph.add("AveragePool", name, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0)
        for name in ("s8", "s16")
    )
    larger = graph.add(
        "Resize", coarse, "", np.array([1, 1, 2, 2], np.float32), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    both = graph.add("Concat", fine, larger, axis=1)
    length = graph.add("ReduceL2", both, axes=[1], keepdims=1)
    graph.add("Div", both, graph.add("Max", length, 1e-6), output="patches")
    return graph


def describer(height: int, width: int) -> bytes:
    """The model that gives the patches."""
    shape = (1, CHANNELS, height // CELL, width // CELL)
    return onnxfile.write(describe(height, width), {"patches": shape}, backbone.content())


def finished(height: int, width: int, memory: Floats, limits: Limits, head: Head | None) -> bytes:
    """The model: `score` (1), `heat` (height / 8, width / 8), both 0..1 and 0.5 at the limit, and `unlike` (1), 1 at
    the edge of what was taught."""
    graph = describe(height, width)
    count = places(height, width)
    alike = graph.add("ReduceMax", graph.add("Conv", "patches", memory[:, :, None, None]), axes=[1], keepdims=1)
    squared = graph.add("Max", graph.add("Sub", 2.0, graph.add("Mul", alike, 2.0)), 0.0)
    distance = graph.add("Sqrt", squared)
    flat = graph.add("Reshape", distance, np.array([count], np.int64))
    largest = graph.add("TopK", flat, np.array([count // 2 + 1], np.int64), axis=0)
    middle, most = (_at(graph, largest, place) for place in (count // 2, count // 10))
    graph.add(
        "Max", graph.add("Div", middle, limits.middle), graph.add("Div", most, limits.most), output="unlike"
    )  # fmt: skip
    said, top = distance, largest
    if head is not None:
        learned = graph.add("Conv", "patches", head.weights[None, :, None, None], np.array([head.bias], np.float32))
        said = graph.add("Add", graph.add("Mul", distance, head.by), learned)
        flat = graph.add("Reshape", said, np.array([count], np.int64))
        top = graph.add("TopK", flat, np.array([unusual(count)], np.int64), axis=0)
    first = graph.add("Slice", top, *_ints([0], [unusual(count)], [0]))
    mean = graph.add("ReduceMean", first, axes=[0], keepdims=1)
    _steep(graph, mean, limits, "score")
    grid = graph.add("Reshape", said, np.array([height // CELL, width // CELL], np.int64))
    _steep(graph, grid, limits, "heat")
    shapes = {"score": (1,), "heat": (height // CELL, width // CELL), "unlike": (1,)}
    return onnxfile.write(graph, shapes, backbone.content())


def _steep(graph: Graph, value: str, limits: Limits, output: str) -> None:
    steep = float(np.log(1 / USUAL - 1)) / max(limits.fail - limits.usual, 1e-6)
    relative = graph.add("Mul", graph.add("Sub", value, limits.fail), steep)
    graph.add("Sigmoid", relative, output=output)


def _at(graph: Graph, ordered: str, place: int) -> str:
    return graph.add("Slice", ordered, *_ints([place], [place + 1], [0]))


def _ints(*values: list[int]) -> list[NDArray[np.int64]]:
    return [np.array(v, np.int64) for v in values]


class Run:
    """A model of this module at work, on one thread unless told otherwise."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        ort = optional.load("onnxruntime", "teaching")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, pixels: Pixels) -> list[NDArray[Any]]:
        """pixels: (rows, columns, 3), RGB."""
        return list(self._session.run(None, {"image": np.ascontiguousarray(pixels[None])}))

    def patches(self, pixels: Pixels) -> Floats:
        """(places, CHANNELS), of a describer."""
        found = self(pixels)[0]
        return np.ascontiguousarray(found.reshape(CHANNELS, -1).T)
