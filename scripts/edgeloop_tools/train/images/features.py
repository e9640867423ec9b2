"""What a picture is like as a whole, in 456 numbers: of each channel of the frozen backbone, at strides 8 and 16, the
mean, the spread, and the mean of the few places where it is largest, so that a small fault is not averaged away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import onnxfile
from edgeloop.models.graph import Graph
from edgeloop.teach import backbone
from edgeloop.teach.backbone import Floats, Pixels
from edgeloop.teach.network import Run
from edgeloop.teach.shown import resized

COUNT: Final = 3 * (40 + 112)
LARGEST: Final = 8
"""Places whose mean is taken, at most."""
LONGEST: Final = 448
"""Pixels of the longer side of what a classifier is given."""


def describe(height: int, width: int) -> Graph:
    """From `image` to `features` (1, COUNT)."""
    graph = Graph("classifier", {"image": ("uint8", (1, height, width, 3))}, prefix="f.")
    parts = []
    for name, channels, stride in (("s8", 40, 8), ("s16", 112, 16)):
        count = (height // stride) * (width // stride)
        flat = graph.add("Reshape", name, np.array([channels, count], np.int64))
        mean = graph.add("ReduceMean", flat, axes=[1], keepdims=1)
        apart = graph.add("Sub", flat, mean)
        square = graph.add("ReduceMean", graph.add("Mul", apart, apart), axes=[1], keepdims=1)
        top = graph.add("TopK", flat, np.array([min(LARGEST, count)], np.int64), axis=1)
        parts += [mean, graph.add("Sqrt", square), graph.add("ReduceMean", top, axes=[1], keepdims=1)]
    whole = graph.add("Concat", *parts, axis=0)
    graph.add("Reshape", whole, np.array([1, COUNT], np.int64), output="features")
    return graph


def describer(height: int, width: int) -> bytes:
    return onnxfile.write(describe(height, width), {"features": (1, COUNT)}, backbone.content())


def described(pictures: Iterable[Pixels], width: int, height: int, threads: int = 1) -> Iterator[Floats]:
    """pictures: RGB, one by one."""
    run = Run(describer(height, width), threads)
    for pixels in pictures:
        yield np.asarray(run(resized(pixels, width, height))[0][0], np.float32)


def classifier(
    height: int, width: int, weights: NDArray[np.float64], bias: NDArray[np.float64], temperature: float
) -> bytes:
    """weights: (COUNT, classes) of features as they are. Gives `probabilities` (1, classes)."""
    graph = describe(height, width)
    cooled = (weights / temperature).astype(np.float32), (bias / temperature).astype(np.float32)
    logits = graph.add("Add", graph.add("MatMul", "features", cooled[0]), cooled[1][None])
    graph.add("Softmax", logits, axis=1, output="probabilities")
    return onnxfile.write(graph, {"probabilities": (1, weights.shape[1])}, backbone.content())
