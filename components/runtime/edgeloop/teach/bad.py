"""What a few labelled bad pictures teach: which unusual places are faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.teach.backbone import Floats
from edgeloop.teach.network import Head

Numbers = NDArray[np.floating[Any]]
POSITIVE: Final = 24
"""Places of a bad picture that are taken for its fault: the most unusual ones."""
NEGATIVE: Final = 400
"""Places of a good picture that are compared with: the most unusual ones, and others by chance."""
DECAY: Final = 0.02
FOLDS: Final = 5
LEAST: Final = 5
"""Bad pictures."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Patches (places, channels) and distances (places) of good pictures, held out, and of bad ones."""

    good: list[Floats]
    good_away: list[Floats]
    bad: list[Floats]
    bad_away: list[Floats]


@dataclass(frozen=True, slots=True)
class Learned:
    """head: of all pictures. good, bad: scores of each picture by a head that did not see it."""

    head: Head
    good: Numbers
    bad: Numbers


def learn(evidence: Evidence, unusual: int) -> Learned | None:
    """unusual: places whose mean is a picture's. None where it tells good from bad no better than the distance."""
    if len(evidence.bad) < LEAST:
        return None
    good, bad = np.zeros(len(evidence.good)), np.zeros(len(evidence.bad))
    for fold in range(FOLDS):
        use_good, use_bad = ([k % FOLDS != fold for k in range(count)] for count in (len(good), len(bad)))
        head = _fit(evidence, use_good, use_bad)
        for k in range(fold, len(good), FOLDS):
            good[k] = _score(head, evidence.good[k], evidence.good_away[k], unusual)
        for k in range(fold, len(bad), FOLDS):
            bad[k] = _score(head, evidence.bad[k], evidence.bad_away[k], unusual)
    plain = [np.array([_top(a, unusual) for a in away]) for away in (evidence.good_away, evidence.bad_away)]
    if _apart(good, bad) <= _apart(*plain):
        return None
    head = _fit(evidence, [True] * len(good), [True] * len(bad))
    return Learned(head, good, bad)


def _fit(evidence: Evidence, use_good: list[bool], use_bad: list[bool]) -> Head:
    rng = np.random.default_rng(0)
    rows: list[Floats] = []
    away: list[Floats] = []
    for patches, distance, use in zip(evidence.good, evidence.good_away, use_good, strict=True):
        if use:
            order = np.argsort(-distance)
            chosen = np.concatenate([order[: NEGATIVE // 2], rng.choice(len(order), NEGATIVE // 2, replace=False)])
            rows.append(patches[chosen])
            away.append(distance[chosen])
    negatives = sum(len(r) for r in rows)
    for patches, distance, use in zip(evidence.bad, evidence.bad_away, use_bad, strict=True):
        if use:
            chosen = np.argsort(-distance)[:POSITIVE]
            rows.append(patches[chosen])
            away.append(distance[chosen])
    x, d = np.concatenate(rows), np.concatenate(away)
    y = np.zeros(len(x))
    y[negatives:] = 1
    mean, spread = x.mean(axis=0), float(x.std())
    design = np.concatenate([(x - mean) / spread, ((d - d.mean()) / d.std())[:, None], np.ones((len(x), 1))], axis=1)
    weight = np.where(y > 0, 0.5 / max(1.0, y.sum()), 0.5 / negatives)
    w = logistic(design.astype(np.float64), y, weight, DECAY)
    per_feature = w[:-2] / spread
    by = float(w[-2] / d.std())
    bias = float(w[-1] - (per_feature * mean).sum() - by * d.mean())
    return Head(by, per_feature.astype(np.float32), bias)


def logistic(x: Numbers, y: Numbers, weight: Numbers, decay: float, steps: int = 25) -> Numbers:
    """Weights of a logistic regression (Newton's steps); the last column, ones, is not held down.

    >>> x = np.array([[-1.0, 1], [-2, 1], [1, 1], [2, 1]])
    >>> w = logistic(x, np.array([0.0, 0, 1, 1]), np.full(4, 0.25), 0.01)
    >>> bool(w[0] > 1), bool(abs(w[1]) < 1e-6)
    (True, True)
    """
    w = np.zeros(x.shape[1])
    penalty = np.full(len(w), decay)
    penalty[-1] = 1e-9
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (weight * (p - y)) + penalty * w
        curve = (x * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        w = w - step
        if float(np.abs(step).max()) < 1e-6:
            break
    return w


def _score(head: Head, patches: Floats, away: Floats, unusual: int) -> float:
    return _top(head.by * away + patches @ head.weights + head.bias, unusual)


def _top(values: Numbers, count: int) -> float:
    return float(np.partition(values, len(values) - count)[len(values) - count :].mean())


def _apart(good: Numbers, bad: Numbers) -> float:
    """Share of pairs in the right order, and how far apart they are in spreads: to tell two perfect orders apart."""
    order = float((bad[:, None] > good[None, :]).mean())
    spread = float(np.sqrt((good.var() + bad.var()) / 2)) or 1.0
    return order + 0.01 * min(10.0, float(bad.mean() - good.mean()) / spread)
