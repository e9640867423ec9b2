"""What each channel usually is at a time of a period: medians over the last cycles, and whether that says more than the
hours before do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Times = NDArray[np.int64]

HELPS, HARMS = 0.6, 1.0
"""Of what the rows before leave, the share that a profile may leave to be used, and to be used any longer."""
WHOLE = 0.8
"""Share of a cycle that must have been seen, or it says nothing."""
FOLLOWED = 20.0
"""Parts over which the rows before are averaged, exponentially weighted: what a centre that follows knows."""
UPSET = 9.0
"""Times the median beyond which the square of an error counts no more: one bad night is no proof."""
QUIETEST = 0.35
"""Of the usual spread, what the spread of a part is at least."""


class Profile:
    """Of one period. A cycle is learned when it is over, so that scores do not depend on how rows are split.

    period: ns; parts: of a period; kept: cycles that are remembered. Memory: (kept + 1) × 2 × parts numbers a channel.

    >>> profile = Profile(1, period=100, parts=10, kept=3)
    >>> for cycle in range(4):
    ...     profile.add(np.arange(100) + 100 * cycle, np.where(np.arange(100) < 50, 100.0, 150.0)[:, None])
    ...     profile.close()
    >>> bool(profile.helps[0]), profile.at(np.array([425, 475]))[0].ravel().tolist()
    (True, [100.0, 150.0])
    """

    def __init__(self, channels: int, *, period: int, parts: int, kept: int) -> None:
        self.period, self._parts, self._width = period, parts, period // parts
        self._kept = np.full((kept, 2, parts, channels), np.nan)
        self._sums = np.zeros((3, parts, channels))
        self._follow = np.full(channels, np.nan)
        self._cycles = 0
        self.helps = np.zeros(channels, dtype=np.bool_)
        self.left = np.full(channels, np.inf)
        """Share of what the rows before leave that is left by the profile, of the last cycle."""
        self._derive()

    def _derive(self) -> None:
        n = min(self._cycles, len(self._kept))
        shape = self._kept.shape[2:]
        self._centre, self._spread = np.full((2, *shape), np.nan)
        if not n:
            return
        known = np.isfinite(self._kept[:n]).any(axis=0)
        filled = np.where(known, self._kept[:n], 0.0)
        middle = np.where(known, np.nanmedian(filled, axis=0), np.nan)
        usual = np.nanmedian(np.where(known[1].any(axis=0), middle[1], 0.0), axis=0)
        self._centre = _smooth(middle[0])
        self._spread = np.fmax(_smooth(middle[1]), np.maximum(QUIETEST * usual, 1e-9))

    def at(self, times: Times) -> tuple[Float, Float]:
        """Centre and spread at times (n,) ns, each (n, channels), NaN where nothing is known."""
        place = (times % self.period) / self._width - 0.5
        low = np.floor(place).astype(np.intp)
        share = (place - low)[:, None]
        a, b = low % self._parts, (low + 1) % self._parts
        return tuple(  # type: ignore[return-value]
            np.asarray(known[a] * (1 - share) + known[b] * share) for known in (self._centre, self._spread)
        )

    def add(self, times: Times, rows: Float) -> None:
        """Rows (n, channels) of one cycle, NaN where missing."""
        part = (times % self.period) // self._width
        known = np.isfinite(rows)
        values = np.where(known, rows, 0.0)
        for into, what in zip(self._sums, (known.astype(np.float64), values, values * values), strict=True):
            np.add.at(into, part, what)

    def close(self) -> None:
        """The cycle is over: how well it was foreseen, then what it teaches."""
        count, total, squares = self._sums.copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            spread = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
        self._sums[:] = 0.0
        spread[count < 2] = np.nan
        seen = np.isfinite(mean).mean(axis=0) >= WHOLE
        ahead = self._ahead(mean)
        judged = seen & (self._cycles >= 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            left = _size(mean - self._centre) / _size(mean - ahead)
        left = np.where(np.isfinite(left), left, np.inf)
        self.left = np.where(judged, left, self.left)
        self.helps = np.where(judged, (left < HELPS) | (self.helps & (left < HARMS)), self.helps)
        if not seen.any():
            return
        mean[:, ~seen] = np.nan
        spread[:, ~seen] = np.nan
        self._kept[self._cycles % len(self._kept)] = mean, spread
        self._cycles += 1
        self._derive()

    def _ahead(self, mean: Float) -> Float:
        """What the parts before foresee of each."""
        found = np.empty_like(mean)
        now = self._follow
        for i, row in enumerate(mean):
            found[i] = now
            known = np.isfinite(row)
            now = np.where(known, np.where(np.isfinite(now), now + (row - now) / FOLLOWED, row), now)
        self._follow = now
        return found

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {
            "kept": self._kept.astype(np.float32), "sums": self._sums.copy(), "follow": self._follow.copy(),
            "helps": self.helps.copy(), "left": self.left.copy(), "cycles": np.array([self._cycles]),
        }  # fmt: skip

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False, and nothing changed, where it is of other channels or parts."""
        if state["kept"].shape != self._kept.shape:
            return False
        self._kept, self._sums, self._follow, self.left = (
            np.array(state[name], dtype=np.float64) for name in ("kept", "sums", "follow", "left")
        )
        self.helps, self._cycles = np.array(state["helps"], dtype=np.bool_), int(state["cycles"][0])
        self._derive()
        return True


def _smooth(parts: Float) -> Float:
    """Each with a quarter of both neighbours, of those that are known."""
    total, weight = np.zeros_like(parts), np.zeros_like(parts)
    for shift, share in ((-1, 0.25), (0, 0.5), (1, 0.25)):
        moved = np.roll(parts, shift, axis=0)
        known = np.isfinite(moved)
        total += share * np.where(known, moved, 0.0)
        weight += share * known
    with np.errstate(invalid="ignore"):
        return np.asarray(total / weight)


def _size(errors: Float) -> Float:
    """Mean square of (parts, channels) by channel, of what is known, with what is far beyond the median cut."""
    squares = errors * errors
    known = np.isfinite(squares)
    most = UPSET * np.median(np.where(known, squares, 0.0), axis=0)
    cut = np.where(known, np.minimum(squares, np.maximum(most, 1e-300)), 0.0)
    return np.asarray(cut.sum(axis=0) / known.sum(axis=0))
