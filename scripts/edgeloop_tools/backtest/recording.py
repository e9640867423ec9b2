"""A table as a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop import tables
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options
from edgeloop.wire.batch import Batch, Channel

STREAM = "rows"
FIRST = 16
"""Rows of the first batch, which tells how far rows are apart; none of them is scored."""
ROWS, FEW = 256, 4


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """times (n,): ns UTC; values (n, channels): NaN where missing. bad: rows that were no numbers, kept as missing.

    labels (n,): where a column of labels is not 0; all False where there is none. understood: how the file was read,
    one line. order (n,): place of each row in the file. unknown: columns to leave out that it has not. units: UCUM.
    """

    channels: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_]
    bad: int = 0
    understood: str = ""
    order: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    unknown: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def step(self) -> float:
        """Seconds between the first rows."""
        return max(float(np.median(np.diff(self.times[:FIRST]))) / NS, 1e-3) if len(self) > 1 else 1.0

    def batches(self, fine: int | None = None) -> Iterator[Batch]:
        """fine: row from which batches are as small as a slow stream's; sensors are judged at the end of each."""
        channels = tuple(Channel(name) for name in self.channels)
        fine = len(self) if fine is None else fine
        at = 0
        while at < len(self):
            most = FIRST if not at else FEW if at >= fine else min(ROWS, fine - at)
            end = min(len(self), at + most)
            times = self.times[at:end]
            yield Batch(STREAM, 1, at, int(times[0]), channels, self.values[at:end], times=times)
            at = end


def read(path: Path, ignore: Collection[str] = (), label: str = "", options: Options | None = None) -> Recording:
    """A table with a time. Raises EdgeloopError where it has nothing to score, or could be read in two ways.

    label: a column that is no channel, but says which rows are not normal. Rows are in the order of their times.
    """
    given = options or Options()
    wanted = replace(given, ignore=(set(ignore) | set(given.ignore)) - {label}, first=not given.time)
    whole = tables.read(path, wanted)
    if whole.times is None:
        raise EdgeloopError("no column is a time", where=str(path), mend="name it: --time")
    rows, times, values = whole.rows, whole.times, whole.values
    bad = np.array([row for row, _ in whole.bad if row > 0], dtype=np.int64)
    if len(bad) and len(rows) > 1 and rows[0] < rows[-1]:
        place = np.searchsorted(rows, bad)
        before = np.clip(place - 1, 0, len(rows) - 1)
        times = np.insert(times, place, times[before])
        values = np.insert(values, place, np.nan, axis=0)
        rows = np.insert(rows, place, bad)
    channels = tuple(channel.name for channel in whole.channels)
    units = tuple(channel.unit for channel in whole.channels)
    labels = np.zeros(len(values), dtype=bool)
    if label:
        if label not in channels:
            mend = f"it has {', '.join(channels)}"
            raise EdgeloopError("no column of labels", where=str(path), why=repr(label), mend=mend)
        at = channels.index(label)
        labels = np.nan_to_num(values[:, at]) != 0
        channels, values = channels[:at] + channels[at + 1 :], np.delete(values, at, axis=1)
        units = units[:at] + units[at + 1 :]
        if not channels:
            raise EdgeloopError("cannot use the file", where=str(path), why="labels are its only column")
    order = np.argsort(np.argsort(rows, kind="stable"), kind="stable")
    return Recording(
        channels, times, values, labels, len(bad), understood=whole.understood, order=order, unknown=whole.unknown,
        units=units,
    )
