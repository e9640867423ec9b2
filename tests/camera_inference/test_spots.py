"""Connected cells of a map, as a flood fill finds them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from camera_inference.spots import components


def filled(over: NDArray[np.bool_]) -> list[set[int]]:
    """Spots, in the order of their first cells."""
    left, found = set(np.flatnonzero(over).tolist()), []
    height, width = over.shape
    while left:
        todo, spot = [min(left)], set()
        while todo:
            cell = todo.pop()
            if cell not in left:
                continue
            left.discard(cell)
            spot.add(cell)
            r, c = divmod(cell, width)
            todo += [
                a * width + b
                for a in range(max(0, r - 1), min(height, r + 2))
                for b in range(max(0, c - 1), min(width, c + 2))
            ]
        found.append(spot)
    return found


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_spots_are_those_of_a_flood_fill(over: NDArray[np.bool_]) -> None:
    cells, spot = components(over)
    found = [set(cells[spot == number].tolist()) for number in range(int(spot.max(initial=-1)) + 1)]
    assert found == filled(over)
