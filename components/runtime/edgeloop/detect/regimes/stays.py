"""Where a machine stays: windows of rows that are alike, between jumps.

A stay has a level and two spreads, of rows within a window and of windows. A window far from the stay waits; where it
was a blip the stay goes on, where the windows after it are alike another stay has begun. A level that wanders jumps
nowhere: each window is held against the ones before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

WINDOW, SPAN = 5, 8
"""Rows of a window; windows that are looked at together."""
ALIKE = 3
"""Windows in succession that are alike, from which a stay begins."""
FAR = 8.0
"""Spreads of a stay's windows that a jump is at least."""
NOISY = 9.0
"""Times the usual variance within a window that one counts for at most."""
YOUNG = 2.0
"""Windows that halve the confidence in its spreads."""
CLIPPED = 3.0
"""Spreads that a window counts for at most: one that straddles a change says nothing of a stay."""
AGE = 24.0
"""Windows after which a stay has followed a change by 63 %."""
ABRUPT = 12
"""Windows that a jump takes at most; what takes longer is a slow change, and the same stay."""
RELATIVE = 1e-4
TINY = 1e-9
LARGEST = 1e100


class Stay:
    """n: windows; level (channels,); within, between: variances of rows in a window, of windows; first: whether it is
    there from the beginning; jumped (channels,): which ones did where it began."""

    def __init__(self, means: Float, variances: Float, jumped: NDArray[np.bool_] | None = None) -> None:
        self.n = len(means)
        self.level = np.median(means, axis=0)
        self.within = np.median(variances, axis=0)
        self.between = np.zeros_like(self.level)
        self.first = jumped is None
        self.jumped = np.zeros(len(self.level), dtype=np.bool_) if jumped is None else jumped
        self.told = 0

    def add(self, mean: Float, variance: Float) -> None:
        most = CLIPPED * self.spread
        self.n += 1
        age = min(float(self.n), AGE)
        away = np.minimum(np.maximum(mean - self.level, -most), most)
        self.level = self.level + away / age
        self.between = self.between + (away * away - self.between) / age
        self.within = self.within + (np.minimum(variance, NOISY * self.within + TINY) - self.within) / age

    def extend(self, means: Float, variances: Float) -> bool:
        """Windows (n, channels) in succession, where all are alike; else nothing."""
        spread = self.spread
        away = means - self.level
        if float((np.abs(away) - FAR * spread).max()) > 0:
            return False
        n, most = len(means), CLIPPED * spread
        self.n += n
        share = min(1.0, n / min(float(self.n), AGE + n))
        away = np.minimum(np.maximum(away, -most), most)
        mean = away.mean(axis=0)
        self.level = self.level + share * mean
        self.between = self.between + share * ((away * away).mean(axis=0) - self.between)
        variances = np.minimum(variances, NOISY * self.within + TINY)
        self.within = self.within + share * (variances.mean(axis=0) - self.within)
        return True

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
    >>> begun = [list(stays.update(rng.normal(level, 1, (40, 1)))) for level in (0, 0, 40, 0)]
    >>> [len(each) for each in begun]
    [1, 0, 1, 1]
    """

    def __init__(self, channels: int) -> None:
        self._rows = np.zeros((WINDOW * SPAN, channels))
        self._filled = 0
        self.current: Stay | None = None
        self._pending: list[tuple[Float, Float]] = []

    @property
    def left(self) -> int:
        """Rows until windows are looked at."""
        return WINDOW * SPAN - self._filled

    def update(self, rows: Float) -> Iterator[tuple[Stay | None, Stay]]:
        """Rows (n, channels), no more than are `left`, NaN where missing. The changes in them: the stay that ended, the
        one that has begun."""
        self._rows[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)
        if self._filled < len(self._rows):
            return
        self._filled = 0
        windows = self._rows.reshape(SPAN, WINDOW, -1)
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(self._rows.sum())
        if math.isfinite(total) and abs(total) < LARGEST:
            means = np.add.reduce(windows, axis=1) / WINDOW
            away = windows - means[:, None]
            variances = np.einsum("wij,wij->wj", away, away) / (WINDOW - 1)
        else:
            means, variances = self._known(windows)
        if not self._pending and self.current is not None and self.current.extend(means, variances):
            return
        for mean, variance in zip(means, variances, strict=True):
            before = self.current
            if self._window(mean, variance):
                assert self.current is not None
                yield before, self.current

    def interrupt(self) -> None:
        """What follows does not continue."""
        self._filled = 0
        self._pending.clear()

    def _window(self, mean: Float, variance: Float) -> bool:
        stay = self.current
        if stay is not None and float((np.abs(mean - stay.level) - FAR * stay.spread).max()) <= 0:
            stay.add(mean, variance)
            self._pending.clear()
            return False
        self._pending.append((mean, variance))
        return self._begin(stay)

    def _known(self, windows: Float) -> tuple[Float, Float]:
        """Means and variances where values are missing: as they were, where nothing is known."""
        known = np.isfinite(windows) & (np.abs(windows) < LARGEST)
        n = known.sum(axis=1)
        values = np.where(known, windows, 0.0)
        means = values.sum(axis=1) / np.maximum(n, 1)
        away = np.where(known, values - means[:, None], 0.0)
        variances = (away * away).sum(axis=1) / np.maximum(n - 1, 1)
        if self.current is not None:
            means = np.where(n > 0, means, self.current.level)
            variances = np.where(n > 1, variances, self.current.within)
        return means, variances

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
        ordered = np.sort(means, axis=0)
        range_ = ordered[-1] - ordered[0]
        noise = np.sqrt(np.median(variances, axis=0) / WINDOW) + RELATIVE * np.abs(means[-1]) + TINY
        way = np.abs(ordered[ALIKE // 2] - stay.level)
        settled = (range_ <= 6.0 * noise) | (range_ <= 0.1 * way) | (range_ <= FAR * stay.spread)
        late = len(self._pending) > ABRUPT
        if not settled.all() and not late:
            return False
        self._pending.clear()
        if late:
            stay.level, stay.n = ordered[ALIKE // 2], ALIKE
            stay.within, stay.between = np.median(variances, axis=0), np.maximum(stay.between, range_**2 / 4)
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
