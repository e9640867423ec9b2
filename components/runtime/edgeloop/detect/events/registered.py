"""Single points that should not be, of rows of values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.events.contexts import EventContexts
from edgeloop.detect.events.settings import EventSettings
from edgeloop.detect.learning import learning_rows
from edgeloop.detect.protocol import Context, DetectorType, Float, Rows, Scores, Setup, State, Words

WARM = 16, 86_400.0
"""An event is rare only for who has watched for this share of the budget's time, or so many seconds if that is less."""
SPARED, AHEAD, RAISED = 3.0, 3.0, 0.2
"""Events are harder to tell, by so many decades for each, once more alarms than SPARED are beyond the budget; who has
watched for less than 1 / AHEAD of it is spared as much less."""
FAST, FAST_SPARED, FAST_RAISED = 10.0, 1.0, 0.6
"""s between rows below which fewer are spared, since they are many; the next is as much harder as of a condition."""


class Events:
    """See EventDetector, which has an example; each context has its own idea of what is rare."""

    def __init__(self, setup: Setup) -> None:
        settings = EventSettings(step=setup.step, budget=setup.budget)
        watched = min(settings.rows / WARM[0], WARM[1] / setup.step)
        settings = replace(settings, warm=max(settings.warm, math.ceil(watched)))
        self._contexts, self._columns = EventContexts(len(setup.columns), settings), setup.columns
        self._learn, self._seen = learning_rows(setup.learn, setup.step), 0
        self._spared, self._raised = (FAST_SPARED, FAST_RAISED) if setup.step < FAST else (SPARED, RAISED)
        self._rows: Float = np.zeros((0, len(setup.columns)))
        self._channel = np.zeros(0, dtype=np.intp)

    @property
    def learned(self) -> float:
        return min(1.0, self._seen / self._learn)

    def update(self, rows: Rows, context: Context) -> Scores:
        n = len(rows)
        found = self._contexts.update(
            rows.values, context.name,
            max(0.0, context.overdraft - self._spared * min(1.0, AHEAD * context.watched)) * self._raised,
        )  # fmt: skip
        learning = self._seen + np.arange(n) < self._learn
        self._seen = min(self._seen + n, self._learn)
        self._rows, self._channel = rows.values, found.channel
        none = np.zeros((3, n), dtype=np.bool_)
        return Scores(found.return_time, found.alert, none[0], learning, found.channel, none[1], none[2])

    def words(self, at: int) -> Words:
        which = int(self._channel[at])
        name, value = self._columns[which], float(self._rows[at, which])
        parts = (Contribution(channel=name, band="value", ratio=1.0, z=0.0),)
        return f"{name} unusual for a moment: {value:.4g}", parts

    def interrupt(self) -> None:
        self._contexts.interrupt()

    def calm(self) -> None:
        """A point is over by itself."""

    def accept(self) -> None:
        """A point does not last."""

    def relearn(self) -> None:
        self._contexts.relearn()
        self._seen = 0

    def state(self) -> State:
        return {"seen": np.array([self._seen])} | self._contexts.state()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        if not self._contexts.restore(state):
            return False
        self._seen = int(state["seen"][0])
        return True


EVENTS = DetectorType(
    "events", "event", Events, schema=2, reads=(2,),
    cost="0.18 µs a value at 20 channels, 60 µs a row that comes alone (one core of 2.5 GHz)",
    source="own: counts of how often a channel has been near a value, and near it in the same context",
)  # fmt: skip
