"""A table at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.errors import EdgeloopError
from edgeloop.tables.options import Options
from edgeloop.tables.table import Table
from edgeloop.wire.batch import Channel

HOLD = 48 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """times (n,) ns UTC, or None; values (n, channels), NaN where missing; rows (n,): places in the file, from 1.
    bad: places of rows left out, and why. understood: one line for people. unknown: to ignore, and not there."""

    channels: tuple[Channel, ...]
    times: NDArray[np.int64] | None
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    bad: tuple[tuple[int, str], ...]
    text: tuple[str, ...]
    understood: str
    place: str
    unknown: tuple[str, ...] = ()

    def at(self, name: str) -> int:
        """Place of a channel. Raises EdgeloopError."""
        names = [channel.name for channel in self.channels]
        if name not in names:
            raise EdgeloopError("no such column of numbers", why=repr(name), mend=f"it has {', '.join(names)}")
        return names.index(name)


def read(path: Path, options: Options | None = None) -> Whole:
    """Raises EdgeloopError where it cannot be read, or be read in two ways."""
    table = Table(path, options, hold=HOLD)
    try:
        blocks = list(table.blocks())
    finally:
        table.close()
    width = len(table.channels)
    values = np.concatenate([b.values for b in blocks]) if blocks else np.empty((0, width))
    rows = np.concatenate([b.rows for b in blocks]) if blocks else np.empty(0, np.int64)
    if not len(rows):
        raise EdgeloopError("cannot use the file", where=str(path), why="no row is good", mend="repair the file")
    times = np.concatenate([b.times for b in blocks if b.times is not None]) if table.has_time else None
    bad = tuple(pair for b in blocks for pair in b.bad)
    return Whole(table.channels, times, values, rows, bad, table.text, table.understood, table.place, table.unknown)
