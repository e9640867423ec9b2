"""The condition detector: rows of several channels in, normal or abnormal out. No training, bounded memory.

Each channel's level, an exponentially weighted mean, is compared to a slowly following centre, in spreads of what such
levels do while all is well: a channel that wanders by nature has a wide spread, and drifts of it count little. The
statistic is the largest deviation; its tail, counted by excursions, gives the return time, so that the number of
channels is part of the calibration. What is learned changes between chunks of rows only and anomalies teach nothing.
Chunks end where the data say so, never where a block ends: how rows are handed over changes no score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeloop.detect.pareto import CAP, PredictiveTail
from edgeloop.detect.settings import same, text
from edgeloop.detect.states.averages import CHUNK, Averages
from edgeloop.detect.states.baseline import Baseline
from edgeloop.detect.states.hysteresis import Condition, Movement
from edgeloop.detect.states.learning import learn
from edgeloop.detect.states.settings import Bool, ConditionScores, ConditionSettings, Float
from edgeloop.detect.states.statistic import Statistic

LARGEST = 1e100
"""A value beyond is taken to be missing."""
YOUNG_TAIL = 27.0
"""Rows that halve the confidence in a tail."""
YOUNG, SHORT = 3, 8
"""A centre that is younger than so many widths moves every so many rows."""
LATEST, MOST_FORMERS = 3, 8
"""Times `adapt` after which a state is a new normal though it moves; former ones that are remembered."""
OWN = ("settings", "counts", "names", "origin", "window", "transfer", "last", "held", "moving")


class ConditionDetector:
    """Memory: (learn + transfer + 64 contexts) × channels numbers and 8192 statistics.

    >>> rng = np.random.default_rng(1)
    >>> detector = ConditionDetector(3, ConditionSettings(step=1.0, learn=400))
    >>> healthy = detector.update(rng.normal(size=(1000, 3)))
    >>> bool(healthy.learning[399]), bool(healthy.learning[400]), int(healthy.abnormal.sum())
    (True, False, 0)
    >>> scores = detector.update(rng.normal(size=(100, 3)) + [0, 0, 5])
    >>> bool(scores.abnormal[-1]), int(np.abs(scores.z[-1]).argmax())
    (True, 2)
    """

    def __init__(self, channels: int, settings: ConditionSettings) -> None:
        self.channels, self.settings = channels, settings
        self._lasting = min(CHUNK, max(SHORT, settings.adapt // 3)) if settings.adapt else CHUNK
        self._window = np.zeros((settings.learn, channels))
        self._transfer = np.zeros((settings.transfer, channels))
        self.relearn()

    def relearn(self) -> None:
        """Forget: the process has changed."""
        channels, settings = self.channels, self.settings
        self._rows = 0
        self._origin: list[str] = []
        self._baseline: Baseline | None = None
        self._met, self._met_rows = "", 0
        self._averages = Averages((settings.width, settings.quick, 3 * settings.quick), channels)
        self.statistic = Statistic(channels, settings.block)
        self._condition = Condition(channels + 2, settings)
        self._movement = Movement(settings)
        self._last = np.full((2, channels), np.nan)
        self._step = 0.0
        self._context = ""
        self._fresh = 0
        self._length = CHUNK
        self._formers: list[Float] = []
        self._since = np.zeros(2, dtype=np.int64)
        self._steady = np.zeros(channels)
        self._held: list[tuple[Float, Float, Float, Bool]] = []
        self.tail = PredictiveTail(settings.step, block=settings.block, young=YOUNG_TAIL)
        self._demand = self._base = settings.budget
        self._calibrate()

    @property
    def learned(self) -> float:
        """Share of the learning window that is there, 0 to 1."""
        return min(1.0, self._rows / self.settings.learn)

    @property
    def blind(self) -> Bool:
        """Channels (channels,) that were missing for more than half of the learning window and are not judged."""
        return np.zeros(self.channels, dtype=np.bool_) if self._baseline is None else self._baseline.blind.copy()

    @property
    def level(self) -> float:
        """The deviation in spreads at which the machine is called abnormal."""
        return float(self._level)

    def update(
        self, rows: ArrayLike, *, context: str = "", demand: float | None = None, base: float | None = None
    ) -> ConditionScores:
        """Rows (n, channels) of one context. NaN, Inf and values beyond 1e100 are missing, and taken to be normal.

        The first rows of a further context teach its offset; meanwhile the state stays as it is. demand: the return
        time that a condition needs, log10 s, from the next chunk on; None: the budget's; base: had nothing been spent.
        """
        self._demand = self.settings.budget if demand is None else demand
        self._base = self._demand if base is None else base
        given = np.asarray(rows, dtype=np.float64).reshape(-1, self.channels)
        n = len(given)
        flags = np.zeros((5, n), dtype=np.bool_)
        scores = ConditionScores(np.zeros(n), flags[0], flags[1], np.zeros((n, self.channels)), *flags[2:])
        valid = np.abs(given) < LARGEST
        if not valid.all():
            given = np.where(valid, given, np.nan)
        at = 0
        while at < n:
            baseline = self._baseline
            if baseline is None:
                used = self._learn(given[at:], context)
                scores.learning[at : at + used] = True
            elif context not in baseline.offsets:
                used = self._meet(given[at:], context, baseline)
                scores.learning[at : at + used] = True
                scores.abnormal[at : at + used] = self._condition.abnormal
            else:
                used = self._score(given, at, context, baseline, scores)
            at += used
        return scores

    def interrupt(self) -> None:
        """The rows that follow do not continue those before: levels start again; what was learned stays."""
        if self._baseline is None:
            return
        self._close(self._baseline)
        self._averages.restart()
        self._last = np.full((2, self.channels), np.nan)
        self._step = 0.0
        self._fresh = self.settings.width
        self._movement.moving = False
        self._met_rows = 0

    def _learn(self, rows: Float, context: str) -> int:
        n = min(len(rows), self.settings.learn - self._rows)
        self._window[self._rows : self._rows + n] = rows[:n]
        self._origin += [context] * n
        self._rows += n
        if self._rows == self.settings.learn:
            learned = learn(self._window, self._origin, self.settings, self._averages)
            self._baseline = Baseline(learned, self.settings)
            self._origin = []
            self.statistic.fit(learned.unseen, learned.away)
            self.statistic.steps[learned.blind] = np.inf
            self.tail.fit(self.statistic.magnitudes(learned.unseen, learned.away).max(axis=1), self.settings.learn)
            self._calibrate()
        return n

    def _meet(self, rows: Float, context: str, baseline: Baseline) -> int:
        if context != self._met:
            self._met, self._met_rows = context, 0
        n = min(len(rows), self.settings.transfer - self._met_rows)
        self._transfer[self._met_rows : self._met_rows + n] = rows[:n]
        self._met_rows += n
        if self._met_rows == self.settings.transfer:
            baseline.meet(self._transfer, context)
            self._met_rows = 0
        return n

    def _score(self, rows: Float, at: int, context: str, baseline: Baseline, scores: ConditionScores) -> int:
        if context != self._context:
            self._close(baseline)
            self._context = context
        n = min(len(rows) - at, self._length - self._averages.position)
        if self._fresh:
            n = min(n, self._fresh)
        residual = rows[at : at + n] - baseline.offsets[context]
        deviation = rows_away = self._middle(residual) - baseline.centre
        if math.isnan(rows_away.sum()):
            rows_away = np.nan_to_num(rows_away)
        deviation = taught = np.minimum(np.maximum(deviation, baseline.nearest), baseline.farthest)
        if math.isnan(deviation.sum()):
            deviation = np.where(np.isnan(taught), 0.0, taught)
        smooth = self._averages.update(deviation)
        z = self._beyond(smooth[0], baseline) * baseline.scale
        magnitude = self.statistic.magnitudes(z, self._beyond(rows_away, baseline))
        steps = magnitude[:, -1].copy()
        np.minimum(steps, np.append(self._step, steps[:-1]), out=magnitude[:, -1])
        most = magnitude.max(axis=1)
        abnormal = scores.abnormal[at : at + n]
        used = n
        if self._fresh:
            abnormal[:] = self._condition.abnormal
            self._fresh -= n
        else:
            begins = not self._condition.abnormal and bool(most.max() > self._level)
            if begins:
                n = int((most > self._level).argmax()) + 1
                magnitude, most, abnormal = magnitude[:n], most[:n], abnormal[:n]
            changes = scores.changepoint[at : at + n]
            used = self._condition.update(magnitude, most, self._level, abnormal, changes)
            if begins:
                self._length = min(self._length, math.ceil((self._averages.position + n) / SHORT) * SHORT)
            change = np.abs(smooth[1] - smooth[2])
            change *= baseline.pace
            self._movement.update(change[:used].max(axis=1), changes[:used])
            abnormal = abnormal[:used]
            self._held.append((taught[:used], z[:used], magnitude[:used], abnormal.copy()))
        scores.z[at : at + used] = z[:used]
        scores.return_time[at : at + used] = self.tail.return_times(most[:used])
        self._last = np.concatenate([self._last, residual[:used]])[-2:]
        self._step = float(steps[used - 1])
        self._averages.accept(used)
        recovered = bool(abnormal[-1]) and not self._condition.abnormal
        if recovered or self._averages.position == self._length:
            length = self._averages.position
            self._close(baseline, recovered)
            last = at + used - 1
            scores.settled[last] = self._settle(baseline, length)
            scores.returned[last] = self._return(baseline)
        return used

    def _beyond(self, level: Float, baseline: Baseline) -> Float:
        """Deviations of levels (n, channels) less what lies between the last former normal and today's."""
        if not self._formers:
            return level
        way = self._formers[-1] - baseline.centre
        return np.asarray(level - np.minimum(np.maximum(level, np.minimum(way, 0.0)), np.maximum(way, 0.0)))

    def _settle(self, baseline: Baseline, rows: int) -> bool:
        """At the end of a chunk: whether what is abnormal has lasted, and steadily, so that it is a new normal."""
        adapt = self.settings.adapt
        if not self._condition.abnormal or not adapt:
            self._since[:] = 0
            return False
        level = self._averages.means[0]
        if not self._since[0]:
            self._steady = level
        self._since += rows
        if self._since[1] < adapt / 2:
            return False
        moved = float(self.statistic.magnitudes(((level - self._steady) * baseline.scale)[None]).max())
        self._since[1], self._steady = 0, level
        if self._since[0] < adapt or (moved > self._level and self._since[0] < LATEST * adapt):
            return False
        self._formers = [*self._formers[-MOST_FORMERS + 1 :], baseline.centre]
        baseline.rebase(level)
        self._begin(level)
        return True

    def _return(self, baseline: Baseline) -> bool:
        """At the end of a chunk: whether the machine is back where it was before."""
        here = baseline.centre + self._averages.means[0]
        for i, former in enumerate(self._formers):
            off = (here - former) * baseline.scale
            if float(self.statistic.magnitudes(off[None]).max()) < self.settings.off * self._level:
                del self._formers[i:]
                shift = former - baseline.centre
                baseline.become(former)
                self._begin(shift)
                return True
        return False

    def _begin(self, shift: Float) -> None:
        """Anew, from another normal."""
        self._averages.restart(shift)
        self._condition.end()
        self._since[:] = 0
        self._length = SHORT

    def accept(self) -> None:
        """Today's normal is the normal: what was before is forgotten."""
        self._formers.clear()

    def _middle(self, residual: Float) -> Float:
        """The median of each three successive rows, so that a single row counts for nothing."""
        rows = np.concatenate([self._last, residual])
        a, b, c = rows[:-2], rows[1:-1], rows[2:]
        return np.asarray(np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c)))

    def _close(self, baseline: Baseline, recovered: bool = False) -> None:
        """The end of a chunk: centre, spreads and tail follow what its rows have taught."""
        fitted, shift = False, np.zeros(self.channels)
        if self._held:
            deviation, z, magnitude, abnormal = (np.concatenate(rows) for rows in zip(*self._held, strict=True))
            self._held.clear()
            shift = baseline.teach(deviation, z, abnormal, self._involved, self._context)
            if not baseline.strained:
                fitted = self.tail.teach(magnitude[~abnormal].max(axis=1), CAP * self._level)
                self.statistic.teach(magnitude, abnormal)
        self._averages.restart(shift)
        if recovered:
            level = self._averages.means[0]
            baseline.rebase(level)
            self._averages.restart(level)
        young = baseline.age.min() < YOUNG * self.settings.width
        self._length = SHORT if young else self._lasting if self._condition.abnormal else CHUNK
        if fitted or self._demand != self._demanded:
            self._calibrate()

    @property
    def _involved(self) -> Bool:
        """Channels (channels,) that have to do with an abnormal state: all, where only all together say so."""
        involved = self._condition.involved
        own = involved[: self.channels]
        return own if own.any() or not involved.any() else np.ones(self.channels, dtype=np.bool_)

    def _calibrate(self) -> None:
        self._demanded = self._demand
        self._level = float(self.tail.level(self.tail.asked(self._demand, self._base)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        width = 3 * self.channels + 3
        own: dict[str, NDArray[np.generic]] = {
            "settings": np.array([f"{self.channels} {text(self.settings)}"]),
            "counts": np.array([self._rows, self._met_rows, self._fresh, self._length]),
            "names": np.array([self._met, self._context]),
            "origin": np.array(self._origin, dtype=np.str_),
            "window": self._window[: self._rows if self._baseline is None else 0].copy(),
            "transfer": self._transfer[: self._met_rows].copy(),
            "last": self._last.copy(),
            "held": np.concatenate([np.column_stack(rows) for rows in self._held] or [np.empty((0, width))]),
            "moving": np.array([self._movement.moving]),
            "demand": np.array([self._demanded, self._base, self._step]),
            "formers": np.array(self._formers).reshape(-1, self.channels),
            "since": self._since.copy(),
            "steady": self._steady.copy(),
        }
        parts: dict[str, dict[str, NDArray[np.generic]]] = {
            "averages": self._averages.state(),
            "condition": self._condition.state(),
            "statistic": self.statistic.state(),
            "tail": self.tail.state(),
            "baseline": {} if self._baseline is None else self._baseline.state(),
        }
        return own | {f"{part}.{key}": value for part, state in parts.items() for key, value in state.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False, and nothing changed, where the state is that of other channels or settings."""
        channels, _, kept = str(state["settings"][0]).partition(" ") if "settings" in state else ("", "", "")
        if not set(OWN) <= set(state) or channels != str(self.channels) or not same(kept, self.settings):
            return False
        self.relearn()
        self._rows, self._met_rows, self._fresh, self._length = (int(n) for n in state["counts"])
        self._met, self._context = (str(name) for name in state["names"])
        self._origin = [str(name) for name in state["origin"]]
        self._window[: len(state["window"])] = state["window"]
        self._transfer[: self._met_rows] = state["transfer"]
        self._last = np.array(state["last"], dtype=np.float64)
        held = np.array(state["held"], dtype=np.float64)
        if len(held):
            c = self.channels
            magnitude = (
                held[:, 2 * c : 3 * c + 2] if "demand" in state else self.statistic.magnitudes(held[:, c : 2 * c])
            )
            self._held = [(held[:, :c].copy(), held[:, c : 2 * c].copy(), magnitude.copy(), held[:, -1] > 0)]
        self._movement.moving = bool(state["moving"][0])

        def part(name: str) -> dict[str, NDArray[np.generic]]:
            return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}

        self._averages.restore(part("averages"))
        self._condition.restore(part("condition"))
        if "demand" in state:
            self.statistic.restore(part("statistic"))
            self._formers = list(np.array(state["formers"], dtype=np.float64))
            self._since = np.array(state["since"], dtype=np.int64)
            self._steady = np.array(state["steady"], dtype=np.float64)
        else:
            self._condition.involved = np.append(self._condition.involved, [False, False])
        tail = part("tail")
        if "numbers" in tail:
            self.tail.adopt(np.sqrt(tail["recent"][: int(tail["numbers"][0])].astype(np.float64)))
        else:
            self.tail.restore(tail)
        if baseline := part("baseline"):
            self._baseline = Baseline.restored(baseline, self.settings)
        self._demand = self._base = self.settings.budget
        if "demand" in state:
            self._demand, self._base, self._step = (float(n) for n in state["demand"])
        self._calibrate()
        return True
