"""What is normal for each channel: a centre that follows, spreads, and what contexts change."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.states.learning import Learned
from edgeloop.detect.states.settings import Bool, ConditionSettings, Float

FARTHEST = 60.0
"""Spreads beyond which a single row counts no more."""
MOST_CONTEXTS = 64
DOUBTED = 4.5
"""z at which a row is half believed to be normal."""
APART = 3.0
"""z below which a channel has no part in an abnormal state, and is followed meanwhile."""
ANCHORED = 100
"""Memories after which the anchor has followed the centre."""
STRAINED = 0.95
"""Share of its leash at which a centre strains: a slow change, which is not to pass for noise."""
CLIPPED = 0.84
"""Mean of min(z², 4) for normal z."""
HASTY, SLOWER = 4, 20
"""Spreads are learned over so many times the rows seen, and over so many memories at most."""
RESTART = 10.0
"""Rows that a centre is worth where a condition has ended."""
ARRAYS = ("centre", "anchor", "age", "spread", "change", "least", "row")


class Baseline:
    """Spreads are shared by all contexts; each has an offset of its own; what changes slowly changes for all."""

    def __init__(self, learned: Learned, settings: ConditionSettings) -> None:
        self._settings = settings
        self.centre, self.anchor, self.age = learned.centre, learned.centre, learned.age
        self.spread, self.change, self.least, self.row = learned.level, learned.change, learned.least, learned.row
        self.blind = learned.blind
        self.offsets = learned.offsets
        self._seen = dict.fromkeys(learned.offsets, float(settings.transfer))
        self._taught = 0
        self.strained = False
        self._limit()

    def _limit(self) -> None:
        self.farthest = np.where(self.blind, 0.0, np.maximum(FARTHEST * self.spread, 4 * self.row))
        self.nearest = -self.farthest
        self.scale, self.pace = 1.0 / self.spread, 1.0 / self.change

    def teach(self, deviation: Float, z: Float, abnormal: Bool, involved: Bool, context: str) -> Float:
        """What the rows of a chunk teach. Returns what the origin of this context's deviations moved by.

        deviation: (n, channels), NaN where missing; z: (n, channels); abnormal: (n,); involved: (channels,).
        """
        settings, rows = self._settings, len(z)
        squares = z * z
        doubt = squares * (1 / DOUBTED**2)
        trust = 1.0 / (1.0 + doubt * doubt)
        np.minimum(squares, 4.0, out=squares)
        if math.isnan(deviation.sum()):
            missing = np.isnan(deviation)
            deviation, trust = np.where(missing, 0.0, deviation), np.where(missing, 0.0, trust)
            squares[missing] = CLIPPED
        if abnormal.any():
            trust[abnormal] *= (np.abs(z[abnormal]) < APART) & ~involved
            squares = squares[~abnormal]
        pull = (trust * deviation).sum(axis=0)
        self.age = np.minimum(self.age + trust.sum(axis=0), settings.memory)
        reach = settings.leash * self.spread
        centre = np.minimum(np.maximum(self.centre + pull / self.age, self.anchor - reach), self.anchor + reach)
        shift = centre - self.centre
        strained = np.abs(centre - self.anchor) > STRAINED * reach
        self.strained = bool(strained.any())
        self.anchor = self.anchor + (centre - self.anchor) * (rows / (ANCHORED * settings.memory))
        self.centre = centre
        if len(self.offsets) > 1 and context in self.offsets:
            seen = self._seen[context] = min(self._seen[context] + rows, float(SLOWER * settings.memory))
            own = pull / seen
            self.offsets[context] = self.offsets[context] + own
            shift = shift + own
        if len(squares):
            self._taught += len(squares)
            pace = min(HASTY * (self._taught + settings.learn), SLOWER * settings.memory)
            growth = 1 + (squares.sum(axis=0) / (len(squares) * CLIPPED) - 1) * (len(squares) / pace)
            self.spread = np.where(strained, self.spread, np.maximum(self.spread * np.sqrt(growth), self.least))
            self._limit()
        return np.asarray(shift)

    def rebase(self, level: Float) -> None:
        """A condition is over: normal is what there is now, and settles quickly."""
        self.centre = self.centre + level
        self.anchor = self.centre
        self.age = np.full_like(self.age, RESTART)

    def become(self, centre: Float) -> None:
        """A former normal is back."""
        self.centre = self.anchor = centre
        self.age = np.full_like(self.age, RESTART)

    def meet(self, rows: Float, context: str) -> None:
        """A further context, from its first rows (n, channels), NaN where missing."""
        seen = np.isfinite(rows).any(axis=0)
        offset = np.nanmedian(np.where(seen, rows, self.centre), axis=0) - self.centre
        if len(self.offsets) >= MOST_CONTEXTS:
            oldest = next(iter(self.offsets))
            del self.offsets[oldest], self._seen[oldest]
        self.offsets[context] = offset
        self._seen[context] = float(len(rows))

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {name: getattr(self, name).copy() for name in ARRAYS}
        return own | {
            "blind": self.blind.copy(),
            "taught": np.array([self._taught]),
            "contexts": np.array(list(self.offsets), dtype=np.str_),
            "offsets": np.array(list(self.offsets.values())).reshape(-1, len(self.centre)),
            "seen": np.array(list(self._seen.values())),
        }

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[np.generic]], settings: ConditionSettings) -> Baseline:
        baseline = cls.__new__(cls)
        baseline._settings = settings
        for name in ARRAYS:
            setattr(baseline, name, np.array(state[name], dtype=np.float64))
        baseline.blind = np.array(state["blind"], dtype=np.bool_)
        baseline._taught = int(state["taught"][0])
        names = [str(name) for name in state["contexts"]]
        baseline.offsets = dict(zip(names, np.array(state["offsets"], dtype=np.float64), strict=True))
        baseline._seen = dict(zip(names, (float(n) for n in state["seen"]), strict=True))
        baseline.strained = False
        baseline._limit()
        return baseline
