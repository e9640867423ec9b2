"""When a machine becomes abnormal, when it has recovered, and when something starts or ceases to move."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.states.settings import Bool, ConditionSettings, Float


class Condition:
    """Normal until a channel exceeds the level; then abnormal until the channels that did so have recovered.

    How far it is: the largest deviation among those channels. It is over when that has been below `off` times the level
    for `hold` rows, or below `back` times its largest for `settle` rows.
    """

    def __init__(self, channels: int, settings: ConditionSettings) -> None:
        self._settings = settings
        self.abnormal = False
        self.involved = np.zeros(channels, dtype=np.bool_)
        self._peak = 0.0
        self._calm = self._back = 0

    def update(self, magnitudes: Float, most: Float, level: float, abnormal: Bool, changes: Bool) -> int:
        """Fills in `abnormal` and `changes`. Returns the rows used: those up to a recovery, where levels start anew.

        magnitudes: |z| (n, channels); most: its maximum by row (n,).
        """
        n, start = len(most), 0
        if not self.abnormal:
            if most.max() <= level:
                return n
            start = int((most > level).argmax())
            self.abnormal = changes[start] = True
            self.involved[:] = False
            self._peak = 0.0
            self._calm = self._back = 0
        settings, off = self._settings, self._settings.off * level
        joined = magnitudes[start:] > level
        joined[0] |= self.involved
        np.logical_or.accumulate(joined, axis=0, out=joined)
        for i, far in enumerate(np.where(joined, magnitudes[start:], 0.0).max(axis=1).tolist()):
            abnormal[start + i] = True
            self._peak = max(self._peak, far)
            self._calm = self._calm + 1 if far < off else 0
            self._back = self._back + 1 if far < max(off, settings.back * self._peak) else 0
            if self._calm >= settings.hold or self._back >= settings.settle:
                changes[start + i] = True
                self.abnormal = False
                self.involved = joined[i].copy()
                return start + i + 1
        self.involved = joined[-1].copy()
        return n

    def end(self) -> None:
        """It is abnormal no more, whatever the rows say."""
        self.abnormal = False
        self.involved[:] = False

    def state(self) -> dict[str, NDArray[np.generic]]:
        numbers = np.array([float(self.abnormal), self._peak, self._calm, self._back])
        return {"numbers": numbers, "involved": self.involved.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        abnormal, self._peak, calm, back = (float(v) for v in state["numbers"])
        self.abnormal, self._calm, self._back = bool(abnormal), int(calm), int(back)
        self.involved = np.array(state["involved"], dtype=np.bool_)


class Movement:
    """Marks the rows where the largest change of level exceeds `move`, and where it falls below the share `still`."""

    def __init__(self, settings: ConditionSettings) -> None:
        self._on, self._off = settings.move, settings.move * settings.still
        self.moving = False

    def update(self, most: Float, changes: Bool) -> None:
        if not self.moving and most.max() <= self._on:
            return
        start = 0
        while start < len(most):
            crossed = most[start:] < self._off if self.moving else most[start:] > self._on
            first = int(crossed.argmax())
            if not crossed[first]:
                return
            self.moving = not self.moving
            start += first
            changes[start] = True
            start += 1
