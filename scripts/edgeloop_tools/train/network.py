"""The graph: a raw window in, a score out.

    each channel: less its median, divided by its spread
    → the first terms of its cosine series: level, trend and two more
    → what is left, as a spectrum: energies of bands, as cube roots; the largest step between two samples
    → standardised → rebuilt from what healthy windows have in common → what that cannot explain, and how unusual it is

Source: Jackson and Mudholkar, Technometrics 21, 1979 (residuals of principal components, T² and Q).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.graph import Graph, Shape, run
from edgeloop_tools.train.windows import Windows

TERMS: Final = 4
FLOOR: Final = 1e-4
"""Of energies, in squares of a channel's spread: below is rounding."""
FURTHEST: Final = 1e4
"""Spreads beyond which a value counts as this far."""
CAP: Final = 400.0
LARGEST, USUAL = 0.1, 1.0
"""What the largest square and the mean of the common part's weigh beside the mean of the residuals'."""
CHUNK: Final = 1 << 20
"""Values in a run."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """From windows (n, rows, channels) to features (n, size). centre, spread: (channels,)."""

    rows: int
    centre: Floats
    spread: Floats

    @classmethod
    def fit(cls, rows: int, values: Floats) -> Front:
        """values: (samples, channels), healthy."""
        quarter, centre, three = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        spread = np.maximum((three - quarter) / 1.349, 0.1 * values.std(axis=0, dtype=np.float64))
        return cls(rows, centre.astype(np.float32), spread.astype(np.float32))

    @property
    def channels(self) -> int:
        return len(self.centre)

    @property
    def edges(self) -> list[int]:
        """Lines of the spectrum between bands, ever wider."""
        lines = self._padded // 2 + 1
        count = max(2, min(16, int(2 * np.log2(self.rows)) - 7))
        return sorted({1, lines, *(round(e) for e in np.geomspace(2, lines, count + 1))})

    @property
    def size(self) -> int:
        return self.channels * (TERMS + len(self.edges))

    @property
    def _padded(self) -> int:
        """The next power of two, which every runtime transforms fast."""
        return 1 << (self.rows - 1).bit_length()

    def add(self, graph: Graph) -> str:
        """window → features."""
        limited = graph.add("Sub", "window", self.centre)
        limited = graph.add("Div", limited, self.spread)
        limited = graph.add("Clip", limited, -FURTHEST, FURTHEST)
        x = graph.add("Reshape", graph.add("Transpose", limited, perm=[0, 2, 1]), _shape(-1, self.rows))
        at = (np.arange(self.rows) + 0.5) / self.rows
        basis = np.stack([np.cos(np.pi * k * at) for k in range(TERMS)], axis=1)
        basis /= np.sqrt((basis**2).sum(axis=0))
        terms = graph.add("MatMul", x, basis.astype(np.float32))
        rest = graph.add("Sub", x, graph.add("MatMul", terms, np.ascontiguousarray(basis.T, np.float32)))
        hann = np.hanning(self.rows + 2)[1:-1]
        hann /= np.sqrt((hann**2).sum())
        wave = graph.add("Reshape", graph.add("Mul", rest, hann.astype(np.float32)), _shape(-1, self.rows, 1))
        length = np.array(self._padded, np.int64)
        spectrum = graph.add("DFT", wave, length, axis=1, onesided=1)
        power = graph.add("ReduceSumSquare", spectrum, axes=[2], keepdims=0)
        weights = np.zeros((self._padded // 2 + 1, len(self.edges) - 1), np.float32)
        for band, (low, high) in enumerate(pairwise(self.edges)):
            weights[low:high, band] = 1 / (high - low)
        energies = graph.add("Pow", graph.add("Add", graph.add("MatMul", power, weights), FLOOR), 1 / 3)
        later = graph.add("Slice", x, *(_shape(v) for v in (1, self.rows, 1)))
        earlier = graph.add("Slice", x, *(_shape(v) for v in (0, self.rows - 1, 1)))
        steps = graph.add("Abs", graph.add("Sub", later, earlier))
        largest = graph.add("ReduceMax", steps, axes=[1], keepdims=1)
        step = graph.add("Log", graph.add("Add", largest, float(np.sqrt(FLOOR))))
        level = graph.add("Div", terms, float(np.sqrt(self.rows)))
        both = graph.add("Concat", level, energies, step, axis=1)
        return graph.add("Reshape", both, _shape(-1, self.size))

    def graph(self, name: str, count: int | str) -> Graph:
        """With its input: `count` windows at once."""
        shape: Shape = (count, self.rows, self.channels)
        return Graph(name, {"window": ("float32", shape)})

    def model(self) -> bytes:
        """The features alone, of any number of windows."""
        graph = self.graph("features", "n")
        return graph.encode({self.add(graph): ("n", self.size)})


class Core(Protocol):
    """What rebuilds features from what healthy windows have in common."""

    def add(self, graph: Graph, z: str) -> tuple[str, str]:
        """Standardised features → what is left of them (n, size), and the common part (n, components), of spread 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """What healthy windows are like. residual: mean of the squares of what is left, by feature."""

    mean: Floats
    deviation: Floats
    residual: Floats
    core: Core

    def add(self, graph: Graph, features: str) -> None:
        """Features → score (n,)."""
        z = graph.add("Div", graph.add("Sub", features, self.mean), self.deviation)
        z = graph.add("Clip", z, -1e6, 1e6)
        rest, common = self.core.add(graph, z)
        left = graph.add("Min", graph.add("Div", graph.add("Mul", rest, rest), self.residual), CAP)
        moved = graph.add("Min", graph.add("Mul", common, common), CAP)
        whole = graph.add("Min", graph.add("Mul", z, z), CAP)
        average = graph.add("ReduceMean", left, axes=[1], keepdims=0)
        unusual = graph.add("Mul", graph.add("ReduceMean", moved, axes=[1], keepdims=0), USUAL)
        every = graph.add("Concat", left, moved, whole, axis=1)
        largest = graph.add("Mul", graph.add("ReduceMax", every, axes=[1], keepdims=0), LARGEST)
        total = graph.add("Add", graph.add("Add", average, largest), unusual)
        graph.add("Sqrt", total, output="score")


def network(front: Front, normal: Normal, name: str, count: int | str = 1) -> bytes:
    """The whole model, of `count` windows."""
    graph = front.graph(name, count)
    normal.add(graph, front.add(graph))
    return graph.encode({"score": (count,)})


def outputs(model: bytes, windows: Windows, threads: int = 1) -> Floats:
    """(n, …), the first output of a model of any number of windows."""
    size = max(1, CHUNK // (windows.shape.rows * len(windows.recordings[0].channels)))

    def one(chunk: Floats) -> Floats:
        return next(run(model, [chunk]))[0]

    if threads == 1:
        return np.concatenate([found[0] for found in run(model, windows.chunks(size))])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(one, windows.chunks(size))))


def _shape(*extents: int) -> NDArray[np.int64]:
    return np.array(extents, np.int64)
