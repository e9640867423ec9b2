"""From return times to alerts: one for each event, and each makes the next one harder for a while."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.events.familiarity import UNSEEN
from edgeloop.detect.events.settings import USUAL, EventSettings

Float = NDArray[np.float64]

CAUTION = 2.0
"""Alerts that a stream begins with, as it were: what is new at first is often only new to us."""
SHARED = 0.5
"""Part of an alert's raise for the other channels: the budget is that of all."""
SPARED = 0.2
"""Decades left to a lone channel after any number of alerts, so that what it has never been near stays an event."""


class Regulator:
    """Ages are counted in rows. `demand` is the return time that an alert needs, log10 rows, by channel."""

    def __init__(self, channels: int, settings: EventSettings) -> None:
        self._settings, self._most = settings, settings.rows * channels
        self._memory = max(settings.rows, USUAL)
        self._highest = max(0.0, math.log10(settings.similar / UNSEEN) - SPARED + 0.5 * math.log10(channels))
        self._quiet = 0
        self._age = 0
        self._level = np.full(channels, CAUTION * settings.raised)
        self._raised = 0
        self.demand = np.full(channels, np.inf)

    def learned(self, seen: Float) -> None:
        """What is demanded of a channel that has been seen so often."""
        similar = self._settings.similar / len(seen)
        wanted = np.log10(np.minimum(np.maximum(seen / similar, 1.0), self._most))
        self.demand = np.where(seen >= self._settings.warm, wanted, np.inf)

    def alerts(self, excess: Float) -> list[tuple[int, int]]:
        """(row, channel) of the alerts. excess: return times beyond the demand, log10, (n, channels)."""
        found: list[tuple[int, int]] = []
        high = excess >= 0
        for row in np.flatnonzero(high.any(axis=1)).tolist() if high.any() else ():
            at = self._age + row
            if at < self._quiet:
                continue
            best, where = -1.0, -1
            for channel in np.flatnonzero(high[row]).tolist():
                beyond = float(excess[row, channel]) - self._now(channel, at)
                if beyond >= 0 and beyond > best:
                    best, where = beyond, channel
            if where < 0:
                continue
            found.append((row, where))
            self._raise(where, at)
            self._quiet = at + 1 + self._settings.quiet
        self._age += len(excess)
        return found

    def _raise(self, channel: int, at: int) -> None:
        self._level *= math.exp(-(at - self._raised) / self._memory)
        self._level += SHARED * self._settings.raised
        self._level[channel] += (1.0 - SHARED) * self._settings.raised
        np.minimum(self._level, self._highest, out=self._level)
        self._raised = at

    def _now(self, channel: int, at: int) -> float:
        return float(self._level[channel]) * math.exp(-(at - self._raised) / self._memory)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {
            "ages": np.array([self._quiet, self._age, self._raised], dtype=np.int64),
            "level": self._level.copy(),
            "demand": self.demand.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._quiet, self._age, self._raised = (int(n) for n in state["ages"])
        self._level = np.array(state["level"], dtype=np.float64)
        self.demand = np.array(state["demand"], dtype=np.float64)
