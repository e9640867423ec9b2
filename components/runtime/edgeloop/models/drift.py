"""Whether a model still sees what it was trained on.

The population stability index over the bins of the training data, as used for scorecards (N. Siddiqi, "Credit Risk
Scorecards", 2006): below 0.1 nothing has changed, above 0.25 the input is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.manifest import Statistics

CHANGED, SAME = 0.25, 0.1
MOST = 256
"""Rows of one call that are looked at."""
FEWEST = 1000.0
"""Rows before there is a word, and after which older ones count a third."""
SPARE = 2.0
"""What wanders slowly is never for long as it was over all of the training: so many times what healthy values were
seen to reach is no change."""
LEAST = 1e-3
"""Share that a bin is never believed to be below."""


class Drift:
    """One stream. known: what is known of channels by name; channels: the columns of its rows.

    >>> drift = Drift({"a": Statistics(mean=0, deviation=1, quantiles=(-3.0, -0.674, 0.0, 0.674, 3.0))}, ["a"])
    >>> rng = np.random.default_rng(1)
    >>> for _ in range(20): _ = drift.update(rng.normal(size=(100, 1)))
    >>> drift.worst[1] < SAME
    True
    >>> for _ in range(20): _ = drift.update(rng.normal(3, 1, size=(100, 1)))
    >>> drift.worst[0], drift.worst[1] > CHANGED
    ('a', True)
    """

    def __init__(self, known: Mapping[str, Statistics], channels: Sequence[str]) -> None:
        self._known = [(name, channels.index(name), *_bins(s)) for name, s in known.items() if name in channels]
        self._limits = {name: max(1.0, SPARE * s.usual / CHANGED) for name, s in known.items()}
        self._counts = [np.zeros(len(shares)) for *_, shares in self._known]
        self.active = False
        self.worst: tuple[str, float] = "", 0.0

    def update(self, rows: NDArray[np.floating]) -> bool:
        """(n, channels) → whether the input is another one, with hysteresis. NaN and Inf do not count."""
        rows = rows[:: max(1, len(rows) // MOST)]
        worst = "", 0.0
        for (name, column, edges, shares), counts in zip(self._known, self._counts, strict=True):
            values = rows[:, column]
            values = values[np.isfinite(values)]
            counts *= np.exp(-len(values) / FEWEST)
            counts += np.bincount(np.searchsorted(edges, values), minlength=len(counts))
            total = float(counts.sum())
            if total < FEWEST * 0.6:
                continue
            here = np.maximum(counts / total, LEAST)
            there = np.maximum(shares, LEAST)
            index = float(((here - there) * np.log(here / there)).sum()) / self._limits[name]
            if index > worst[1]:
                worst = name, index
        self.worst = worst
        self.active = worst[1] > (SAME if self.active else CHANGED)
        return self.active

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {str(i): counts.copy() for i, counts in enumerate(self._counts)}
        return own | {"active": np.array([self.active])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Nothing where the state is that of other bins."""
        found = [state.get(str(i)) for i in range(len(self._counts))]
        if any(f is None or f.shape != c.shape for f, c in zip(found, self._counts, strict=True)):
            return
        self._counts = [np.array(f, dtype=np.float64) for f in found]
        self.active = bool(state["active"][0]) if "active" in state else False


def usual(name: str, known: Statistics, values: NDArray[np.floating]) -> float:
    """The largest index that a channel's healthy values (n,) reach, for its statistics."""
    drift, largest = Drift({name: known}, [name]), 0.0
    for at in range(0, len(values), MOST):
        drift.update(values[at : at + MOST, None])
        largest = max(largest, drift.worst[1])
    return largest


def _bins(known: Statistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges between the quantiles, each once, and the share of training between them.

    >>> [a.tolist() for a in _bins(Statistics(mean=0, deviation=1, quantiles=(0.0, 0.0, 0.0, 5.0, 9.0)))]
    [[0.0, 5.0], [0.5, 0.25, 0.25]]
    """
    inner = np.asarray(known.quantiles[1:-1], dtype=np.float64)
    below = np.arange(1, len(inner) + 1) / (len(inner) + 1)
    last = np.append(np.diff(inner) > 0, True)
    return inner[last], np.diff(below[last], prepend=0.0, append=1.0)
