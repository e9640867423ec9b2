"""The states of a machine, found by themselves, and rows as they would be in the one that it is mostly in.

A stay (`stays`) that is like none before it is a state that is not known yet; seen KNOWN times it is one. Rows of a
known state are moved and scaled, in the channels that jump, to the state that was learned most: detectors see one
machine that runs, whatever it does. Rows on the way between two states, and the first ones of a stay, are left out; a
way that takes longer than any before is not. What is in no known state is what it was before: abnormal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.levels.words import number
from edgeloop.detect.regimes.lasting import Lasting
from edgeloop.detect.regimes.regime import Regime, named
from edgeloop.detect.regimes.stays import SPAN, WINDOW, Stay, Stays

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

KNOWN, LEARNED, SHARE = 3, 2, 0.2
"""Stays from which on a state is known; while the machine is learned; share of what was learned that is one anyway."""
MOST = 12
"""States."""
NEAR, FIT = 4.0, 5.0
"""Deviations within which a stay is one of a state; within which a row is."""
SPARED = 0.2
"""Share of the channels that may be further off: what is wrong with few of them is for the detectors to say."""
APART = 3.0
"""Deviations of the noisier one by which a state differs from the usual one."""
CONFIRM = 2
"""Rows that are in another state until the machine is."""
SETTLE = 5
"""Rows of a stay that are left out."""
WAY, LONGEST_WAY = 10, 100
"""Rows that a way between two states takes at least, and at most, before it is abnormal itself."""
TWICE = 2.0
DISCRETE = 12
FINEST = 0.005
"""Share of what lies between a channel's states that its deviation in one is at least."""
PART = 16
"""Windows of a stay after which its state hears of them."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Of n rows: rows (n, channels) as in the most usual state, NaN where left out; which (n,): the state; age (n,):
    rows that it has lasted; lasting (n,): how rarely it lasts so long, log10 rows, 0 where that is nothing unusual."""

    rows: Float
    which: NDArray[np.intp]
    age: NDArray[np.int64]
    lasting: Float


