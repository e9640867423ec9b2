"""Where a machine stays: windows of rows that are alike, between jumps.

A stay has a level and two spreads, of rows within a window and of windows. A window far from the stay waits; where it
was a blip the stay goes on, where the windows after it are alike another stay has begun. A level that wanders jumps
nowhere: each window is held against the ones before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

WINDOW = 5
"""Rows."""
ALIKE = 3
"""Windows in succession that are alike, from which a stay begins."""
FAR = 8.0
"""Spreads of a stay's windows that a jump is at least."""
YOUNG = 6.0
"""Windows that halve the confidence in its spreads."""
AGE = 24.0
"""Windows after which a stay has followed a change by 63 %."""
ABRUPT = 12
"""Windows that a jump takes at most; what takes longer is a slow change, and the same stay."""
RELATIVE = 1e-4
TINY = 1e-9


class Stay:
    """n: windows; level (channels,); within, between: variances of rows in a window, of windows; first: whether it is
    there from the beginning; jumped (channels,): which ones did where it began."""

    def __init__(self, means: Float, variances: Float, jumped: NDArray[np.bool_] | None = None) -> None:
        self.n = len(means)
        self.level = np.asarray(means.mean(axis=0))
        self.within = np.asarray(variances.mean(axis=0))
        self.between = np.zeros_like(self.level)
        self.first = jumped is None
        self.jumped = np.zeros(len(self.level), dtype=np.bool_) if jumped is None else jumped
        self.told = 0

    def add(self, mean: Float, variance: Float) -> None:
        self.n += 1
        age = min(float(self.n), AGE)
        away = mean - self.level
        self.level = self.level + away / age
        self.between = self.between + (away * away - self.between) / age
        self.within = self.within + (variance - self.within) / age

    @property
    def spread(self) -> Float:
        """Of windows, at least."""
        least = RELATIVE * np.abs(self.level) + TINY
        widest = np.sqrt(np.maximum(self.within / WINDOW, self.between))
        return np.asarray(np.maximum(widest * (1.0 + YOUNG / (self.n + 1.0)), least))

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {
            "moments": np.array([self.level, self.within, self.between, self.jumped]),
            "counts": np.array([self.n, self.first, self.told]),
        }

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[np.generic]]) -> Stay:
        level, within, between, jumped = (np.array(row, dtype=np.float64) for row in state["moments"])
        stay = cls(level[None], within[None], jumped > 0)
        stay.between = between
        stay.n, first, stay.told = (int(n) for n in state["counts"])
        stay.first = bool(first)
        return stay


class Stays:
    """Finds them. Rows are counted from the first: how they are handed over changes nothing.

    >>> rng = np.random.default_rng(1)
    >>> stays = Stays(1)
    >>> begun = [stays.update(rng.normal(level, 1, (50, 1))) for level in (0, 0, 40, 0)]
    >>> [len(each) for each in begun]
    [1, 0, 1, 1]
    """

    def __init__(self, channels: int) -> None:
        self._rows = np.zeros((WINDOW, channels))
        self._filled = 0
        self.current: Stay | None = None
        self._pending: list[tuple[Float, Float]] = []

    def update(self, rows: Float) -> list[Stay]:
        """Rows (n, channels), NaN where missing. The stays that begin in them; `current` is the last."""
        begun: list[Stay] = []
        at = 0
        while at < len(rows):
            n = min(len(rows) - at, WINDOW - self._filled)
            self._rows[self._filled : self._filled + n] = rows[at : at + n]
            self._filled += n
            at += n
            if self._filled == WINDOW:
                self._filled = 0
                if self._window():
                    assert self.current is not None
                    begun.append(self.current)
        return begun

    @property
    def filled(self) -> int:
        """Rows of the window that is not whole yet."""
        return self._filled

    def interrupt(self) -> None:
        """What follows does not continue."""
        self._filled = 0
        self._pending.clear()

    def _window(self) -> bool:
        rows = self._rows
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(rows.sum())
        if math.isfinite(total):
            mean = rows.mean(axis=0)
            away = rows - mean
            variance = np.einsum("ij,ij->j", away, away) / (WINDOW - 1)
        else:
            mean, variance = self._known(rows)
        stay = self.current
        if stay is not None and float((np.abs(mean - stay.level) - FAR * stay.spread).max()) <= 0:
            stay.add(mean, variance)
            self._pending.clear()
            return False
        self._pending.append((mean, variance))
        return self._begin(stay)

    def _known(self, rows: Float) -> tuple[Float, Float]:
        """Means and variances of windows with missing values: as they were, where nothing is known."""
        known = np.isfinite(rows) & (np.abs(rows) < 1e100)
        n = known.sum(axis=0)
        values = np.where(known, rows, 0.0)
        mean = values.sum(axis=0) / np.maximum(n, 1)
        away = np.where(known, values - mean, 0.0)
        variance = (away * away).sum(axis=0) / np.maximum(n - 1, 1)
        if self.current is not None:
            mean = np.where(n > 0, mean, self.current.level)
            variance = np.where(n > 1, variance, self.current.within)
        return mean, variance

    def _begin(self, stay: Stay | None) -> bool:
        """Whether the windows that wait are a stay of their own."""
        if len(self._pending) < ALIKE:
            return False
        means = np.array([mean for mean, _ in self._pending[-ALIKE:]])
        variances = np.array([variance for _, variance in self._pending[-ALIKE:]])
        if stay is None:
            self._pending.clear()
            self.current = Stay(means, variances)
            return True
        range_ = np.ptp(means, axis=0)
        noise = np.sqrt(variances.mean(axis=0) / WINDOW) + RELATIVE * np.abs(means[-1]) + TINY
        way = np.abs(means.mean(axis=0) - stay.level)
        settled = (range_ <= 6.0 * noise) | (range_ <= 0.1 * way) | (range_ <= FAR * stay.spread)
        late = len(self._pending) > ABRUPT
        if not settled.all() and not late:
            return False
        self._pending.clear()
        if late:
            stay.level, stay.n = means.mean(axis=0), ALIKE
            stay.within, stay.between = variances.mean(axis=0), np.maximum(stay.between, range_**2 / 4)
            return False
        self.current = Stay(means, variances, way > FAR * stay.spread)
        return True

    def state(self) -> dict[str, NDArray[np.generic]]:
        channels = self._rows.shape[1]
        own: dict[str, NDArray[np.generic]] = {
            "rows": self._rows[: self._filled].copy(),
            "pending": np.array(self._pending).reshape(-1, 2, channels),
        }
        if self.current is not None:
            own |= {f"stay.{k}": v for k, v in self.current.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        rows = state["rows"]
        self._rows[: len(rows)], self._filled = rows, len(rows)
        self._pending = [(np.array(mean), np.array(variance)) for mean, variance in state["pending"]]
        if "stay.moments" in state:
            self.current = Stay.restored({k[5:]: v for k, v in state.items() if k.startswith("stay.")})
