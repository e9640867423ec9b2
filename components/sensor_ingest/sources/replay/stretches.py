"""Rows of a recording that go on at a rate."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS


def stretches(stamps: NDArray[np.int64], rate: Fraction) -> list[tuple[int, int]]:
    """From and to of what goes on at a rate, to half a sample."""
    period = float(NS / rate)
    cuts = np.flatnonzero(np.abs(np.diff(stamps) - period) > period / 2) + 1
    return list(itertools.pairwise([0, *cuts.tolist(), len(stamps)]))
