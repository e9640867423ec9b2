"""The event detector: rows in, a return time, an alert and its channel out; every row by itself, in bounded memory.

A row is as rare as its value has been in the channel, and as it has been after rows such as the last ones (the
geometric mean of the two counts). Its return time is the number of rows seen for each similar one. Nothing is fitted,
and an alert needs a return time of the budget, or, while fewer rows have been seen, fewer than a few similar ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.events.familiarity import Familiarity
from edgeloop.detect.events.past import Past
from edgeloop.detect.events.regulator import Regulator
from edgeloop.detect.events.settings import EventSettings

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EventScores:
    """For n rows: return_time (n,) log10 s; alert (n,) the decision; channel (n,) the rarest, or the alert's."""

    return_time: Float
    alert: NDArray[np.bool_]
    channel: NDArray[np.intp]


class EventDetector:
    """Scores do not depend on how rows are split over calls, and at each row on the rows up to it alone.

    Memory: 22 kB a channel with the default settings.

    >>> detector = EventDetector(1, EventSettings(step=1.0))
    >>> rows = np.random.default_rng(1).normal(0, 1, (1000, 1))
    >>> rows[700] = 9
    >>> [int(i) for i in np.flatnonzero(detector.update(rows).alert) if i > 600]
    [700]
    """

    def __init__(self, channels: int, settings: EventSettings) -> None:
        self.channels, self.settings = channels, settings
        self._start()

    def _start(self) -> None:
        settings, channels = self.settings, self.channels
        self._past = Past(channels, settings.averaged)
        self._familiarity = Familiarity(channels, settings.bins)
        self._regulator = Regulator(channels, settings)
        self._filled = 0
        self._values, self._means = np.zeros((2, settings.block, channels))
        self._valid = np.zeros((settings.block, channels), dtype=np.bool_)

    @property
    def learned(self) -> float:
        """Share of the warm-up that is over, 0 to 1, of the channel that is furthest."""
        return min(1.0, float(self._familiarity.seen.max(initial=0.0)) / self.settings.warm)

    def update(self, rows: Float) -> EventScores:
        """Rows (n, channels); NaN and Inf are missing, and never an event."""
        n = len(rows)
        scores = EventScores(np.empty(n), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.intp))
        done = 0
        while done < n:
            end = min(n, done + self.settings.block - self._filled)
            self._piece(np.asarray(rows[done:end], dtype=np.float64), scores, done)
            done = end
        return scores

    def _piece(self, rows: Float, scores: EventScores, start: int) -> None:
        values, means, valid = self._past.push(rows)
        n, filled = len(rows), self._filled
        here = slice(filled, filled + n)
        self._values[here], self._means[here], self._valid[here] = values, means, valid
        times = self._familiarity.return_time(values, means)
        times *= valid
        excess = times - self._regulator.demand
        channel = times.argmax(axis=1)
        for row, cause in self._regulator.alerts(excess):
            scores.alert[start + row] = True
            channel[row] = cause
        there = slice(start, start + n)
        scores.channel[there] = channel
        rarest = times[np.arange(n), channel] - math.log10(self.channels)
        scores.return_time[there] = np.maximum(rarest, 0.0) + math.log10(self.settings.step)
        self._filled += n
        if self._filled == self.settings.block:
            self._filled = 0
            self._familiarity.learn(self._values, self._means, self._valid)
            self._regulator.learned(self._familiarity.seen)

    def interrupt(self) -> None:
        """The rows that follow do not continue those before; what was learned stays."""
        self._past.interrupt()

    def relearn(self) -> None:
        """Forget: the process has changed."""
        self._start()

    def state(self) -> dict[str, NDArray[np.generic]]:
        parts = {"familiarity": self._familiarity.state(), "regulator": self._regulator.state()}
        own: dict[str, NDArray[np.generic]] = {
            "settings": np.array([repr(self.settings)]),
            "channels": np.array([self.channels]),
            "filled": np.array([self._filled]),
            "past": self._past.kept.copy(),
            "values": self._values.copy(),
            "means": self._means.copy(),
            "valid": self._valid.copy(),
        }
        return own | {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False, and nothing changed, where the state is that of other channels or settings."""
        mine = self.state()
        if set(state) != set(mine) or any(state[k].shape != mine[k].shape for k in mine):
            return False
        if any(not np.array_equal(state[k], mine[k]) for k in ("settings", "channels")):
            return False
        self._filled = int(state["filled"][0])
        self._past.kept = np.array(state["past"], dtype=np.float64)
        self._values, self._means = (np.array(state[k], dtype=np.float64) for k in ("values", "means"))
        self._valid = np.array(state["valid"], dtype=np.bool_)
        self._familiarity.restore(_part(state, "familiarity."))
        self._regulator.restore(_part(state, "regulator."))
        return True


def _part(state: Mapping[str, NDArray[np.generic]], prefix: str) -> dict[str, NDArray[np.generic]]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