class Regimes:
    """Rows are counted from the first: how they are handed over changes nothing.

    >>> rng = np.random.default_rng(1)
    >>> levels = np.repeat([60.0, 1.0] * 6, 50)
    >>> rows = np.stack([rng.normal(levels, np.where(levels > 9, 3, 0.2)), rng.normal(20, 1, 600)], axis=1)
    >>> regimes = Regimes(("speed", "oil"))
    >>> seen = regimes.learn(rows)
    >>> regimes.names
    ('speed about 60', 'stopped (speed about 1)')
    >>> bool(np.nanmin(seen.rows[:, 0]) > 40)
    True
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self.relearn()

    def relearn(self) -> None:
        """Forget."""
        n = len(self._channels)
        self._stays = Stays(n)
        self._continuous = np.ones(n, dtype=np.bool_)
        self.all: list[Regime] = []
        self._of_stay = self._reference = self.now = 0
        self._jumps, self._total = np.zeros(n), 0
        self.watched = 0
        self._age = self._out = self._settle = self._candidate = self._count = 0
        self._way = WAY
        self.teach = True
        self._learning = False
        self._refresh()

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self._known) > 1

    @property
    def usual(self) -> int:
        """The state that the machine is mostly in."""
        return self._reference

    @property
    def names(self) -> tuple[str, ...]:
        """Of the known ones, the most usual first."""
        if not self.several:
            return ()
        order = sorted(self._known, key=lambda k: (k != self._reference, -self.all[k].windows))
        return tuple(self.name(k) for k in order)

    @property
    def visits(self) -> list[tuple[str, int]]:
        """Names of all that were found, and how often they were there."""
        found = [k for k in range(len(self.all)) if self._apart(k)]
        return [(self.name(k), self.all[k].stays) for k in found] if len(found) > 1 else []

    def name(self, k: int) -> str:
        """In words."""
        other = self.all[self._reference]
        if k == self._reference:
            others = [self.all[j] for j in self._known if j != k]
            away = max(others, key=lambda r: r.windows, default=other)
            first = int((self._moving * np.abs(away.level - other.level) / other.deviation).argmax())
            return f"{self._channels[first]} about {number(float(other.level[first]))}"
        return named(self.all[k], other, self._channels, self._moving)

    def learn(self, rows: Float, least: int = LEARNED) -> Passage:
        """The learning window (n, channels): whatever was there so many times is normal."""
        self.relearn()
        self._learning = True
        self._continuous = np.array([_many(column) for column in rows.T], dtype=np.bool_)
        for at in range(0, len(rows), WINDOW * SPAN):
            self._discover(rows[at : at + WINDOW * SPAN])
        if self._stays.current is not None:
            self._tell(self._stays.current)
        self._learning = False
        self.watched = 0
        whole = sum(regime.windows for regime in self.all)
        for regime in self.all:
            regime.known = regime.stays >= least or regime.windows >= SHARE * whole
        if self.all:
            self._reference = self.now = max(range(len(self.all)), key=lambda k: self.all[k].windows)
            self.all[self._reference].known = True
        self._refresh()
        size = WINDOW * SPAN
        return _joined([self._pass(rows[at : at + size]) for at in range(0, len(rows), size)], rows.shape[1])

    def update(self, rows: Float) -> Passage:
        """Rows (n, channels) after those learned."""
        parts, at = [], 0
        while at < len(rows):
            n = min(len(rows) - at, self._stays.left)
            part = rows[at : at + n]
            parts.append(self._pass(part))
            self._discover(part)
            at += n
        return _joined(parts, rows.shape[1])

    def interrupt(self) -> None:
        """The rows that follow do not continue those before."""
        self._stays.interrupt()
        self._out = self._count = 0
        self._age = 0

    def refuse(self) -> None:
        """An operator has confirmed an alarm: what the machine does now is no state of it, however often it comes."""
        if self.all and self._of_stay != self._reference:
            regime = self.all[self._of_stay]
            regime.refused, regime.known = True, False
            self._refresh()

    def lasting(self, k: int) -> Lasting:
        """How long stays in a state last."""
        found = self._lasting.get(k)
        if found is None:
            found = self._lasting[k] = self.all[k].lasting(self.watched)
        return found

    # -- where the machine is ------------------------------------------------------------------------------------------

    def _pass(self, rows: Float) -> Passage:
        n = len(rows)
        self.watched += n
        if not self.several:
            self.now = self._reference
            return self._same(rows, n)
        if self.now not in self._centre:
            self.now = self._reference
        moving, here = rows[:, self._moving], self.now
        if not self._out and not self._settle and not self._far(moving, here).any():
            return self._same(self._moved(rows, here), n)
        found, which, ages, lasting = rows.copy(), np.empty(n, dtype=np.intp), np.empty(n, dtype=np.int64), np.zeros(n)
        for i in range(n):
            left_out = self._step(moving[i : i + 1])
            which[i], ages[i] = self.now, self._age
            lasting[i] = self.lasting(self.now).return_time(self._age)
            found[i] = np.nan if left_out else self._moved(rows[i : i + 1], self.now)[0]
        return Passage(found, which, ages, lasting)

    def _same(self, rows: Float, n: int) -> Passage:
        """The machine stays where it is."""
        first = self._age + 1
        self._age += n
        lasting = self.lasting(self.now).return_times(first, n) if self.several else np.zeros(n)
        return Passage(rows, np.full(n, self.now), np.arange(first, first + n), lasting)

    def _step(self, row: Float) -> bool:
        """One row's channels that move (1, channels). Whether it is left out."""
        self._age += 1
        if not self._far(row, self.now)[0]:
            self._out = self._count = 0
            self._settle = max(0, self._settle - 1)
            return self._settle > 0
        self._out += 1
        near = [k for k in self._known if k != self.now and not self._far(row, k)[0]]
        if near:
            best = min(near, key=lambda k: float(self._distance(row, k)[0]))
            self._count = self._count + 1 if best == self._candidate else 1
            self._candidate = best
            if self._count >= CONFIRM:
                self._enter(best)
                return True
        else:
            self._count = 0
        return self._out <= self._way

    def _enter(self, k: int) -> None:
        self.all[self.now].durations.append(float(max(1, self._age - self._out)))
        self._lasting.pop(self.now, None)
        if self._out <= LONGEST_WAY:
            self._way = max(self._way, min(LONGEST_WAY, round(TWICE * self._out)))
        self.now, self._age = k, self._count
        self._out = self._count = 0
        self._settle = SETTLE

    def _z(self, moving: Float, k: int) -> Float:
        z = np.abs(moving - self._centre[k]) * self._scale[k]
        return np.asarray(np.nan_to_num(z, nan=0.0)) if np.isnan(z.sum()) else z

    def _far(self, moving: Float, k: int) -> Bool:
        return np.asarray((self._z(moving, k) > FIT).sum(axis=1) > self._spared)

    def _distance(self, moving: Float, k: int) -> Float:
        z = np.minimum(self._z(moving, k), 2 * FIT)
        return np.asarray((z * z).mean(axis=1))

    def _moved(self, rows: Float, k: int) -> Float:
        if k == self._reference:
            return rows
        return np.asarray(rows * self._gain[k] + self._shift[k])

    # -- which ones there are ------------------------------------------------------------------------------------------

    def _discover(self, rows: Float) -> None:
        if not self._continuous.all():
            rows = np.where(self._continuous, rows, 0.0)
        for before, stay in self._stays.update(rows):
            if before is not None:
                self._tell(before)
            self._arrive(stay)
        current = self._stays.current
        if current is not None and current.n - current.told >= PART:
            self._tell(current)

    def _tell(self, stay: Stay) -> None:
        """A stay's state hears of its windows."""
        windows, stay.told = stay.n - stay.told, stay.n
        if windows and self.all and (self.teach or not self.all[self._of_stay].known):
            self.all[self._of_stay].absorb(stay, windows)
            self._refresh()

    def _arrive(self, stay: Stay) -> None:
        if not stay.first:
            self._jumps += stay.jumped
            self._total += 1
        k = self._like(stay)
        if k is None:
            k = self._add(stay)
        else:
            self.all[k].absorb(stay, stay.n)
        stay.told = stay.n
        self._of_stay = k
        regime = self.all[k]
        regime.stays += 1
        if not regime.known and not regime.refused and regime.stays >= (LEARNED if self._learning else KNOWN):
            regime.known = True
        self._refresh()

    def _like(self, stay: Stay) -> int | None:
        """The state that a stay is one of."""
        channels = stay.jumped | self._jumping() if not stay.first else self._jumping()
        if not channels.any():
            return 0 if self.all else None
        best, least = None, NEAR
        for k, regime in enumerate(self.all):
            spread = np.maximum(regime.deviation, stay.spread)[channels]
            z = np.sort(np.abs(stay.level - regime.level)[channels] / spread)
            far = float(z[max(0, len(z) - 1 - int(SPARED * len(z)))])
            if far <= least:
                best, least = k, far
        return best

    def _add(self, stay: Stay) -> int:
        regime = Regime(stay)
        regime.since = self.watched
        if len(self.all) >= MOST:
            spare = [k for k in range(len(self.all)) if k not in (self._reference, self.now)]
            k = min(spare, key=lambda k: (self.all[k].known, self.all[k].stays))
            self.all[k] = regime
            self._count = 0
            return k
        self.all.append(regime)
        return len(self.all) - 1

    def _jumping(self) -> Bool:
        return np.asarray(self._jumps >= max(1.0, 0.2 * float(self._jumps.max(initial=0.0))))

    def _refresh(self) -> None:
        """What rows are held against."""
        self._lasting: dict[int, Lasting] = {}
        self._moving = self._jumping()
        self._known = [k for k, regime in enumerate(self.all) if regime.known and self._apart(k)]
        self._centre: dict[int, Float] = {}
        self._scale: dict[int, Float] = {}
        self._gain: dict[int, Float] = {}
        self._shift: dict[int, Float] = {}
        if not self.several:
            return
        self._spared = int(SPARED * np.count_nonzero(self._moving))
        usual = self.all[self._reference]
        levels = np.array([self.all[k].level for k in self._known])
        least = FINEST * np.ptp(levels, axis=0)
        own = np.maximum(usual.deviation, least)
        for k in self._known:
            regime, deviation = self.all[k], np.maximum(self.all[k].deviation, least)
            self._centre[k] = regime.level[self._moving]
            self._scale[k] = 1.0 / deviation[self._moving]
            gain = np.where(self._moving, own / deviation, 1.0)
            self._gain[k] = gain
            self._shift[k] = np.where(self._moving, usual.level - regime.level * gain, 0.0)

    def _apart(self, k: int) -> bool:
        """Whether a state is one of its own, beside the usual one: what overlaps it is that one, at its noisier."""
        if k == self._reference:
            return True
        one, other = self.all[k], self.all[self._reference]
        away = np.abs(one.level - other.level) / np.maximum(one.deviation, other.deviation)
        return bool((away[self._moving] > APART).any())

    def state(self) -> dict[str, NDArray[np.generic]]:
        own: dict[str, NDArray[np.generic]] = {
            "counts": np.array([
                len(self.all), self._of_stay, self._reference, self.now, self._total, self.watched, self._age,
                self._out, self._settle, self._candidate, self._count, self._way, self.teach,
            ]),
            "jumps": self._jumps.copy(),
            "continuous": self._continuous.copy(),
        }  # fmt: skip
        own |= {f"stays.{k}": v for k, v in self._stays.state().items()}
        for i, regime in enumerate(self.all):
            own |= {f"{i}.{k}": v for k, v in regime.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Raises KeyError or ValueError where it is of another form."""
        self.relearn()
        (n, self._of_stay, self._reference, self.now, self._total, self.watched, self._age, self._out, self._settle,
         self._candidate, self._count, self._way, teach) = (int(v) for v in state["counts"])  # fmt: skip
        self.teach = bool(teach)
        self._jumps = np.array(state["jumps"], dtype=np.float64)
        self._continuous = np.array(state["continuous"], dtype=np.bool_)
        self._stays.restore({k[6:]: v for k, v in state.items() if k.startswith("stays.")})
        for i in range(n):
            begin = f"{i}."
            self.all.append(Regime.restored({k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)}))
        self._refresh()


def _many(values: Float) -> bool:
    """Whether a channel has more than DISCRETE values: a switch, a product's number have no deviation in a state."""
    known = values[np.isfinite(values)]
    return len(np.unique(known[:: max(1, len(known) // 4096)])) > DISCRETE


def _joined(parts: Sequence[Passage], channels: int) -> Passage:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        none = np.zeros(0)
        return Passage(np.zeros((0, channels)), none.astype(np.intp), none.astype(np.int64), none)
    return Passage(
        np.concatenate([p.rows for p in parts]), np.concatenate([p.which for p in parts]),
        np.concatenate([p.age for p in parts]), np.concatenate([p.lasting for p in parts]),
    )  # fmt: skip
