"""The streaming detector: rows of features in, a return time and its cause out. No training, bounded memory.

For every feature a slowly adapting centre (one for each context, such as a product), and for every time scale (mean or
median of the last w rows) a spread. The statistic of a row is the largest |z| over scales and features; its tail gives
the return time, so that the number of channels is part of the calibration; rows that share a window are one event.
Rows that look anomalous teach nothing, nor do those that lead up to an alarm teach the tail; features that have no
part in it are followed all the same. The centre is on a leash: what creeps away further than the leash is seen,
however slowly it went.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.display import display
from edgeloop.detect.features import Feature
from edgeloop.detect.pareto import CAP, PredictiveTail
from edgeloop.detect.settings import same, text

Float = NDArray[np.float64]
State = Literal["learning", "live"]

MAD = 1.4826
FARTHEST = 1e6
MOST_CONTEXTS = 64
RELATIVE = 0.0005
BLOCK = 16
"""Rows of a block, of which the tail learns the largest."""
LEAST = 2.0
"""Spreads that normal noise reaches in a block in any case."""
YOUNG, FLOORED = 6.0, 2.0
"""Rows that halve the confidence of the tail; of block features, whose spreads have a floor."""
ORDINARY = 3.0
"""Decades: a row rarer than one in so many teaches nothing about the tail, whose estimator needs quantiles alone."""
ALLOWED_RATIO = 0.08
SLOWER = 4
DOUBTED = 4.5
"""z at which a feature is half believed to be normal."""
APART = 3.0
"""z below which a feature has no part in what is anomalous about others, and is followed meanwhile."""
ANCHORED = 100
"""Memories after which the anchor has followed the centre."""
CLIPPED = 0.84
"""Mean of min(z², 4) for normal z."""
ALLOWED_SPREADS = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """step: seconds between rows; learn: rows of the learning window; scales: rows averaged; budget: log10 s.

    median: a scale is the median of its rows, not their mean, so that single rows count for nothing.
    memory: rows after which the centre has followed a change by 63 %.
    leash: spreads of a single row that the centre may wander from where it was learned.
    downward: weight of a logarithmic feature that falls instead of rising.
    systematic: share of a single row's spread that no averaging removes.
    quarantine: rows that must pass without an alarm before a row teaches the tail.
    transfer: rows from which the centre of a further context is taken.
    gate: decades below the budget at which a row teaches no more.
    prior: mean excess of the statistic's tail, before there are data.
    """

    step: float
    learn: int
    scales: tuple[int, ...] = (5,)
    budget: float = 5.78
    median: bool = False
    memory: int = 600
    leash: float = 8.0
    downward: float = 0.6
    systematic: float = 0.5
    quarantine: int = 150
    transfer: int = 15
    gate: float = 2.0
    prior: float = 0.45


@dataclass(frozen=True, slots=True)
class Cause:
    """One feature's part: ratio to normal (1.0 where it is not logarithmic), z in spreads, delta in its own unit."""

    feature: Feature
    ratio: float
    z: float
    delta: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """score in [0, 1] reaches 0.5 at the budget; causes largest first.

    return_time: log10 s between events as strong as this; rows within the widest scale are one event, so that a single
    row is to be confirmed by those after it.
    """

    state: State
    score: float = 0.0
    return_time: float = 0.0
    statistic: float = 0.0
    why: Callable[[], tuple[Cause, ...]] = field(default=tuple, compare=False, repr=False)

    @property
    def causes(self) -> tuple[Cause, ...]:
        return self.why()


@dataclass(slots=True)
class Baseline:
    """Centre of each feature, where it was learned, and from how many rows."""

    centre: Float
    anchor: Float
    rows: int


