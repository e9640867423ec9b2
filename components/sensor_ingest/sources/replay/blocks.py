"""Rows of a recording, some thousand at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.tables import BadRow, Row, Table


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """times (n,) ns UTC, or None where the file has none; values (n, channels); rows (n,) their numbers in the file.

    bad: numbers of the rows that were left out, and why.
    """

    times: NDArray[np.int64] | None
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    bad: tuple[tuple[int, str], ...] = ()

    def line(self, row: int) -> int:
        return int(self.rows[row])


def blocks(table: Table, most: int) -> Iterator[Block]:
    """The rows of a table, at most so many at once. Raises EdgeloopError where reading fails."""
    good: list[Row] = []
    bad: list[tuple[int, str]] = []
    for row in table.rows():
        if isinstance(row, BadRow):
            bad.append((row.line, row.why))
        else:
            good.append(row)
        if len(good) + len(bad) >= most:
            yield _block(good, bad, len(table.channels))
            good, bad = [], []
    if good or bad:
        yield _block(good, bad, len(table.channels))


def _block(good: list[Row], bad: list[tuple[int, str]], columns: int) -> Block:
    values = np.array([row.values for row in good], dtype=np.float64).reshape(-1, columns)
    lines = np.array([row.line for row in good], dtype=np.int64)
    times = None
    if not good or good[0].time is not None:
        times = np.array([row.time for row in good], dtype=np.int64)
    return Block(times, values, lines, tuple(bad))


def stretches(stamps: NDArray[np.int64], rate: Fraction) -> list[tuple[int, int]]:
    """From and to of what goes on at a rate, to half a sample."""
    period = float(NS / rate)
    cuts = np.flatnonzero(np.abs(np.diff(stamps) - period) > period / 2) + 1
    return list(itertools.pairwise([0, *cuts.tolist(), len(stamps)]))
