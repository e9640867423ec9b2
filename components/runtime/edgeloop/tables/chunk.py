"""Rows of a file, some thousand at a time, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.tables.cells import Cells, Floats
from edgeloop.wire.batch import Channel


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Times that the file has as such: ns UTC (of the clock on the wall, where local), and which are there."""

    times: NDArray[np.int64]
    good: NDArray[np.bool_]
    local: bool = False


Columns = Cells | Stamps | Floats


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """lines (n,): their places in the file, from 1. bad: places of rows that have another number of cells, and why."""

    lines: NDArray[np.int64]
    columns: list[Columns]
    bad: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(slots=True)
class About:
    """What a file says of itself. names: of its columns. kinds, of each: t: stamps, n: numbers, x: texts. channels:
    units and scales where it has them. own: columns that are not the machine's. head: texts of the first rows."""

    names: list[str]
    kinds: str
    notes: list[str] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    rate: Fraction | None = None
    separator: str = ""
    place: str = "row"
    head: list[list[str]] = field(default_factory=list)


class File(Protocol):
    """A file of one form. Raises EdgeloopError where it cannot be read."""

    about: About

    def chunks(self) -> Iterator[Chunk]:
        """All rows, from the first on; may be called again."""
        ...

    def close(self) -> None: ...
