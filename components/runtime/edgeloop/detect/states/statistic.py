"""Channels made equal: how far each is, in what the largest of a block of it typically is; all of them together; and
the largest step of single rows, which counts for less but needs no average to follow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.states.settings import Bool, Float

TOGETHER = 4
"""Channels from which the root mean square over them is judged as well."""
FARTHEST = 8.0
"""Typical deviations beyond which a channel counts no more for all of them together."""
CAP = 3.0
STEP = 2.0
"""Typical rows that count as much as one typical level: only what is far beyond them is a matter of rows."""
TINY = 1e-12
OLDEST = 400.0
"""Blocks that an average is worth at most."""
FEW = 8
"""Rows below which the same additions are quicker row by row."""
SMALLEST = 1.0
"""Spreads that the largest of a block is taken to be at least: a channel that stands still is in spreads."""


class Statistic:
    """block: rows of a block.

    >>> statistic = Statistic(1, block=4)
    >>> statistic.fit(np.full((8, 1), 2.0)); statistic.magnitudes(np.array([[-6.0]])).tolist()
    [[3.0, 0.0, 0.0]]
    """

    def __init__(self, channels: int, block: int) -> None:
        self._channels, self._block = channels, block
        self.typical = np.ones(channels + 1)
        self.steps = np.ones(channels)
        self._age = OLDEST
        self._derive()

    def _derive(self) -> None:
        self._scale = 1.0 / self.typical[:-1]

    def fit(self, z: Float, rows: Float | None = None) -> None:
        """z (n, channels) of rows that nothing was estimated from; rows (n, channels): deviations of the rows."""
        if rows is not None:
            self.steps = np.maximum(_means(np.abs(rows), max(1, len(rows) // self._block)), TINY) * STEP
        blocks = max(1, len(z) // self._block)
        self._age = float(blocks)
        self.typical[:] = 1.0
        self.typical[:-1] = np.maximum(_means(np.abs(z), blocks), SMALLEST)
        self._derive()
        if self._channels >= TOGETHER:
            self.typical[-1] = max(float(_means(self.magnitudes(z)[:, -2:-1], blocks)[0]), SMALLEST)

    def magnitudes(self, z: Float, rows: Float | None = None) -> Float:
        """z (n, channels), deviations of rows (n, channels), finite → (n, channels + 2): of each channel, of all
        together, of the largest step."""
        found = np.zeros((len(z), self._channels + 2))
        equal = found[:, : self._channels]
        if rows is not None:
            found[:, -1] = (np.abs(rows) / self.steps).max(axis=1)
        np.multiply(np.abs(z), self._scale, out=equal)
        if self._channels >= TOGETHER:
            squares = np.minimum(equal, FARTHEST)
            squares *= squares
            if len(z) < FEW:
                total = np.add.accumulate(squares, axis=1)[:, -1]
            else:
                total = squares[:, 0].copy()
                for i in range(1, self._channels):
                    total += squares[:, i]
            found[:, -2] = np.sqrt(total / self._channels) / self.typical[-1]
        return found

    def teach(self, magnitudes: Float, abnormal: Bool) -> None:
        """The whole blocks of healthy rows in succession."""
        blocks = len(magnitudes) // self._block
        if not blocks or abnormal.any():
            return
        whole = magnitudes[: blocks * self._block, :-1].reshape(blocks, self._block, -1).max(axis=1)
        largest = np.minimum(whole, CAP) * self.typical
        self._age = min(self._age + blocks, OLDEST)
        self.typical = np.maximum(self.typical + (largest.mean(axis=0) - self.typical) * (blocks / self._age), SMALLEST)
        if self._channels < TOGETHER:
            self.typical[-1] = 1.0
        self._derive()

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"typical": self.typical.copy(), "steps": self.steps.copy(), "age": np.array([self._age])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self.typical = np.array(state["typical"], dtype=np.float64)
        self.steps = np.array(state["steps"], dtype=np.float64)
        self._age = float(state["age"][0])
        self._derive()


def _means(sizes: Float, blocks: int) -> Float:
    """Mean over blocks of the largest in each, with those far beyond the median cut."""
    largest = np.array([part.max(axis=0) for part in np.array_split(sizes, blocks)])
    return np.asarray(np.minimum(largest, CAP * np.median(largest, axis=0)).mean(axis=0))
