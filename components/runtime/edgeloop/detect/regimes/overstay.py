"""A state that lasts longer than it ever does: stopped for an hour, at full load since noon."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.protocol import Scores
from edgeloop.detect.regimes.passage import Passage

PRIOR_ROWS = 24
"""Rows that a stay has to last at least."""


class Overstay:
    """adapt: rows after which it is offered as a new normal; 0: never.

    >>> overstay = Overstay(adapt=0)
    >>> ages, rarely = np.array([98, 99, 100]), np.array([5.0, 6.0, 7.0])
    >>> passage = Passage(np.zeros((3, 1)), np.zeros(3, dtype=np.intp), ages, rarely)
    >>> overstay.update(passage, 6.0, 0.0).alert.tolist()
    [False, True, True]
    """

    def __init__(self, adapt: int) -> None:
        self._adapt = adapt
        self.active = self.accepted = False
        self._lasted, self._age, self._which = 0, 0, -1

    def update(self, passage: Passage, demand: float, step: float) -> Scores:
        """demand: log10 s; step: log10 s between rows."""
        n = len(passage.age)
        scores = Scores.none(n)
        if not n:
            return scores
        quiet = not (self.active or self.accepted)
        if quiet and not passage.lasting.any():
            self._age, self._which = int(passage.age[-1]), int(passage.which[-1])
            return scores
        scores.return_time[:] = np.where(passage.lasting > 0, np.maximum(passage.lasting + step, 0.0), 0.0)
        for i, (age, which) in enumerate(zip(passage.age.tolist(), passage.which.tolist(), strict=True)):
            if which != self._which or age <= self._age:
                if self.accepted:
                    scores.returned[i] = True
                if self.active:
                    scores.changepoint[i] = True
                self.active = self.accepted = False
            self._age, self._which = age, which
            if not self.active and not self.accepted:
                if age >= PRIOR_ROWS and scores.return_time[i] >= demand:
                    self.active, self._lasted = True, 0
                    scores.changepoint[i] = True
            elif self.active:
                self._lasted += 1
                if self._adapt and self._lasted >= self._adapt:
                    self.active, self.accepted = False, True
                    scores.settled[i] = scores.changepoint[i] = True
            scores.alert[i] = self.active
        return scores

    def calm(self) -> None:
        self.active = self.accepted = False

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"overstay": np.array([self.active, self.accepted, self._lasted, self._age, self._which])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        active, accepted, self._lasted, self._age, self._which = (int(n) for n in state["overstay"])
        self.active, self.accepted = bool(active), bool(accepted)
