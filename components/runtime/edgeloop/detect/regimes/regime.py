"""One state of a machine: where its channels are in it, how far they go, and how long it lasts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.levels.words import number
from edgeloop.detect.regimes.lasting import Lasting
from edgeloop.detect.regimes.stays import RELATIVE, TINY, Stay

Float = NDArray[np.float64]

OLDEST = 2000.0
"""Windows that what is known of a state is worth at most."""
DURATIONS = 256
FEW = 1.0
"""Stays that halve the confidence in a state's variance."""


class Regime:
    """level, variance (channels,): of rows; stays: times it was there; windows: of it; refused: an operator said that
    it is none."""

    def __init__(self, stay: Stay) -> None:
        self.level = stay.level.copy()
        self.variance = stay.within + stay.between
        self.stays, self.windows = 0, float(stay.n)
        self.known = self.refused = False
        self.durations: deque[float] = deque(maxlen=DURATIONS)
        self.since = 0

    @property
    def deviation(self) -> Float:
        """Of rows; wider while few stays were seen, which may differ from each other."""
        wide = np.sqrt(self.variance * (1.0 + FEW / max(self.stays, 1)))
        return np.asarray(np.maximum(wide, 10 * RELATIVE * np.abs(self.level) + TINY))

    def absorb(self, stay: Stay, windows: int) -> None:
        """So many windows of a stay in it."""
        share = windows / (min(self.windows, OLDEST) + windows)
        away = stay.level - self.level
        own = stay.within + stay.between
        self.variance = (1 - share) * self.variance + share * own + share * (1 - share) * away**2
        self.level = self.level + share * away
        self.windows += windows

    def lasting(self, now: int) -> Lasting:
        """now: rows watched."""
        return Lasting(self.durations, now - self.since)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {
            "moments": np.array([self.level, self.variance]),
            "counts": np.array([self.stays, self.windows, self.known, self.refused, self.since], dtype=np.float64),
            "durations": np.array(self.durations, dtype=np.float64),
        }

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[np.generic]]) -> Regime:
        level, variance = np.array(state["moments"], dtype=np.float64)
        regime = cls(Stay(level[None], variance[None]))
        stays, regime.windows, known, refused, since = (float(n) for n in state["counts"])
        regime.stays, regime.known, regime.refused, regime.since = int(stays), bool(known), bool(refused), int(since)
        regime.durations.extend(float(d) for d in state["durations"])
        return regime


def named(regime: Regime, other: Regime, channels: Sequence[str], moving: NDArray[np.bool_]) -> str:
    """In words, beside the state that the machine is mostly in.

    >>> def at(level, spread): return Regime(Stay(np.full((3, 1), level), np.full((3, 1), spread**2)))
    >>> named(at(1.0, 0.2), at(60.0, 3.0), ["speed"], np.array([True]))
    'stopped (speed about 1)'
    >>> named(at(25.0, 2.0), at(60.0, 3.0), ["speed"], np.array([True]))
    'speed about 25'
    """
    away = np.where(moving, np.abs(regime.level - other.level) / other.deviation, 0.0)
    first = int(away.argmax())
    text = f"{channels[first]} about {number(float(regime.level[first]))}"
    quieter = regime.deviation[first] < 0.5 * other.deviation[first]
    return f"stopped ({text})" if quieter and abs(regime.level[first]) < 0.1 * abs(other.level[first]) else text
