"""The times of a table's rows against one another: turned round, several to a stamp, an hour that lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS

SHARED = 0.2
"""Share of rows with the time of the row before from which they are taken for a clock that is too coarse."""


@dataclass(slots=True, eq=False)
class Sequence:
    """times (n,) ns. turned: the newest row comes first. words: for people."""

    times: NDArray[np.int64]
    turned: bool = False
    words: tuple[str, ...] = ()
    shared: bool = False


def sequence(times: NDArray[np.int64], *, zoned: bool, spread: bool = True) -> Sequence:
    """Of the good rows, in the order of the file. zoned: it is known which zone's clock they are of."""
    if len(times) < 2:
        return Sequence(times)
    steps = np.diff(times)
    words: list[str] = []
    turned = int((steps < 0).sum()) > 0.9 * int((steps != 0).sum()) > 0
    if turned:
        times, steps = times[::-1], -steps[::-1]
        words.append("newest first: turned round")
    shared = False
    if (steps == 0).mean() > SHARED:
        even = _spread(times) if spread else None
        if even is None:
            shared = True
            words.append(f"{int((steps == 0).sum()):,} rows have the time of the row before")
        else:
            times, line = even
            steps = np.diff(times)
            words.append(line)
    elif (steps == 0).any():
        words.append(f"{int((steps == 0).sum()):,} rows have the time of the row before")
    back = int((steps < 0).sum())
    if back:
        words.append(f"{back:,} rows are older than the one before")
    words += _gaps(times, steps, zoned=zoned)
    return Sequence(times, turned, tuple(words), shared)


def _spread(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], str] | None:
    """Rows of one stamp, evenly over its span, where all stamps have as many and are as far apart."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(times)) + 1))
    sizes = np.diff(np.concatenate((starts, [len(times)])))
    stamps = times[starts]
    if len(stamps) < 3:
        return None
    inner, gaps = sizes[1:-1], np.diff(stamps)
    size, gap = int(np.median(inner)), int(np.median(gaps))
    if size < 2 or gap <= 0 or (np.abs(inner - size) > 1).mean() > 0.05 or (gaps != gap).mean() > 0.05:
        return None
    if int(sizes[0]) > size + 1 or int(sizes[-1]) > size + 1:
        return None
    place = np.arange(len(times)) - np.repeat(starts, sizes)
    if sizes[0] < size:
        place[: sizes[0]] += size - sizes[0]
    count = np.repeat(np.maximum(sizes, size), sizes)
    return times + place * gap // count, f"{size} rows share each time: spread evenly over its {_span(gap)}"


def _gaps(times: NDArray[np.int64], steps: NDArray[np.int64], *, zoned: bool) -> list[str]:
    forward = steps[steps > 0]
    if len(forward) < 10:
        return []
    usual = int(np.median(forward))
    wide = np.flatnonzero(steps > 2.5 * usual)
    if not len(wide) or len(wide) > len(steps) // 10:
        return []
    words = []
    if not zoned:
        hour = [
            i for i in wide.tolist() if abs(int(steps[i]) - usual - 3600 * NS) <= max(usual, NS) and usual < 3600 * NS
        ]
        for i in hour[:1]:
            start, end = _moment(int(times[i]) + usual), _moment(int(times[i + 1]))
            words.append(f"the hour from {start} to {end} lacks, as where clocks are put forward (`zone`)")
    largest = int(wide[np.argmax(steps[wide])])
    words.append(
        f"{len(wide)} gap{'s' * (len(wide) > 1)}, "
        f"{'the longest ' if len(wide) > 1 else ''}{_span(int(steps[largest]))} from {_moment(int(times[largest]))}"
    )
    return words


def _moment(ns: int) -> str:
    return str(np.datetime64(ns, "ns").astype("datetime64[s]")).replace("T", " ")


def _span(ns: int) -> str:
    """
    >>> _span(60 * NS), _span(5_400 * NS), _span(NS // 2)
    ('60 s', '90 min', '0.5 s')
    """
    seconds = ns / NS
    if seconds <= 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds <= 7200 else f"{seconds / 3600:.4g} h"
