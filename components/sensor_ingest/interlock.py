"""What must hold before a machine is touched: the newest values of streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from edgeloop.clock import NS
from edgeloop.join import Condition
from edgeloop.join.asof import Value, column
from edgeloop.wire.batch import Batch, Item, RecordBatch
from sensor_ingest.sources.base import Target


class Interlocks:
    """Values by arrival: clocks of sources differ. `see` and `refusal` may be called from different threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._columns: dict[str, tuple[str, ...]] = {}
        self._values: dict[tuple[str, str], tuple[Value, float]] = {}

    def watch(self, targets: Iterable[Target]) -> None:
        """From now on the values that these need; others are forgotten."""
        wanted: dict[str, set[str]] = {}
        for target in targets:
            for condition in target.conditions:
                wanted.setdefault(condition.stream, set()).add(condition.column)
        self._values = {key: v for key, v in self._values.items() if key[1] in wanted.get(key[0], ())}
        self._columns = {stream: tuple(columns) for stream, columns in wanted.items()}

    def see(self, item: Item) -> None:
        """Takes the last value of each column that is watched."""
        columns = self._columns.get(item.stream)
        if not columns or not isinstance(item, (Batch, RecordBatch)) or not len(item):
            return
        last = _last(item)
        for name in columns:
            if values := column(last, name):
                self._values[item.stream, name] = values[-1][1], self._now()

    def refusal(self, target: Target) -> str:
        """Why the target must not be written now; empty where it may."""
        return next(filter(None, (self._refusal(c, target.fresh) for c in target.conditions)), "")

    def _refusal(self, condition: Condition, fresh: int) -> str:
        name = f"{condition.stream}.{condition.column}"
        known = self._values.get((condition.stream, condition.column))
        if known is None:
            return f"its interlock does not hold: {name} is not known"
        value, seen = known
        age = self._now() - seen
        if fresh and age * NS > fresh:
            return f"its interlock does not hold: {name} was last seen {age:.1f} s ago"
        if not condition.holds(value):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            return f"its interlock does not hold: {name} is {shown[:64]}"
        return ""


def _last(item: Batch | RecordBatch) -> Batch | RecordBatch:
    """The last row alone."""
    times = None if item.times is None else item.times[-1:]
    if isinstance(item, Batch):
        return replace(item, samples=item.samples[-1:], times=times)
    columns = {name: replace(c, values=c.values[-1:]) for name, c in item.columns.items()}
    return replace(item, times=item.times[-1:], columns=columns)
