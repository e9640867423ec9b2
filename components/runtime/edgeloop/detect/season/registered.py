"""Slow rows, against what their channels are at this time of the day or of the week, where that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.detect.protocol import Context, DetectorType, Rows, Scores, Setup, State, Words
from edgeloop.detect.season.profile import Profile
from edgeloop.detect.states.registered import States

DAY = 86_400
PERIODS = ((DAY * NS, 48, 4, "day"), (7 * DAY * NS, 84, 2, "week"))
"""ns, parts, cycles that are remembered, the word for it."""
SLOW = 10.0
"""s between rows, from which on a day is not too long to be seen."""
FEWEST = 6
"""Rows of a part at least."""
BETTER = 0.8
"""Of what the shorter period leaves, what the longer one may leave to be used in its place."""


class Season:
    """A channel takes part once a whole cycle was foreseen better by its profile than by the hours before; what is left
    of it, in spreads of that time, is judged as states are, after a day more. Others are as if they were missing.

    >>> setup = Setup("m", ("a",), ("a",), step=600.0, rate=1 / 600, budget=5.78)
    >>> season, rng = Season(setup), np.random.default_rng(1)
    >>> times = np.arange(14 * 144, dtype=np.int64) * 600 * NS
    >>> values = (50 + 40 * np.sin(times / NS / 86_400 * 2 * np.pi) + rng.normal(0, 2, len(times)))[:, None]
    >>> values[13 * 144 : 13 * 144 + 24] = 40
    >>> found = season.update(Rows(times, values, values), Context())
    >>> bool(found.alert[: 7 * 144].any()), bool(found.alert[13 * 144 : 13 * 144 + 24].any())
    (False, True)
    """

    def __init__(self, setup: Setup) -> None:
        self._setup, self._channels = setup, len(setup.columns)
        self.relearn()

    def relearn(self) -> None:
        step = self._setup.step * NS
        self._profiles = [
            Profile(self._channels, period=period, parts=max(2, min(parts, int(period / step / FEWEST))), kept=kept)
            for period, parts, kept, _ in PERIODS
        ]
        self._cycle = [-1] * len(PERIODS)
        self._used = np.full(self._channels, -1, dtype=np.int64)
        self._states: States | None = None
        self._seen: list[tuple[int, States]] = []

    @property
    def learned(self) -> float:
        """Nobody waits for it."""
        return 1.0

    def update(self, rows: Rows, context: Context) -> Scores:
        found = Scores.none(len(rows))
        self._seen = []
        at = 0
        while at < len(rows):
            end = self._turn(rows.times, at)
            self._score(rows, at, end, context, found)
            for profile in self._profiles:
                profile.add(rows.times[at:end], rows.values[at:end])
            at = end
        return found

    def _turn(self, times: NDArray[np.int64], at: int) -> int:
        """Closes the cycles that are over at a row; the row at which the next one will be."""
        end, closed = len(times), False
        for i, profile in enumerate(self._profiles):
            cycles = times[at:] // profile.period
            now = int(cycles[0])
            if now != self._cycle[i]:
                if self._cycle[i] >= 0:
                    profile.close()
                    closed = True
                self._cycle[i] = now
            others = cycles != now
            if others.any():
                end = min(end, at + int(others.argmax()))
        if closed:
            self._choose()
        return end

    def _choose(self) -> None:
        """Which period each channel is held against; where that changes, what is left is learned anew."""
        day, week = self._profiles
        used = np.where(day.helps, 0, -1)
        used = np.where(week.helps & (~day.helps | (week.left < BETTER * day.left)), 1, used)
        if not np.array_equal(used, self._used):
            self._used, self._states = used, None
            if (used >= 0).any():
                self._states = States(replace(self._setup, learn=float(DAY)))

    def _score(self, rows: Rows, at: int, end: int, context: Context, found: Scores) -> None:
        if self._states is None:
            return
        times, values = rows.times[at:end], rows.values[at:end]
        left = np.full(values.shape, np.nan)
        for i, profile in enumerate(self._profiles):
            own = self._used == i
            if own.any():
                centre, spread = profile.at(times)
                left[:, own] = ((values - centre) / spread)[:, own]
        scores = self._states.update(Rows(times, left, left), replace(context, name=""))
        self._seen.append((at, self._states))
        judged = ~scores.learning
        for name in ("return_time", "alert", "changepoint", "settled", "returned"):
            getattr(found, name)[at:end] = getattr(scores, name) * judged

    def words(self, at: int) -> Words:
        first, states = next(((f, s) for f, s in reversed(self._seen) if f <= at), (0, None))
        if states is None or states is not self._states or (first, states) != self._seen[-1]:
            return "unusual for the time", ()
        text, about = states.words(at - first)
        if not about:
            return text, about
        used = int(self._used[self._setup.columns.index(about[0].channel)])
        return f"{text} than at this time of the {PERIODS[max(used, 0)][3]}", about

    def interrupt(self) -> None:
        if self._states is not None:
            self._states.interrupt()

    def calm(self) -> None:
        """Rows that are usual again end it."""

    def accept(self) -> None:
        if self._states is not None:
            self._states.accept()

    def state(self) -> State:
        own: State = {"cycle": np.array(self._cycle, dtype=np.int64), "used": self._used.copy()}
        for i, profile in enumerate(self._profiles):
            own |= {f"profile{i}.{k}": v for k, v in profile.state().items()}
        if self._states is not None:
            own |= {f"states.{k}": v for k, v in self._states.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        if len(state["cycle"]) != len(PERIODS) or len(state["used"]) != self._channels:
            return False
        for i, profile in enumerate(self._profiles):
            begin = f"profile{i}."
            if not profile.restore({k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)}):
                return False
        self._cycle = [int(n) for n in state["cycle"]]
        self._used = np.array(state["used"], dtype=np.int64)
        inner = {k[7:]: v for k, v in state.items() if k.startswith("states.")}
        self._states = States(replace(self._setup, learn=float(DAY))) if inner else None
        return self._states is None or self._states.restore(inner)


SEASON = DetectorType(
    "season", "condition", Season, schema=1,
    cost="40 µs a row that comes alone, and what states cost once a channel has a season (one core of 2.5 GHz)",
    source="own; a seasonal naïve forecast, by medians",
)  # fmt: skip
