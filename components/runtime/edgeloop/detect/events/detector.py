"""The event detector: rows in, a return time, an alert and its channel out; every row by itself, in bounded memory.

A row is as rare as its value has been in the channel, and as it has been after rows such as the last ones (the
geometric mean of the two counts); or as the channel has been as lively, or as still. Its return time is the number of
rows seen for each similar one. Nothing is fitted, and an alert needs a return time of the budget, or, while too few
rows have been seen for that, no more than a few similar ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.events.familiarity import Familiarity
from edgeloop.detect.events.liveliness import Liveliness
from edgeloop.detect.events.past import Past, Rows
from edgeloop.detect.events.regulator import Regulator
from edgeloop.detect.events.settings import EventSettings
from edgeloop.detect.settings import same, text
from edgeloop.detect.tail import LONGEST

Float = NDArray[np.float64]

AT_ONCE = 4096
"""Rows that are prepared together; bounds the memory of a call."""


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
    >>> bool(detector.update(rows).alert[700])
    True
    """

    def __init__(self, channels: int, settings: EventSettings) -> None:
        self.channels, self.settings = channels, settings
        self._start()

    def _start(self) -> None:
        settings, channels = self.settings, self.channels
        self._past = Past(channels, settings.averaged, settings.watched)
        self._familiarity = Familiarity(channels, settings.bins)
        self._liveliness = Liveliness(channels)
        self._regulator = Regulator(channels, settings)
        self._filled, self._harder = 0, 0.0
        self._pairs = np.zeros((2, settings.block, channels))
        self._activity = np.zeros((settings.block, channels))
        self._valid, self._known = np.zeros((2, settings.block, channels), dtype=np.bool_)

    @property
    def learned(self) -> float:
        """Share of the warm-up that is over, 0 to 1, of the channel that is furthest."""
        return min(1.0, float(self._familiarity.seen.max(initial=0.0)) / self.settings.warm)

    def update(self, rows: Float, harder: float = 0.0) -> EventScores:
        """Rows (n, channels); NaN and Inf are missing, and never an event. harder: decades that an alert needs more."""
        self._harder = harder
        n = len(rows)
        scores = EventScores(np.empty(n), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.intp))
        for begin in range(0, n, AT_ONCE):
            part = np.asarray(rows[begin : begin + AT_ONCE], dtype=np.float64)
            self._together(self._past.push(part), scores, begin)
        return scores

    def _together(self, rows: Rows, scores: EventScores, begin: int) -> None:
        n, done = len(rows), 0
        times = np.empty((n, self.channels))
        alerts: list[tuple[int, int]] = []
        while done < n:
            end = min(n, done + self.settings.block - self._filled)
            block = rows.part(done, end)
            alerts += [(done + row, cause) for row, cause in self._score(block, times[done:end])]
            self._keep(block)
            done = end
        channel = times.argmax(axis=1)
        for row, cause in alerts:
            scores.alert[begin + row] = True
            channel[row] = cause
        rarest = times[np.arange(n), channel] - math.log10(self.channels)
        scores.channel[begin : begin + n] = channel
        seconds = np.maximum(rarest, 0.0) + math.log10(self.settings.step)
        scores.return_time[begin : begin + n] = np.minimum(seconds, LONGEST)

    def _score(self, rows: Rows, times: Float) -> list[tuple[int, int]]:
        """Rows of one block; writes their return times, log10 rows. Returns the alerts: row, channel."""
        np.multiply(self._liveliness.return_time(rows.activity), rows.known, out=times)
        np.maximum(times, self._familiarity.return_time(rows.pairs), out=times)
        times *= rows.valid
        return self._regulator.alerts(times - (self._regulator.demand + self._harder))

    def _keep(self, rows: Rows) -> None:
        """Until a block is full; then it is learned."""
        whole = len(rows) == self.settings.block
        if not whole:
            here = slice(self._filled, self._filled + len(rows))
            self._pairs[:, here], self._activity[here] = rows.pairs, rows.activity
            self._valid[here], self._known[here] = rows.valid, rows.known
            self._filled = here.stop
            if self._filled < self.settings.block:
                return
            self._filled = 0
            rows = Rows(self._pairs, self._valid, self._activity, self._known)
        self._familiarity.learn(rows.pairs, rows.valid)
        self._liveliness.learn(rows.activity, rows.known)
        self._regulator.learned(self._familiarity.seen)

    def interrupt(self) -> None:
        """The rows that follow do not continue those before; what was learned stays."""
        self._past.interrupt()

    def relearn(self) -> None:
        """Forget: the process has changed."""
        self._start()

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {
            "settings": np.array([text(self.settings)]),
            "channels": np.array([self.channels]),
            "filled": np.array([self._filled]),
            "pairs": self._pairs.copy(),
            "activity": self._activity.copy(),
            "valid": self._valid.copy(),
            "known": self._known.copy(),
        }
        parts = {f"{name}.{k}": value for name, part in self._parts.items() for k, value in part.state().items()}
        return own | parts

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False, and nothing changed, where the state is that of other channels or settings."""
        mine = self.state()
        if not set(mine) <= set(state) or any(state[k].shape != mine[k].shape for k in mine):
            return False
        if not np.array_equal(state["channels"], mine["channels"]):
            return False
        if not same(str(state["settings"][0]), self.settings):
            return False
        self._filled = int(state["filled"][0])
        self._pairs, self._activity = (np.array(state[k], dtype=np.float64) for k in ("pairs", "activity"))
        self._valid, self._known = (np.array(state[k], dtype=np.bool_) for k in ("valid", "known"))
        for name, part in self._parts.items():
            part.restore({k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")})
        return True

    @property
    def _parts(self) -> dict[str, Past | Familiarity | Liveliness | Regulator]:
        return {
            "past": self._past,
            "familiarity": self._familiarity,
            "liveliness": self._liveliness,
            "regulator": self._regulator,
        }
