"""Exponentially weighted means of several widths over all channels, to the bit whatever the rows come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

CHUNK = 64
"""Rows between two changes of what has been learned."""


class Averages:
    """m += (x - m) / width, as a running sum of weighted rows within each chunk.

    The sum is made row after row, so that where a block ends does not matter.

    >>> averages = Averages((4,), channels=1)
    >>> averages.update(np.ones((3, 1)))[0, :, 0].round(6).tolist()
    [0.25, 0.4375, 0.578125]
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        shares = np.array([1.0 / w for w in widths])[:, None, None]
        rows = np.arange(1, CHUNK + 1, dtype=np.float64)[:, None]
        down = (1.0 - shares) ** rows
        self._down = np.ascontiguousarray(np.broadcast_to(down, (len(widths), CHUNK, channels)))
        self._up = shares / self._down
        self._sum = np.zeros((len(widths), channels))
        self.position = 0

    def update(self, rows: Float) -> Float:
        """(n, channels) → (widths, n, channels); n at most what is left of the chunk. Rows count once accepted."""
        p, n = self.position, len(rows)
        weighted = rows * self._up[:, p : p + n]
        weighted[:, 0] += self._sum
        np.add.accumulate(weighted, axis=1, out=weighted)
        self._sums = weighted
        return np.asarray(weighted * self._down[:, p : p + n])

    @property
    def means(self) -> Float:
        """(widths, channels) after the rows accepted."""
        return np.asarray(self._sum * self._down[:, self.position - 1]) if self.position else self._sum

    def accept(self, rows: int) -> None:
        self._sum = self._sums[:, rows - 1]
        self.position += rows

    def restart(self, shift: Float | None = None) -> None:
        """A new chunk; `shift` (channels,) is what the origin of the rows moved by. None: from zero."""
        self._sum = np.zeros_like(self._sum) if shift is None else self.means - shift
        self.position = 0

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"sum": self._sum.copy(), "position": np.array([self.position])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._sum = np.array(state["sum"], dtype=np.float64)
        self.position = int(state["position"][0])
