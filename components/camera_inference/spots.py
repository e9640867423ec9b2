"""Connected cells of a map, without a loop over cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Int = NDArray[np.intp]


def components(over: Bool) -> tuple[Int, Int]:
    """Of the cells that are over, also across corners: (cells,) flat indices, and the number of the spot of each.

    >>> components(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool))[1].tolist()
    [0, 0, 0, 1]
    """
    columns = over.shape[1]
    padded = np.pad(over, ((0, 0), (1, 1)))
    edges = np.diff(padded.astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    cells = np.flatnonzero(over)
    lengths = end - begin
    return cells, _joined(row, begin, end, columns).repeat(lengths)


def _joined(row: Int, begin: Int, end: Int, columns: int) -> Int:
    """Runs of cells [begin, end) in rows, in order, to the numbers of their spots: runs of neighbouring rows that
    touch are one, by hooking the larger number to the smaller and halving the ways until nothing changes."""
    wide = columns + 2
    first = np.searchsorted(row * wide + end, (row + 1) * wide + begin, side="left")
    last = np.searchsorted(row * wide + begin, (row + 1) * wide + end, side="right")
    counts = np.maximum(last - first, 0)
    above = np.arange(len(row)).repeat(counts)
    below = np.arange(len(above)) - (np.cumsum(counts) - counts).repeat(counts) + first.repeat(counts)
    spot = np.arange(len(row))
    while len(above):
        one, other = spot[above], spot[below]
        apart = one != other
        if not apart.any():
            break
        low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        np.minimum.at(spot, high, low)
        while not np.array_equal(spot, spot[spot]):
            spot = spot[spot]
    return np.unique(spot, return_inverse=True)[1].astype(np.intp)
