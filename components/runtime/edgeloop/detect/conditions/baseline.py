"""What is normal for each channel: a centre that follows, spreads, and what contexts change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.conditions.averages import CHUNK
from edgeloop.detect.conditions.learning import Learned
from edgeloop.detect.conditions.settings import Bool, ConditionSettings, Float

FARTHEST = 60.0
"""Spreads beyond which a single row counts no more."""
MOST_CONTEXTS = 64
DOUBTED = 4.5
"""z at which a row is half believed to be normal."""
APART = 3.0
"""z below which a channel has no part in an abnormal state, and is followed meanwhile."""
ANCHORED = 100
"""Memories after which the anchor has followed the centre."""
CLIPPED = 0.84
"""Mean of min(z², 4) for normal z."""
HASTY, SLOWER = 4, 20
"""Spreads are learned over so many times the rows seen, and over so many memories at most."""
RESTART = 10.0
"""Rows that a centre is worth where a condition has ended."""
ARRAYS = ("centre", "anchor", "age", "spread", "change", "least", "row", "sums")


class Baseline:
    """Spreads are shared by all contexts; each has an offset of its own; what changes slowly changes for all."""

    def __init__(self, learned: Learned, settings: ConditionSettings) -> None:
        self._settings = settings
        self.centre, self.anchor, self.age = learned.centre, learned.centre, learned.age
        self.spread, self.change, self.least, self.row = learned.level, learned.change, learned.least, learned.row
        self.blind = learned.blind
        self.offsets = learned.offsets
        self._seen = dict.fromkeys(learned.offsets, float(settings.transfer))
        self.sums = np.zeros((3, len(learned.centre)))
        self._normal = self._taught = 0
        self._limit()

    def _limit(self) -> None:
        self.farthest = np.maximum(FARTHEST * self.spread, 4 * self.row)

    def gather(self, deviation: Float, z: Float, known: Bool, abnormal: Bool, involved: Bool) -> None:
        """What rows of a chunk teach: (n, channels) each, abnormal (n,), involved (channels,). Row after row."""
        doubt = z * z
        gathered = np.empty((len(z), 3, z.shape[1]))
        np.minimum(doubt, 4.0, out=gathered[:, 2])
        doubt *= 1 / DOUBTED**2
        trust = 1.0 / (1.0 + doubt * doubt)
        if not known.all():
            trust = trust * known
            gathered[:, 2] = np.where(known, gathered[:, 2], CLIPPED)
        if abnormal.any():
            apart = (np.abs(z) < APART) & ~involved
            trust = np.where(abnormal[:, None], trust * apart, trust)
            gathered[abnormal, 2] = 0.0
        self._normal += len(z) - int(abnormal.sum())
        gathered[:, 1] = trust
        np.multiply(trust, deviation, out=gathered[:, 0])
        gathered[0] += self.sums
        np.add.accumulate(gathered, axis=0, out=gathered)
        self.sums = gathered[-1].copy()

    def close(self, rows: int, context: str) -> Float:
        """The end of a chunk of so many rows. Returns what the origin of this context's deviations moved by."""
        settings = self._settings
        deviation, weight, squares = self.sums
        self.age = np.minimum(self.age + weight, settings.memory)
        reach = settings.leash * self.spread
        centre = np.clip(self.centre + deviation / self.age, self.anchor - reach, self.anchor + reach)
        shift = centre - self.centre
        self.anchor = self.anchor + (centre - self.anchor) * (rows / (ANCHORED * settings.memory))
        self.centre = centre
        if len(self.offsets) > 1 and context in self.offsets:
            seen = self._seen[context] = min(self._seen[context] + rows, float(SLOWER * settings.memory))
            own = deviation / seen
            self.offsets[context] = self.offsets[context] + own
            shift = shift + own
        self.sums[:2] = 0.0
        if self._normal >= CHUNK:
            self._taught += self._normal
            pace = min(HASTY * (self._taught + settings.learn), SLOWER * settings.memory)
            growth = 1 + (squares / self._normal / CLIPPED - 1) * (self._normal / pace)
            self.spread = np.maximum(self.spread * np.sqrt(growth), self.least)
            self._limit()
            self._normal = 0
            self.sums[2] = 0.0
        return np.asarray(shift)

    def rebase(self, level: Float) -> None:
        """A condition is over: normal is what there is now, and settles quickly."""
        self.centre = self.centre + level
        self.anchor = self.centre
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
            "counts": np.array([self._normal, self._taught]),
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
        baseline._normal, baseline._taught = (int(n) for n in state["counts"])
        names = [str(name) for name in state["contexts"]]
        baseline.offsets = dict(zip(names, np.array(state["offsets"], dtype=np.float64), strict=True))
        baseline._seen = dict(zip(names, (float(n) for n in state["seen"]), strict=True))
        baseline._limit()
        return baseline
