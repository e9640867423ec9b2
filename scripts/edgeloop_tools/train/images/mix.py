"""Which labelled pictures are of the line's own mix.

What was kept for doubt is harder, and more often bad, than what goes by: a limit set on it, or a gain measured on it,
is not the line's. Weights are the inverse of the chance of being there, up to a factor (Horvitz and Thompson, 1952):
alike for the share that was kept at random and for what nobody picked; nothing for what was picked, whose chance nobody
knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeloop_tools.label.dataset import Item

RANDOM: Final = "random"
"""Why a hard example was kept: by chance, whatever the model said."""


def at_random(item: Item) -> bool:
    return item.about.get("kept") == RANDOM


def weights(items: Sequence[Item]) -> NDArray[np.float64]:
    """Of each picture.

    >>> said = ["random", "below", "overruled"]
    >>> weights([Item("a"), *(Item(why, about={"kept": why}) for why in said)])
    array([1., 1., 0., 0.])
    """
    return np.array([float(at_random(item) or not item.about.get("kept")) for item in items])


def both_of(weight: NDArray[np.float64], bad: NDArray[np.bool_], least: int) -> bool:
    """Whether so many good and so many bad ones are of the mix."""
    known = weight > 0
    return min(int((known & bad).sum()), int((known & ~bad).sum())) >= least
