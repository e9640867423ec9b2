"""What a fixed threshold would have found: the yardstick beside every figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop_tools.harness.history import History
from edgeloop_tools.harness.judge import GRACE, Fault

QUIET = 2 * NS
"""An exceedance ends an alarm after this long below the threshold."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A stream of a machine, with the PLC stream that says whether it runs. learn, settle: ns."""

    machine: str
    stream: str
    plc: str | None
    learn: int
    settle: int


@dataclass(frozen=True, slots=True)
class Figures:
    threshold: float
    detected: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class _Curve:
    watched: Watched
    times: NDArray[np.int64]
    z: NDArray[np.float64]


def compare(history: History, watched: Iterable[Watched], faults: Sequence[Fault]) -> Mapping[str, Figures]:
    """`fixed`: |z| over 4 sigma of the learning window; `best`: the threshold with the most faults found less false
    alarms, chosen with the truth in hand.

    Values of slow streams, RMS per 200 ms of fast ones, the maximum over channels, while the machine runs.
    """
    curves = [c for w in watched if (c := _curve(history, w)) is not None]
    fixed = _figures(curves, faults, 4.0)
    tops = np.concatenate([c.z for c in curves]) if curves else np.zeros(0)
    tops = tops[np.isfinite(tops) & (tops > 2)]
    candidates = np.unique(np.quantile(tops, np.linspace(0, 1, 60))) if len(tops) else np.array([4.0])
    tried = [fixed, *(_figures(curves, faults, float(t)) for t in candidates)]
    best = max(tried, key=lambda f: (f.detected - f.false_alarms, f.detected))
    return {"fixed": fixed, "best": best}


def _curve(history: History, watched: Watched) -> _Curve | None:
    series = history.series.get(watched.stream)
    if series is None or not series.times:
        return None
    times, rows = series.arrays()
    if watched.plc is not None:
        running = history.running_at(watched.plc, times, watched.settle)
        times, rows = times[running], rows[running]
    if not len(times):
        return None
    learning = times < times[0] + watched.learn
    if learning.sum() < 3 or learning.all():
        return None
    base = rows[learning]
    with np.errstate(invalid="ignore"):
        centre = np.nanmean(base, axis=0)
        spread = np.maximum(np.nanstd(base, axis=0), 1e-12 + 1e-6 * np.abs(centre))
        z = np.nanmax(np.abs(rows[~learning] - centre) / spread, axis=1)
    return _Curve(watched, times[~learning], np.nan_to_num(z))


def _raises(curve: _Curve, threshold: float) -> list[int]:
    above = curve.times[curve.z > threshold]
    if not len(above):
        return []
    return [int(above[0]), *(int(b) for a, b in itertools.pairwise(above) if b - a > QUIET)]


def _figures(curves: Sequence[_Curve], faults: Sequence[Fault], threshold: float) -> Figures:
    found: set[str] = set()
    wrong = 0
    for curve in curves:
        for at in _raises(curve, threshold):
            during = [
                f for f in faults
                if f.machine == curve.watched.machine and f.by == "time" and f.start <= at <= f.end + GRACE
            ]  # fmt: skip
            found.update(f.id for f in during if not f.stream or curve.watched.stream.endswith(f.stream))
            wrong += not during
    return Figures(round(threshold, 2), len(found), wrong)
