"""As-of join: for a time, the last value at or before it, no older than a tolerance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.wire.batch import Batch, RecordBatch, row_times

Value = bool | int | float | str


class AsOf:
    """The recent past of one stream's numbers, (time, columns), bounded.

    >>> past = AsOf(columns=1)
    >>> past.add(np.array([10, 20, 30]), np.array([[1.0], [2.0], [3.0]]))
    >>> past.at(np.array([5, 20, 29, 99]), tolerance=50).ravel()
    array([nan,  2.,  2., nan])
    """

    def __init__(self, columns: int, keep: int = 4096) -> None:
        self._times = np.empty(0, dtype=np.int64)
        self._values = np.empty((0, columns))
        self._keep = keep

    def add(self, times: NDArray[np.int64], values: NDArray[np.floating]) -> None:
        """Rows in order of time; a clock that steps back forgets what it contradicts."""
        if not len(times):
            return
        if len(self._times) and times[0] <= self._times[-1]:
            cut = int(np.searchsorted(self._times, times[0], side="left"))
            self._times, self._values = self._times[:cut], self._values[:cut]
        self._times = np.concatenate([self._times, times])[-self._keep :]
        self._values = np.concatenate([self._values, values])[-self._keep :]

    def at(self, times: NDArray[np.int64], tolerance: int) -> NDArray[np.float64]:
        """(n, columns); NaN where nothing is recent enough. Tolerance in ns."""
        if not len(self._times):
            return np.full((len(times), self._values.shape[1]), np.nan)
        where = np.searchsorted(self._times, times, side="right") - 1
        found = np.maximum(where, 0)
        out = self._values[found].astype(np.float64)
        out[(where < 0) | (times - self._times[found] > tolerance)] = np.nan
        return out

    @property
    def newest(self) -> int | None:
        return int(self._times[-1]) if len(self._times) else None

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"times": self._times.copy(), "values": self._values.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._times = np.array(state["times"], dtype=np.int64)
        self._values = np.array(state["values"])


class Latest:
    """The recent values of one column of any type, with the times at which they changed."""

    def __init__(self, keep: int = 256) -> None:
        self._changes: list[tuple[int, Value]] = []
        self._keep = keep
        self.newest: int | None = None

    def add(self, time: int, value: Value) -> None:
        while self._changes and self._changes[-1][0] > time:
            self._changes.pop()
        if not self._changes or self._changes[-1][1] != value:
            self._changes.append((time, value))
            del self._changes[: -self._keep]
        self.newest = time

    def extend(self, times: NDArray[np.int64], values: Sequence[Value]) -> None:
        """`add`, of as many.

        >>> latest = Latest()
        >>> latest.extend(np.array([1, 2, 3, 4]), [7.0, 7.0, 8.0, 8.0])
        >>> latest.state(), latest.newest
        ([(1, 7.0), (3, 8.0)], 4)
        """
        if not len(values):
            return
        if len(values) > 1 and (times[1:] >= times[:-1]).all():
            found = np.asarray(values)
            kept = np.flatnonzero(found[1:] != found[:-1]) + 1
            self.add(int(times[0]), values[0])
            for at in kept.tolist():
                self.add(int(times[at]), values[at])
            self.newest = int(times[-1])
            return
        for time, value in zip(times.tolist(), values, strict=True):
            self.add(time, value)

    def state(self) -> list[tuple[int, Value]]:
        """The changes; what `restore` takes."""
        return list(self._changes)

    def restore(self, changes: Iterable[tuple[int, Value | None]], newest: int | None) -> None:
        self._changes = [(int(time), float("nan") if value is None else value) for time, value in changes]
        self.newest = newest

    def at(self, time: int, tolerance: int | None = None) -> Value | None:
        """The value as of a time, None before the first or when the last word is older than the tolerance (ns)."""
        if tolerance is not None and (self.newest is None or time - self.newest > tolerance):
            return None
        for changed, value in reversed(self._changes):
            if changed <= time:
                return value
        return None

    def since(self, time: int) -> int | None:
        """When the value as of a time began."""
        return next((changed for changed, _ in reversed(self._changes) if changed <= time), None)


def column(item: Batch | RecordBatch, name: str) -> list[tuple[int, Value]] | None:
    """(time, value) of each row of a column or channel; None where the item has none of that name."""
    found = columns(item, name)
    return None if found is None else list(zip(found[0].tolist(), found[1], strict=True))


def columns(item: Batch | RecordBatch, name: str) -> tuple[NDArray[np.int64], list[Value]] | None:
    """Times (n,) and values of a column or channel; None where the item has none of that name."""
    if isinstance(item, RecordBatch):
        found = item.columns.get(name)
        if found is None:
            return None
        values: list[Value]
        if found.type == "bool":
            values = [bool(v) for v in _listed(found.values)]
        elif found.type == "enum":
            values = [found.labels[v] if 0 <= v < len(found.labels) else v for v in map(int, _listed(found.values))]
        elif found.type == "string":
            values = [str(v) for v in found.values]
        else:
            values = _listed(found.values)
        return item.times, values
    at = next((i for i, channel in enumerate(item.channels) if channel.name == name), None)
    if at is None:
        return None
    return row_times(item), item.values_of(at).astype(np.float64).tolist()


def _listed(values: Sequence[Any] | NDArray[np.generic]) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
