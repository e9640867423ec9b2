"""Random numbers by address: the same numbers for the same (key, block), whoever asks, in whatever order."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key(seed: int, *names: str | int) -> int:
    """64 bits for a purpose.

    >>> key(7, "press1", "noise") == key(7, "press1", "noise") != key(7, "press2", "noise")
    True
    """
    words = [crc32(n.encode()) if isinstance(n, str) else n for n in names]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0])


def generator(stream: int, block: int) -> np.random.Generator:
    """Philox 4x64 (Salmon et al., SC 2011) at counter `block`: 2**64 numbers before the next block's."""
    return np.random.Generator(np.random.Philox(key=stream, counter=[0, block, 0, 0]))


def uniform(stream: int, numbers: NDArray[np.int64], draw: int = 0) -> NDArray[np.float64]:
    """One value in [0, 1) for each number (splitmix64 of key, number and draw)."""
    start = np.uint64((stream + draw * 0xD1342543DE82EF95) & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        z = start + (numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def normal(stream: int, numbers: NDArray[np.int64], draw: int = 0) -> NDArray[np.float64]:
    """One standard normal value for each number (Box and Muller)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(stream, numbers, 2 * draw)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(stream, numbers, 2 * draw + 1)))


def one(stream: int, number: int, draw: int = 0) -> float:
    """A single uniform value."""
    return float(uniform(stream, np.array([number]), draw)[0])


class Wander:
    """A slow, smooth, zero-mean variation with standard deviation 1: a sum of incommensurate sines."""

    def __init__(self, stream: int, shortest: float, longest: float, terms: int = 4) -> None:
        """shortest, longest: periods in s."""
        rng = generator(stream, 0)
        period = np.geomspace(shortest, longest, terms) * rng.uniform(0.85, 1.15, terms)
        self._omega = 2 * np.pi / period
        self._phase = rng.uniform(0, 2 * np.pi, terms)
        self._gain = np.sqrt(2.0 / terms)

    def value(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._gain * np.sin(np.multiply.outer(t, self._omega) + self._phase).sum(axis=-1))

    def integral(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """∫ value dt, without the constant."""
        angle = np.multiply.outer(t, self._omega) + self._phase
        return np.asarray(-self._gain * (np.cos(angle) / self._omega).sum(axis=-1))
