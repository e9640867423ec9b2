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

    A machine that stands may rest at a constant value. There, only a channel that was seen to move all the while is
    judged; a value within what it is while running that has not moved when the machine runs again is the sensor's.
    What is stuck stays so until it moves.
    """

    stuck: NDArray[np.bool_]
    _run: NDArray[np.int64]
    _last: Float

    def __init__(self, channels: int, limit: int, learn: int) -> None:
        self.limit, self.learn = limit, learn
        self._longest = np.zeros((2, channels), dtype=np.int64)
        self._seen = np.zeros(2, dtype=np.int64)
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._phase = 0
        self.forget()

    def update(self, rows: NDArray[np.generic], *, standing: bool = False, settled: bool = True) -> NDArray[np.bool_]:
        """(n, channels) raw values → (channels,) whether it is stuck at the end of these rows."""
        n, phase = len(rows), int(standing)
        if n == 0:
            return self.stuck
        values = np.ascontiguousarray(rows.T)
        same = np.empty(values.shape, dtype=np.bool_)
        np.equal(values[:, 0], self._last, out=same[:, 0])
        np.equal(values[:, 1:], values[:, :-1], out=same[:, 1:])
        whole = same.all(axis=1)
        if phase != self._phase:
            self._phase = phase
            self._run[:] = 0
        run = np.where(whole, self._run + n, np.argmin(same[:, ::-1], axis=1))
        if self._seen[phase] < self.learn:
            longest = np.where(whole, run, np.maximum(self._longest_run(same), self._run + np.argmin(same, axis=1)))
            self._longest[phase] = np.maximum(self._longest[phase], longest)
            self._seen[phase] += n
        self._run = run
        self._last = values[:, -1].astype(np.float64)
        if settled and not standing:
            self._low = np.fmin(self._low, np.fmin.reduce(values, axis=1))
            self._high = np.fmax(self._high, np.fmax.reduce(values, axis=1))
        self.stuck = (self.stuck & whole) | self._judge(settled)
        return self.stuck

    def rows(self, rows: NDArray[np.generic], *, standing: bool = False, settled: bool = True) -> NDArray[np.bool_]:
        """`update`, row by row: (n, channels) raw values → (n, channels) suspects, not worth a score."""
        n, phase = len(rows), int(standing)
        if n == 1:
            return self._row(rows, phase, settled)[None]
        left = self.learn - int(self._seen[phase])
        if 0 < left < n:
            parts = [self.rows(part, standing=standing, settled=settled) for part in (rows[:left], rows[left:])]
            return np.concatenate(parts)
        if phase != self._phase:
            self._phase = phase
            self._run[:] = 0
        run = self._runs(rows)
        seen, longest = self._seen[phase], self._longest[phase]
        if left > 0:
            seen = seen + 1 + np.arange(n)[:, None]
            longest = np.maximum(np.maximum.accumulate(run, axis=0), longest)
        suspect = (run >= np.maximum(3, 2 * longest + 1)) & (longest < np.maximum(seen - 1, 1))
        self.update(rows, standing=standing, settled=settled)
        return np.asarray(suspect, dtype=bool)

    def _row(self, rows: NDArray[np.generic], phase: int, settled: bool) -> NDArray[np.bool_]:
        """`rows`, of one that comes alone."""
        row = rows[0]
        if phase != self._phase:
            self._phase = phase
            self._run[:] = 0
        same = row == self._last
        run = (self._run + 1) * same
        longest, seen = self._longest[phase], int(self._seen[phase])
        if seen < self.learn:
            longest = self._longest[phase] = np.maximum(longest, np.where(same, run, self._run))
            seen = self._seen[phase] = seen + 1
        most = int(run.max(initial=0))
        if most < 3:
            suspect = np.zeros(len(row), dtype=np.bool_)
        else:
            suspect = (run >= np.maximum(3, 2 * longest + 1)) & (longest < max(seen - 1, 1))
        self._run, self._last = run, row.astype(np.float64)
        if settled and not phase:
            self._low, self._high = np.fmin(self._low, self._last), np.fmax(self._high, self._last)
        if most >= self.limit or self.stuck.any():
            self.stuck = (self.stuck & same) | self._judge(settled)
        return suspect

    def _runs(self, rows: NDArray[np.generic]) -> NDArray[np.int64]:
        """(n, channels) for how many rows each value has been there."""
        same = np.vstack([rows[:1] == self._last, rows[1:] == rows[:-1]])
        at = np.arange(len(rows))[:, None]
        last = np.maximum.accumulate(np.where(same, -1, at), axis=0)
        return np.asarray(np.where(last < 0, self._run + at + 1, at - last), dtype=np.int64)

    def _judge(self, settled: bool) -> NDArray[np.bool_]:
        longest, seen = self._longest[self._phase], self._seen[self._phase]
        if seen < self.learn:
            return np.zeros(len(self._run), dtype=bool)
        stuck = (self._run >= np.maximum(self.limit, 3 * longest)) & (longest < seen - 1)
        if self._phase:
            return np.asarray(stuck & (3 * longest <= self.limit), dtype=bool)
        if not settled:
            return np.asarray(stuck & (self._last >= self._low) & (self._last <= self._high), dtype=bool)
        return np.asarray(stuck, dtype=bool)

    @property
    def undecided(self) -> bool:
        """Whether a value rests for longer than a sensor may, at a machine that stands."""
        return bool(self._phase) and bool((self._run >= self.limit).any())

    def forget(self) -> None:
        """What comes next does not continue what was."""
        channels = self._longest.shape[1]
        self._run = np.zeros(channels, dtype=np.int64)
        self._last = np.full(channels, np.nan)
        self.stuck = np.zeros(channels, dtype=bool)

    @staticmethod
    def _longest_run(same: NDArray[np.bool_]) -> NDArray[np.int64]:
        where = np.arange(same.shape[1])
        breaks = np.maximum.accumulate(np.where(same, -1, where), axis=1)
        return np.asarray((where - breaks).max(axis=1), dtype=np.int64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        own = {"longest": self._longest, "seen": self._seen, "low": self._low, "high": self._high}
        own |= {"run": self._run, "last": self._last, "stuck": self.stuck, "phase": np.array([self._phase])}
        return {name: value.copy() for name, value in own.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        if set(state) != set(self.state()) or state["longest"].shape != self._longest.shape:
            return
        self._longest, self._seen, self._run = (np.array(state[k], dtype=np.int64) for k in ("longest", "seen", "run"))
        self._low, self._high, self._last = (np.array(state[k], dtype=np.float64) for k in ("low", "high", "last"))
        self.stuck, self._phase = np.array(state["stuck"], dtype=bool), int(state["phase"][0])


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


def outside(rows: NDArray[np.floating], ranges: Mapping[int, Range], share: float = 0.5) -> list[int]:
    """Columns of (n, channels) of which more than `share` of the values are outside their range or not finite."""
    values = np.ascontiguousarray(rows.T)
    bad = ~np.isfinite(values)
    for column, r in ranges.items():
        bad[column] |= (values[column] < r.low) | (values[column] > r.high)
    return [int(i) for i in np.flatnonzero(np.count_nonzero(bad, axis=1) > share * values.shape[1])]


def unfit(rows: NDArray[np.floating], ranges: Mapping[int, Range]) -> NDArray[np.bool_]:
    """(n, channels): values that are outside their range or not finite."""
    bad = ~np.isfinite(rows)
    for column, r in ranges.items():
        bad[:, column] |= (rows[:, column] < r.low) | (rows[:, column] > r.high)
    return np.asarray(bad, dtype=bool)


Event = Literal["continues", "gap", "clock", "restart"]


class Continuity:
    """Whether a batch continues the one before, by index, time and arrival. All times in ns.

    A step of the time stamps with the samples still arriving is the clock; a step as long as the silence was a gap.
    `broken`: samples are missing before the last batch, for `lost` ns; `jumped_ahead`: its time says so.
    """

    def __init__(self, tolerance: int = 100_000_000) -> None:
        self.tolerance = tolerance
        self._epoch = self._index = self._due = self._arrival = 0
        self._period = 0
        self.step = 0
        self.broken = self.jumped_ahead = False
        self.lost = 0

    def overlap(self, epoch: int, index: int, length: int) -> int:
        """Samples at the start of a batch that were in those before."""
        return max(0, min(self._index - index, length)) if epoch == self._epoch and epoch else 0

    def update(self, epoch: int, index: int, length: int, time: int, end: int, arrival: int, flagged: bool) -> Event:
        fresh = self._epoch == 0
        same = epoch == self._epoch
        silence = arrival - self._arrival
        missing = index - self._index if same else 0
        due = self._due + missing * self._period
        self.step = time - due
        jumped = abs(self.step) > self.tolerance
        self.broken = not fresh and (not same or missing != 0)
        self.lost = max(missing, 0) * self._period if not fresh else 0
        self.jumped_ahead = not fresh and self.step > self.tolerance + 4 * self._period
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

    def forget(self) -> None:
        """What comes next is the first."""
        self._epoch = 0

    def state(self) -> list[int]:
        return [self._epoch, self._index, self._due, self._arrival, self._period, self.step]

    def restore(self, state: Sequence[int]) -> None:
        self._epoch, self._index, self._due, self._arrival, self._period, self.step = state


def seconds(ns: int) -> str:
    """
    >>> seconds(1_250_000_000), seconds(-40_000_000)
    ('1.2 s', '-40 ms')
    """
    return f"{ns / NS:.1f} s" if abs(ns) >= NS else f"{ns / 1e6:.0f} ms"


def names(channels: Sequence[str], which: NDArray[np.bool_]) -> str:
    return ", ".join(c for c, stuck in zip(channels, which, strict=True) if stuck)
