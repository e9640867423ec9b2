"""Whether a model still sees what it was trained on.

The population stability index over the bins of the training data, as used for scorecards (N. Siddiqi, "Credit Risk
Scorecards", 2006): below 0.1 nothing has changed, above 0.25 the input is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.manifest import Distribution

CHANGED, SAME = 0.25, 0.1
MOST = 256
"""Rows of one call that are looked at."""
FEWEST = 1000.0
"""Rows before there is a word, and after which older ones count a third."""
LEAST = 1e-3
"""Share that a bin is never believed to be below."""


class Drift:
    """One stream. channels: the order of the columns of its rows; those without a distribution are left out.

    >>> drift = Drift([Distribution(channel="a", edges=(-1.0, 1.0), shares=(0.16, 0.68, 0.16))], ["a"])
    >>> rng = np.random.default_rng(1)
    >>> for _ in range(20): _ = drift.update(rng.normal(size=(100, 1)))
    >>> drift.worst[1] < SAME
    True
    >>> for _ in range(20): _ = drift.update(rng.normal(3, 1, size=(100, 1)))
    >>> drift.worst[0], drift.worst[1] > CHANGED
    ('a', True)
    """

    def __init__(self, distributions: Sequence[Distribution], channels: Sequence[str]) -> None:
        self._known = [(channels.index(d.channel), d) for d in distributions if d.channel in channels]
        self._counts = [np.zeros(len(d.shares)) for _, d in self._known]
        self.active = False
        self.worst: tuple[str, float] = "", 0.0

    def update(self, rows: NDArray[np.floating]) -> bool:
        """(n, channels) → whether the input is another one, with hysteresis. NaN and Inf do not count."""
        rows = rows[:: max(1, len(rows) // MOST)]
        worst = "", 0.0
        for (column, known), counts in zip(self._known, self._counts, strict=True):
            values = rows[:, column]
            values = values[np.isfinite(values)]
            counts *= np.exp(-len(values) / FEWEST)
            counts += np.bincount(np.searchsorted(known.edges, values), minlength=len(counts))
            total = float(counts.sum())
            if total < FEWEST * 0.6:
                continue
            here = np.maximum(counts / total, LEAST)
            there = np.maximum(np.asarray(known.shares), LEAST)
            index = float(((here - there) * np.log(here / there)).sum())
            if index > worst[1]:
                worst = known.channel, index
        self.worst = worst
        self.active = worst[1] > (SAME if self.active else CHANGED)
        return self.active

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {str(i): counts.copy() for i, counts in enumerate(self._counts)}
        return own | {"active": np.array([self.active])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Nothing where the state is that of other distributions."""
        found = [state.get(str(i)) for i in range(len(self._counts))]
        if any(f is None or f.shape != c.shape for f, c in zip(found, self._counts, strict=True)):
            return
        self._counts = [np.array(f, dtype=np.float64) for f in found]
        self.active = bool(state["active"][0]) if "active" in state else False
