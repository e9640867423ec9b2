"""A CSV file as a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables import BadRow, Table
from edgeloop.wire.batch import Batch, Channel

STREAM = "rows"
FIRST = 16
"""Rows of the first batch, which tells how far rows are apart; none of them is scored."""
ROWS, FEW = 256, 4


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """times (n,): ns UTC; values (n, channels): NaN where missing. bad: rows that were no numbers, kept as missing.

    labels (n,): where a column of labels is not 0; all False where there is none.
    """

    channels: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_]
    bad: int = 0

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


def read(path: Path, ignore: Collection[str] = (), label: str = "") -> Recording:
    """A file with a header, its first column the time. Raises EdgeloopError where it has nothing to score.

    label: a column that is no channel, but says which rows are not normal.
    """
    table = Table(path, ignore=set(ignore) - {label}, first=True)
    times: list[int] = []
    values: list[list[float]] = []
    missing = [float("nan")] * len(table.channels)
    bad, last, step = 0, 0, NS
    try:
        for row in table.rows():
            if isinstance(row, BadRow):
                bad += 1
                times.append(last + step)
                values.append(missing)
            else:
                assert row.time is not None
                step = row.time - last if times and row.time > last else step
                times.append(row.time)
                values.append(row.values)
            last = times[-1]
    finally:
        table.close()
    if bad == len(times):
        raise EdgeloopError("cannot use the file", where=str(path), why="no row is good", mend="repair the file")
    channels, rows = table.channels, np.array(values)
    labels = np.zeros(len(rows), dtype=bool)
    if label:
        if label not in channels:
            mend = f"it has {', '.join(channels)}"
            raise EdgeloopError("no column of labels", where=str(path), why=repr(label), mend=mend)
        at = channels.index(label)
        labels = np.nan_to_num(rows[:, at]) != 0
        channels, rows = channels[:at] + channels[at + 1 :], np.delete(rows, at, axis=1)
        if not channels:
            raise EdgeloopError("cannot use the file", where=str(path), why="labels are its only column")
    return Recording(channels, np.array(times, dtype=np.int64), rows, labels, bad)
