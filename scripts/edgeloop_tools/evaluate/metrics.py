"""Figures that do not flatter: volume under the precision-recall surface, affiliation, and shares with intervals.

Point-adjusted F1 counts a whole span as found by one lucky row; these do not.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]
THRESHOLDS = 100


PROFILES = {"nab": (0.11, 1.0), "nab_low_fp": (0.22, 1.0), "nab_low_fn": (0.11, 2.0)}
"""What a false alarm and a missed window cost, where a found one is worth 1."""
INTERVAL = 0.95


def spans(truth: Flags) -> NDArray[np.intp]:
    """[first, end) of each run, (n, 2).

    >>> spans(np.array([0, 1, 1, 0, 1], bool)).tolist()
    [[1, 3], [4, 5]]
    """
    return np.flatnonzero(np.diff(np.r_[0, truth.astype(np.int8), 0])).reshape(-1, 2)


def soft(truth: Flags, buffer: int) -> Float:
    """Labels with slopes of half a buffer on either side, sqrt(1 - distance / buffer).

    >>> soft(np.array([0, 0, 1, 0, 0], bool), 2).round(2).tolist()
    [0.0, 0.71, 1.0, 0.71, 0.0]
    """
    label = truth.astype(np.float64)
    for first, end in spans(truth):
        for distance in range(1, buffer // 2 + 1):
            weight = math.sqrt(1 - distance / buffer)
            for at in (first - distance, end - 1 + distance):
                if 0 <= at < len(label):
                    label[at] = max(label[at], weight)
    return label


def range_pr(truth: Flags, score: Float, buffer: int) -> float:
    """Area under the precision-recall curve with soft labels, recall weighted by the share of spans touched.

    J. Paparrizos et al., "Volume under the surface", VLDB 15 (2022), eq. 4-9.
    """
    if not truth.any():
        return float("nan")
    label = soft(truth, buffer)
    touched = spans(label > 0)
    positives = (float(truth.sum()) + float(label.sum())) / 2
    order = np.sort(score)[::-1]
    area, before = 0.0, 0.0
    for at in np.unique(np.linspace(0, len(score) - 1, THRESHOLDS).astype(int)):
        said = score >= order[at]
        hits = float(label[said].sum())
        running = np.r_[0, np.cumsum(said)]
        share = float(np.mean(running[touched[:, 1]] > running[touched[:, 0]]))
        recall = min(hits / positives, 1.0) * share
        area += max(recall - before, 0.0) * hits / float(said.sum())
        before = max(before, recall)
    return area


def vus_pr(truth: Flags, score: Float, longest: int = 32) -> float:
    """Mean of `range_pr` over buffers of 0 to `longest` rows.

    >>> truth = np.zeros(100, bool); truth[40:50] = True
    >>> round(vus_pr(truth, truth * 1.0, 0), 2), vus_pr(truth, np.arange(100.0) % 7, 0) < 0.3
    (1.0, True)
    """
    buffers = sorted({0, longest // 4, longest // 2, longest})
    return float(np.mean([range_pr(truth, score, buffer) for buffer in buffers]))


def affiliation(truth: Flags, said: Flags) -> tuple[float, float]:
    """Precision and recall of flags by their distance to the spans, against flags at random.

    Each row belongs to the nearest span's zone. Precision: mean over flagged rows of the chance that a random row of
    the zone is as far away; recall: mean over the span's rows of the chance that a random flag is as far from them as
    the nearest real one. A. Huet et al., "Local evaluation of time series anomaly detection algorithms", KDD 2022, by
    rows instead of integrals.

    >>> truth, said = np.zeros(100, bool), np.zeros(100, bool)
    >>> truth[40:50] = said[40:50] = True
    >>> affiliation(truth, said)
    (1.0, 1.0)
    >>> [round(v, 2) for v in affiliation(truth, np.arange(100) == 99)]
    [0.01, 0.01]
    """
    events = spans(truth)
    n = len(truth)
    if not len(events):
        return float("nan"), float("nan")
    cuts = [0, *((a[1] + b[0]) // 2 for a, b in itertools.pairwise(events)), n]
    precision, recall = [], []
    rows = np.arange(n)
    for (first, end), low, high in zip(events, cuts, cuts[1:], strict=False):
        zone = rows[low:high]
        away = np.maximum(np.maximum(first - zone, zone - (end - 1)), 0)
        flagged = zone[said[low:high]]
        if not len(flagged):
            recall.append(0.0)
            continue
        distance = np.maximum(np.maximum(first - flagged, flagged - (end - 1)), 0)
        ordered = np.sort(away)
        precision.append(float(np.mean(1 - np.searchsorted(ordered, distance, side="left") / len(zone))))
        own = np.arange(first, end)
        right = np.searchsorted(flagged, own)
        near = np.minimum(
            np.abs(own - flagged[np.minimum(right, len(flagged) - 1)]), np.abs(own - flagged[np.maximum(right - 1, 0)])
        )
        closer = np.minimum(own + near, high) - np.maximum(own - near + 1, low)
        recall.append(float(np.mean(1 - np.where(near > 0, closer, 0) / len(zone))))
    return float(np.mean(precision)) if precision else float("nan"), float(np.mean(recall))


def poisson(count: int) -> tuple[float, float]:
    """The expectations between which a count is no surprise: F. Garwood, Biometrika 28 (1936); by bisection.

    >>> [round(n, 2) for n in poisson(10)]
    [4.8, 18.39]
    """

    def below(mean: float, n: int) -> float:
        """P(count ≤ n)."""
        k = np.arange(1, n + 1)
        return float(np.exp(np.concatenate([[0.0], np.cumsum(np.log(mean) - np.log(k))]) - mean).sum())

    def mean(n: int, probability: float) -> float:
        low, high = 1e-9, 4.0 * n + 40.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if below(middle, n) > probability else (low, middle)
        return high

    tail = (1 - INTERVAL) / 2
    return mean(count - 1, 1 - tail) if count else 0.0, mean(count, tail)


def nab(truth: Flags, alert: Flags, first: int) -> tuple[float, float, int, int, int]:
    """Of one file, from row `first` on: worth of the windows found, weight of the false alarms (below 0), windows
    missed, windows that count, all windows. A. Lavin, S. Ahmad, "Evaluating real-time anomaly detection algorithms",
    ICMLA (2015), by the weights of version 1.1.

    >>> truth = np.arange(20) // 5 == 2
    >>> alert = np.zeros(20, bool); alert[[1, 10, 19]] = True
    >>> [round(n, 2) for n in nab(truth, alert, 0)]
    [1.0, -2.0, 0, 1, 1]
    """
    worth, cost, missed, counted = 0.0, 0.0, 0, 0
    said = alert & (np.arange(len(alert)) >= first)
    windows = spans(truth).tolist()
    for begin, end in windows:
        if end <= first:
            continue
        counted += 1
        rows = np.flatnonzero(said[begin:end])
        missed += not len(rows)
        if len(rows):
            worth += _sigmoid(-(end - begin - float(rows[0])) / (end - begin)) / _sigmoid(-1.0)
    for row in np.flatnonzero(said & ~truth).tolist():
        before = [(begin, end) for begin, end in windows if end <= row]
        if before:
            begin, end = before[-1]
            cost += _sigmoid((row - end + 1) / max(end - begin - 1, 1))
        else:
            cost -= 1.0
    return worth, cost, missed, counted, len(windows)


def _sigmoid(x: float) -> float:
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def interval(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (E. B. Wilson, JASA 22, 1927).

    >>> [round(v, 2) for v in interval(9, 10)]
    [0.6, 0.98]
    """
    if not of:
        return 0.0, 1.0
    z, share = 1.96, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)
