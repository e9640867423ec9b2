"""What healthy windows have in common: principal components, or a small autoencoder trained by Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.graph import Graph
from edgeloop_tools.train.network import Core, Floats, Normal
from edgeloop_tools.train.options import Method

EXPLAINED: Final = 0.9
MOST: Final = 32
"""Principal components, or numbers that an autoencoder squeezes a window into."""
BATCH, RATE = 64, 2e-3
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
NOISE: Final = 0.1
"""Of the autoencoder's inputs, in standard deviations."""

Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """basis: (features, components). spread: of the components."""

    basis: Floats
    spread: Floats

    @classmethod
    def fit(cls, z: Double) -> Components:
        _, values, vectors = np.linalg.svd(z, full_matrices=False)
        share = np.cumsum(values**2) / (values**2).sum()
        count = min(MOST, int(np.searchsorted(share, EXPLAINED)) + 1, max(1, z.shape[1] - 1))
        basis = vectors[:count].T
        basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(count)])
        spread = (z @ basis).std(axis=0)
        return cls(np.ascontiguousarray(basis, np.float32), np.maximum(spread, 1e-3).astype(np.float32))

    def rest(self, z: Double) -> Double:
        return z - z @ self.basis @ self.basis.T

    def add(self, graph: Graph, z: str) -> tuple[str, str]:
        """See Core."""
        parts = graph.add("MatMul", z, self.basis)
        rest = graph.add("Sub", z, graph.add("MatMul", parts, np.ascontiguousarray(self.basis.T)))
        return rest, graph.add("Div", parts, self.spread)


@dataclass(frozen=True, slots=True, eq=False)
class Autoencoder:
    """Dense layers (weights, offsets), tanh between them. code: the squeezed layer. mean, spread: of the code."""

    layers: tuple[tuple[Floats, Floats], ...]
    code: int
    mean: Floats
    spread: Floats

    @classmethod
    def fit(cls, z: Double, seed: int, epochs: int, told: Callable[[int, float], None]) -> Autoencoder:
        """Adam (Kingma and Ba, 2015) on the squared error of noisy windows; the rate falls to nothing as a cosine."""
        rng = np.random.default_rng(seed)
        size = z.shape[1]
        code = len(Components.fit(z).spread)
        wide = max(2 * code, min(64, size))
        sizes = (size, wide, code, wide, size)
        weights = [rng.normal(0, np.sqrt(1 / a), (a, b)) for a, b in pairwise(sizes)]
        values = [*weights, *(np.zeros(b) for b in sizes[1:])]
        first, second = [np.zeros_like(v) for v in values], [np.zeros_like(v) for v in values]
        total, step = epochs * max(1, len(z) // BATCH), 0
        z = np.clip(z, -8, 8)
        for epoch in range(epochs):
            order, loss = rng.permutation(len(z)), 0.0
            batches = np.array_split(order, max(1, len(z) // BATCH))
            for rows in batches:
                step += 1
                gradients, error = _gradients(values, z[rows], rng)
                loss += error
                rate = RATE * 0.5 * (1 + np.cos(np.pi * step / (total + 1)))
                for i, gradient in enumerate(gradients):
                    first[i] += (1 - FIRST) * (gradient - first[i])
                    second[i] += (1 - SECOND) * (gradient**2 - second[i])
                    moved = first[i] / (1 - FIRST**step) / (np.sqrt(second[i] / (1 - SECOND**step)) + TINY)
                    values[i] = values[i] - rate * moved
            told(epoch + 1, loss / len(batches))
        half = len(values) // 2
        layers = tuple(
            (w.astype(np.float32), b.astype(np.float32)) for w, b in zip(values[:half], values[half:], strict=True)
        )
        inner = _forward(values, z)[2]
        spread = np.maximum(inner.std(axis=0), 1e-3)
        return cls(layers, 2, inner.mean(axis=0).astype(np.float32), spread.astype(np.float32))

    def rest(self, z: Double) -> Double:
        weights, offsets = zip(*self.layers, strict=True)
        values = [np.asarray(v, np.float64) for v in (*weights, *offsets)]
        rest: Double = z - _forward(values, z)[-1]
        return rest

    def add(self, graph: Graph, z: str) -> tuple[str, str]:
        """See Core."""
        x, code = z, z
        for number, (weights, offsets) in enumerate(self.layers, 1):
            x = graph.add("Add", graph.add("MatMul", x, weights), offsets)
            if number == self.code:
                code = x
            elif number < len(self.layers):
                x = graph.add("Tanh", x)
        return graph.add("Sub", z, x), graph.add("Div", graph.add("Sub", code, self.mean), self.spread)


def _forward(values: list[Double], x: Double) -> list[Double]:
    """The input and each layer's output; tanh after all but the code and the last."""
    half = len(values) // 2
    found = [x]
    for number in range(half):
        x = x @ values[number] + values[half + number]
        x = np.tanh(x) if number not in (1, half - 1) else x
        found.append(x)
    return found


def _gradients(values: list[Double], x: Double, rng: np.random.Generator) -> tuple[list[Double], float]:
    half = len(values) // 2
    found = _forward(values, x + NOISE * rng.standard_normal(x.shape))
    error = found[-1] - x
    back = 2 * error / len(x)
    by_weight: list[Double] = [back] * half
    by_offset: list[Double] = [back] * half
    for number in reversed(range(half)):
        if number not in (1, half - 1):
            back = back * (1 - found[number + 1] ** 2)
        by_weight[number], by_offset[number] = found[number].T @ back, back.sum(axis=0)
        back = back @ values[number].T
    return [*by_weight, *by_offset], float((error**2).mean())


def learn(features: Floats, method: Method, seed: int, epochs: int, told: Callable[[int, float], None]) -> Normal:
    """features: (n, size), healthy. told: (epoch, loss)."""
    x = features.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 0.02
    z = (x - mean) / deviation
    core: Core
    if method == "pca":
        components = Components.fit(z)
        core, rest = components, components.rest(z)
    else:
        autoencoder = Autoencoder.fit(z, seed, epochs, told)
        core, rest = autoencoder, autoencoder.rest(z)
    residual = (rest**2).mean(axis=0) + 1e-3
    return Normal(mean.astype(np.float32), deviation.astype(np.float32), residual.astype(np.float32), core)
