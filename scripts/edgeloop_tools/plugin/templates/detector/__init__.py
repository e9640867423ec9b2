"""Two sensors of one thing that part: their difference, against how it was while it was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.protocol import Context, DetectorType, Rows, Scores, Setup, State, Words
from edgeloop.detect.trigger import Trigger
from edgeloop.errors import EdgeloopError


class ExampleDetector:
    """Of the first two channels; a return time as if the difference were normally distributed."""

    def __init__(self, setup: Setup) -> None:
        if len(setup.channels) < 2:
            raise EdgeloopError("too few channels", where="example_name", why="two are compared", mend="name two")
        self._pair, self._step = setup.channels[:2], setup.step
        self._learn = max(30, round(setup.learn / setup.step))
        self._trigger = Trigger(setup.budget, confirm=3, recover=3)
        self._last = np.zeros(0)
        self.relearn()

    @property
    def learned(self) -> float:
        return min(1.0, self._n / self._learn)

    def update(self, rows: Rows, context: Context) -> Scores:
        found = Scores.none(len(rows))
        self._last = rows.values[:, 0] - rows.values[:, 1]
        for i, difference in enumerate(self._last.tolist()):
            if self._n < self._learn:
                found.learning[i] = True
                if math.isfinite(difference):
                    self._n += 1
                    step = difference - self._mean
                    self._mean += step / self._n
                    self._squares += step * (difference - self._mean)
            elif math.isfinite(difference):
                found.return_time[i] = min(12.0, math.log10(self._step) + self._z(difference) ** 2 / math.log(100))
                before = self._trigger.active
                found.alert[i] = self._trigger.update(found.return_time[i], context.demand)
                found.changepoint[i] = found.alert[i] != before
            else:
                found.alert[i] = self._trigger.active
        return found

    def _z(self, difference: float) -> float:
        spread = math.sqrt(self._squares / max(1, self._n - 1))
        return (difference - self._mean) / max(spread, 1e-9)

    def words(self, at: int) -> Words:
        one, other = self._pair
        by, z = float(self._last[at]) - self._mean, self._z(float(self._last[at]))
        text = f"{one} {abs(by):.3g} {'above' if by > 0 else 'below'} where it is beside {other}"
        return text, (Contribution(channel=one, band="value", ratio=1.0, z=round(z, 1)),)

    def interrupt(self) -> None:
        """A difference has no past."""

    def calm(self) -> None:
        self._trigger.reset()

    def accept(self) -> None:
        """There is one normal only."""

    def relearn(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0
        self._trigger.reset()

    def state(self) -> State:
        return {"own": np.array([self._n, self._mean, self._squares, self._trigger.active, self._trigger.count])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        n, self._mean, self._squares, active, count = (float(number) for number in state["own"])
        self._n, self._trigger.active, self._trigger.count = int(n), bool(active), int(count)
        return True


DETECTOR = DetectorType(
    "example_name", "condition", ExampleDetector, schema=1, cost="2 µs a row", source="own",
)  # fmt: skip
