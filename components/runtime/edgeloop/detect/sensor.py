"""Sensor health: gap, flat line, range and clock. What is wrong with the measurement, not with the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS

Float = NDArray[np.float64]


class FlatLine:
    """How long each channel has shown the very same value; all channels at once.

    A channel that was constant while learning is no sensor that sticks, and is left alone. `limit` is the longest run
    in rows that is normal at least; three times the longest run seen in the first `learn` rows where that is more.
    """

    def __init__(self, channels: int, limit: int, learn: int) -> None:
        self.limit, self.learn = limit, learn
        self._run = np.zeros(channels, dtype=np.int64)
        self._longest = np.zeros(channels, dtype=np.int64)
        self._last = np.full(channels, np.nan)
        self._seen = 0

    def update(self, rows: NDArray[np.generic]) -> NDArray[np.bool_]:
        """(n, channels) raw values → (channels,) whether it is stuck at the end of these rows."""
        n = len(rows)
        if n == 0:
            return self.stuck
        same = np.vstack([rows[0] == self._last, rows[1:] == rows[:-1]])
        whole = same.all(axis=0)
        tail = np.where(whole, n, np.argmin(same[::-1], axis=0))
        if self._seen < self.learn:
            self._longest = np.maximum(self._longest, np.where(whole, self._run + n, self._longest_run(same)))
            self._seen += n
        self._run = np.where(whole, self._run + n, tail)
        self._last = rows[-1].astype(np.float64)
        return self.stuck

    @property
    def stuck(self) -> NDArray[np.bool_]:
        if self._seen < self.learn:
            return np.zeros(len(self._run), dtype=bool)
        constant = self._longest >= self._seen - 1
        return (self._run >= np.maximum(self.limit, 3 * self._longest)) & ~constant

    @property
    def suspect(self) -> NDArray[np.bool_]:
        """Not yet an alarm, but no longer worth a score."""
        return (self._run >= np.maximum(3, 2 * self._longest + 1)) & (self._longest < max(self._seen - 1, 1))

    def forget(self) -> None:
        self._run[:] = 0
        self._last[:] = np.nan

    @staticmethod
    def _longest_run(same: NDArray[np.bool_]) -> NDArray[np.int64]:
        where = np.arange(len(same))[:, None]
        breaks = np.maximum.accumulate(np.where(same, -1, where), axis=0)
        return np.asarray((where - breaks).max(axis=0), dtype=np.int64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"run": self._run.copy(), "longest": self._longest.copy(), "seen": np.array([self._seen])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        if state["run"].shape == self._run.shape:
            self._longest = np.array(state["longest"], dtype=np.int64)
            self._seen = int(state["seen"][0])
            self.forget()


@dataclass(frozen=True, slots=True)
class Range:
    """Closed interval of physical values; a channel outside it, or not finite, cannot be what the sensor meant."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Range:
        """
        >>> Range.parse("0..120"), Range.parse("-5 .. inf")
        (Range(low=0.0, high=120.0), Range(low=-5.0, high=inf))
        """
        low, dots, high = text.partition("..")
        if not dots:
            raise ValueError(f'{text!r} is no range (such as "0..120")')
        result = cls(float(low), float(high))
        if not result.low < result.high:
            raise ValueError(f"{text!r} is an empty range")
        return result


def outside(rows: Float, ranges: Mapping[int, Range], share: float = 0.5) -> list[int]:
    """Columns of (n, channels) of which more than `share` of the values are outside their range or not finite."""
    bad = ~np.isfinite(rows)
    for column, r in ranges.items():
        bad[:, column] |= (rows[:, column] < r.low) | (rows[:, column] > r.high)
    return [int(i) for i in np.flatnonzero(bad.mean(axis=0) > share)]


Event = Literal["continues", "gap", "clock", "restart"]


class Continuity:
    """Whether a batch continues the one before, by index, time and arrival. All times in ns.

    A step of the time stamps with the samples still arriving is the clock; a step as long as the silence was a gap.
    """

    def __init__(self, tolerance: int = 100_000_000) -> None:
        self.tolerance = tolerance
        self._epoch = self._index = self._due = self._arrival = 0
        self._period = 0
        self.step = 0

    def update(self, epoch: int, index: int, length: int, time: int, end: int, arrival: int, flagged: bool) -> Event:
        fresh = self._epoch == 0
        same = epoch == self._epoch
        silence = arrival - self._arrival
        missing = index - self._index if same else 0
        due = self._due + missing * self._period
        self.step = time - due
        jumped = abs(self.step) > self.tolerance
        if length > 1 or self._period == 0:
            self._period = max(end - time, 0) // max(length, 1)
        self._epoch, self._index, self._arrival = epoch, index + length, arrival
        self._due = end
        if fresh:
            return "continues"
        if not same:
            return "restart"
        if not (jumped or flagged or missing):
            return "continues"
        if not jumped:
            return "gap" if missing else "continues"
        waited = silence > self.tolerance and abs(self.step - silence) < max(0.35 * silence, 3 * self.tolerance)
        return "gap" if self.step > 0 and waited else "clock"

    @property
    def last_arrival(self) -> int:
        return self._arrival


def seconds(ns: int) -> str:
    """
    >>> seconds(1_250_000_000), seconds(-40_000_000)
    ('1.2 s', '-40 ms')
    """
    return f"{ns / NS:.1f} s" if abs(ns) >= NS else f"{ns / 1e6:.0f} ms"


def names(channels: Sequence[str], which: NDArray[np.bool_]) -> str:
    return ", ".join(c for c, stuck in zip(channels, which, strict=True) if stuck)