class Detector:
    def __init__(self, features: Sequence[Feature], settings: Settings) -> None:
        self.features, self.settings = tuple(features), settings
        n, k = len(self.features), len(settings.scales)
        self._floor = np.array([f.floor for f in self.features])
        self._logarithmic = np.array([f.logarithmic for f in self.features])
        self._downward = np.array([settings.downward if f.logarithmic else 1.0 for f in self.features])
        self._widest = max(settings.scales)
        self._learned = np.zeros((settings.learn, n))
        self._contexts: list[str] = []
        self._origin = np.zeros(settings.learn, dtype=np.int64)
        self._rows = 0
        self._baselines: dict[str, Baseline] = {}
        self._pending: tuple[str, list[Float]] = ("", [])
        self._single = np.ones(n)
        self._reach: Float | None = None
        self._spread = np.ones((k, n))
        self._least = np.zeros((k, n))
        self._history = np.zeros((2 * self._widest, n))
        self._filled = self._at = 0
        self.least = np.zeros(n)
        """Smallest spread of each feature; may be set until it has learned."""
        self._window = settings.step * self._widest
        self.tail = self._new_tail()
        self._quarantined: deque[float] = deque(maxlen=settings.quarantine)
        self._ordinary = math.log10(self._window) + ORDINARY

    def _new_tail(self) -> PredictiveTail:
        young = FLOORED if self.settings.median else YOUNG
        return PredictiveTail(
            self.settings.step, block=min(BLOCK, max(4, self.settings.learn // 24)), young=young, least=LEAST
        )

    @property
    def learned(self) -> float:
        """Share of the learning window that is there, 0 to 1."""
        return min(1.0, self._rows / self.settings.learn)

    def update(self, row: Float, *, context: str = "", teach: bool = True) -> Score:
        """One row (features,). NaN and Inf count as missing: that feature is taken to be normal."""
        if self._rows < self.settings.learn:
            if context not in self._contexts:
                self._contexts.append(context)
            self._learned[self._rows] = row
            self._origin[self._rows] = self._contexts.index(context)
            self._rows += 1
            if self._rows == self.settings.learn:
                self._fit()
            return Score("learning")
        baseline = self._baselines.get(context)
        known = baseline or next(reversed(self._baselines.values()))
        missing = ~np.isfinite(row)
        if missing.any():
            row = np.where(missing, known.centre, row)
        z = self._push(row - known.centre, baseline is None)
        worst = np.maximum.reduce(np.abs(z))
        statistic = float(worst.max())
        return_time = self.tail.return_time(statistic)
        if teach and return_time < self.settings.budget - self.settings.gate:
            if baseline is None:
                self._transfer(row, context)
            else:
                self._teach(row, z, worst, baseline, statistic, return_time < self._ordinary)
        elif baseline is not None:
            self._follow(row, baseline, self._trust(worst) * (worst < APART))
        if not teach:
            self._quarantined.clear()
        return Score("live", self.display(return_time), return_time, statistic, partial(self._causes, z, self._spread))

    def display(self, return_time: float) -> float:
        """A return time on a scale from 0 to 1: 0.5 at the budget.

        >>> detector = Detector([Feature("a", "value", "value", False, 0.1)], Settings(step=1, learn=8, budget=6))
        >>> detector.display(6.0), detector.display(-3.0), detector.display(15.0)
        (0.5, 0.0, 1.0)
        """
        return display(return_time, least=math.log10(self._window), budget=self.settings.budget)

    def centre(self, context: str) -> Float | None:
        """Of each feature (features,), where the context is known."""
        baseline = self._baselines.get(context)
        return None if baseline is None else baseline.centre

    def settle(self, context: str) -> None:
        """Normal is what the last rows of a context say."""
        baseline = self._baselines.get(context)
        if baseline is None or not self._filled:
            return
        end = self._at + self._widest
        baseline.centre = baseline.centre + np.median(self._history[end - self._filled : end], axis=0)
        baseline.anchor = baseline.centre.copy()
        self.interrupt()

    def interrupt(self) -> None:
        """The rows that follow do not continue those before: averages start again, what was learned stays."""
        self._filled = self._at = 0
        self._pending = ("", [])

    def relearn(self) -> None:
        """Forget: the process has changed."""
        self._rows = 0
        self._contexts.clear()
        self._baselines.clear()
        self._quarantined.clear()
        self.interrupt()
        self.tail = self._new_tail()

    def _transfer(self, row: Float, context: str) -> None:
        """A further context has the spreads of the others, and a centre of its own from its first normal rows."""
        if self._pending[0] != context:
            self._pending = (context, [])
        rows = self._pending[1]
        rows.append(row)
        if len(rows) < self.settings.transfer:
            return
        centre = np.median(np.array(rows), axis=0)
        if len(self._baselines) >= MOST_CONTEXTS:
            del self._baselines[next(iter(self._baselines))]
        self._baselines[context] = Baseline(centre, centre.copy(), len(rows))
        self.interrupt()

    def _push(self, residual: Float, foreign: bool) -> Float:
        """z, (scales, features); against another context's centre with an allowance for what a product changes."""
        w = self._widest
        self._history[self._at] = self._history[self._at + w] = residual
        self._at = (self._at + 1) % w
        self._filled = min(self._filled + 1, w)
        end = self._at + w
        z = np.empty_like(self._spread)
        for k, scale in enumerate(self.settings.scales):
            n = min(scale, self._filled)
            recent = self._average(self._history[end - n : end]) if n > 1 else residual
            z[k] = recent * ((n / scale) ** 0.5)
        spread = self._spread
        if foreign:
            allowed = np.where(
                self._logarithmic, ALLOWED_RATIO, ALLOWED_SPREADS * np.maximum(self._single, self._floor)
            )
            spread = np.hypot(spread, allowed)
        z /= spread
        np.minimum(np.maximum(z, -FARTHEST, out=z), FARTHEST, out=z)
        return np.where(z < 0, z * self._downward, z)

    def _average(self, rows: Float) -> Float:
        if not self.settings.median:
            return np.asarray(np.add.reduce(rows, axis=0) / len(rows))
        ordered, middle = np.sort(rows, axis=0), len(rows) // 2
        return np.asarray(ordered[middle] if len(rows) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)

    def _fit(self) -> None:
        rows, settings = self._learned, self.settings
        rows[~np.isfinite(rows)] = np.nan
        rows[:, np.isnan(rows).all(axis=0)] = 0.0
        residuals = np.empty_like(rows)
        middle = np.nanmedian(rows, axis=0)
        for number, context in enumerate(self._contexts):
            where = self._origin == number
            own = np.where(np.isnan(rows[where]), middle, rows[where])
            centre = np.median(own, axis=0)
            residuals[where] = own - centre
            if len(own) >= min(settings.transfer, settings.learn):
                self._baselines[context] = Baseline(centre, centre.copy(), len(own))
        if not self._baselines:
            self._baselines[self._contexts[-1]] = Baseline(middle, middle.copy(), len(rows))
        steps = np.abs(np.diff(residuals, axis=0))
        quantum = np.where(steps > 0, steps, np.inf).min(axis=0)
        quantum[~np.isfinite(quantum)] = 0.0
        deviation = residuals.std(axis=0)
        floor = np.maximum(self._floor, 0.3 * np.minimum(quantum, 3 * deviation))
        floor = np.maximum(floor, self.least)
        floor = np.maximum(floor, RELATIVE * np.abs(middle) * ~self._logarithmic + 1e-9)
        self._reach = None
        self._single = np.maximum(MAD * np.median(np.abs(residuals), axis=0), 0.7 * deviation)
        self._floor = floor
        means = [self._averages(residuals, scale) for scale in settings.scales]
        statistics = np.zeros(len(rows) - self._widest + 1)
        for k, scale in enumerate(settings.scales):
            spread = np.maximum(np.sqrt((means[k] ** 2).mean(axis=0)), self._single / scale**0.5)
            systematic = settings.systematic * self._single if scale > 1 else 0.0
            self._least[k] = np.sqrt(systematic**2 + floor**2)
            self._spread[k] = np.hypot(spread, self._least[k])
            z = self._unseen(means[k][self._widest - scale :], self._least[k])
            statistics = np.maximum(statistics, np.abs(np.where(z < 0, z * self._downward, z)).max(axis=1))
        self.tail.fit(statistics, len(rows))

    @staticmethod
    def _unseen(means: Float, least: Float) -> Float:
        """z (n, features), each half by the spread of the other: as it is of rows that were not learned."""
        halves = np.array_split(means, 2)
        return np.concatenate(
            [own / np.hypot(np.sqrt((other**2).mean(axis=0)), least) for own, other in (halves, halves[::-1])]
        )

    def _averages(self, rows: Float, scale: int) -> Float:
        windows = np.lib.stride_tricks.sliding_window_view(rows, scale, axis=0)
        return np.asarray((np.median if self.settings.median else np.mean)(windows, axis=-1))

    def _teach(
        self, row: Float, z: Float, worst: Float, baseline: Baseline, statistic: float, ordinary: bool
    ) -> None:
        """What changes slowly changes for all contexts: the centres move together.

        While a centre strains at its leash, spreads and tail learn nothing, or a slow change would pass for noise.
        """
        settings = self.settings
        baseline.rows += 1
        self._rows += 1
        reach = self._follow(row, baseline, self._trust(worst))
        if (np.abs(baseline.centre - baseline.anchor) > 0.95 * reach).any():
            return
        if ordinary:
            if len(self._quarantined) == self._quarantined.maxlen:
                self.tail.add(self._quarantined[0], CAP * float(self.tail.level(settings.budget)))
            self._quarantined.append(statistic)
        if self._filled == self._widest:
            pace = min(SLOWER * self._rows, 20 * settings.memory)
            variance = self._spread**2 * (1 + (np.minimum(z * z, 4.0) / CLIPPED - 1) / pace)
            self._spread = np.maximum(np.sqrt(variance), self._least)

    @staticmethod
    def _trust(worst: Float) -> Float:
        return np.asarray(1 / (1 + (worst / DOUBTED) ** 4), dtype=np.float64)

    def _follow(self, row: Float, baseline: Baseline, trust: Float) -> Float:
        """Moves the centres towards a row. Returns how far from its anchor a centre may be."""
        settings = self.settings
        limit = 4 * self._spread[0]
        step = _limited(row - baseline.centre, -limit, limit) * trust / min(baseline.rows, settings.memory)
        if self._reach is None:
            self._reach = np.asarray(settings.leash * np.maximum(self._single, self._floor), dtype=np.float64)
        reach = self._reach
        for each in self._baselines.values():
            each.centre = _limited(each.centre + step, each.anchor - reach, each.anchor + reach)
            each.anchor = each.anchor + (each.centre - each.anchor) / (ANCHORED * settings.memory)
        return reach

    def _causes(self, z: Float, spread: Float, most: int = 6) -> tuple[Cause, ...]:
        sizes = np.abs(z)
        strongest = sizes.argmax(axis=0)
        order = np.argsort(-sizes.max(axis=0), kind="stable")[:most]
        out = []
        for i in order.tolist():
            f, scale = self.features[i], int(strongest[i])
            best = float(z[scale, i])
            change = best * float(spread[scale, i])
            if change < 0:
                change /= float(self._downward[i])
            ratio = float(np.exp(min(max(change, -20.0), 20.0))) if f.logarithmic else 1.0
            out.append(Cause(f, ratio, best, change))
        return tuple(out)

    def state(self) -> dict[str, NDArray[np.generic]]:
        baselines = list(self._baselines.values())
        n = len(self.features)
        learning = self._rows if self._rows < self.settings.learn else 0
        own: dict[str, NDArray[np.generic]] = {
            "rows": np.array([self._rows, self._filled, self._at]),
            "features": np.array([f"{f.channel}/{f.name}" for f in self.features]),
            "settings": np.array([text(self.settings)]),
            "learned": self._learned[:learning].copy(),
            "origin": self._origin[:learning].copy(),
            "contexts": np.array(self._contexts, dtype=np.str_),
            "baselines": np.array(list(self._baselines), dtype=np.str_),
            "baseline_rows": np.array([b.rows for b in baselines], dtype=np.int64),
            "centre": np.array([b.centre for b in baselines]).reshape(-1, n),
            "anchor": np.array([b.anchor for b in baselines]).reshape(-1, n),
            "single": self._single.copy(),
            "floor": self._floor.copy(),
            "spread": self._spread.copy(),
            "least": self._least.copy(),
            "history": self._history.copy(),
            "quarantined": np.array(self._quarantined, dtype=np.float64),
            "pending": np.array([self._pending[0]]),
            "pending_rows": np.array(self._pending[1]).reshape(-1, n),
        }
        return own | {f"tail.{k}": v for k, v in self.tail.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False, and nothing changed, where the state is that of other features or settings."""
        mine = self.state()
        needed = {k for k in mine if not k.startswith("tail.")}
        if not needed <= set(state) or not np.array_equal(state["features"], mine["features"]):
            return False
        if not same(str(state["settings"][0]), self.settings):
            return False
        self._rows, self._filled, self._at = (int(n) for n in state["rows"])
        self._origin[: len(state["origin"])] = state["origin"]
        self._learned[: len(state["learned"])] = state["learned"]
        self._contexts = [str(c) for c in state["contexts"]]
        self._reach = None
        for name in ("single", "floor", "spread", "least", "history"):
            setattr(self, f"_{name}", np.array(state[name], dtype=np.float64))
        self._baselines = {
            str(name): Baseline(
                np.array(state["centre"][i]), np.array(state["anchor"][i]), int(state["baseline_rows"][i])
            )
            for i, name in enumerate(state["baselines"])
        }
        self._pending = (str(state["pending"][0]), list(np.array(state["pending_rows"], dtype=np.float64)))
        self._quarantined.clear()
        self._quarantined.extend(float(v) for v in state["quarantined"])
        tail = {k.removeprefix("tail."): v for k, v in state.items() if k.startswith("tail.")}
        if "numbers" in tail:
            self.tail.fit(np.array(tail["recent"][: int(tail["numbers"][0])], dtype=np.float64), self._rows)
        else:
            self.tail.restore(tail)
        return True


def _limited(values: Float, low: Float, high: Float) -> Float:
    return np.asarray(np.minimum(np.maximum(values, low), high))
