"""Logistic regression on frozen features: learned in well under a second, from two dozen labels on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Places = NDArray[np.intp]
STEPS: Final = 400
FOLDS: Final = 5
DECAY: Final = 1.0
"""Of the weights, over the number of labels (as C = 1 elsewhere)."""


@dataclass(frozen=True, slots=True)
class Learned:
    """weights: (features, classes) of features as they are. temperature: divides the logits, so that what is said with
    90 % is right in 90 %."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    temperature: float = 1.0

    def logits(self, x: Numbers) -> NDArray[np.float64]:
        return np.asarray((x @ self.weights + self.bias) / self.temperature)

    def chances(self, x: Numbers) -> NDArray[np.float64]:
        return softmax(self.logits(x))


def softmax(logits: Numbers) -> NDArray[np.float64]:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def fit(x: Numbers, y: Places, classes: int, weight: Numbers | None = None, decay: float = DECAY) -> Learned:
    """x: (pictures, features); y: their classes. Classes weigh alike, however many pictures they have. Nesterov's
    accelerated descent in the space that the pictures span."""
    n = len(x)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = ((x - mean) / spread).astype(np.float64)
    left, scale, right = np.linalg.svd(z, full_matrices=False)
    keep = scale > 1e-6 * max(scale[0], 1e-12)
    q = left[:, keep] * scale[keep]
    counts = np.maximum(1, np.bincount(y, minlength=classes))
    each = (1 / counts[y]) * (np.ones(n) if weight is None else weight)
    each *= n / each.sum()
    target = np.eye(classes)[y]
    pull = decay / n
    steep = 0.5 * float((scale[0] ** 2) * each.max() / n) + pull
    w, b = np.zeros((q.shape[1], classes)), np.zeros(classes)
    ahead, ahead_b, momentum = w, b, 1.0
    for _ in range(STEPS):
        gap = (softmax(q @ ahead + ahead_b) - target) * each[:, None] / n
        new, new_b = ahead - (q.T @ gap + pull * ahead) / steep, ahead_b - gap.sum(axis=0) / 0.5
        following = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
        ahead, ahead_b = new + (momentum - 1) / following * (new - w), new_b + (momentum - 1) / following * (new_b - b)
        w, b, momentum = new, new_b, following
    plain = (right[keep].T @ w) / spread[:, None]
    return Learned(plain, b - mean @ plain)


def held_out(x: Numbers, y: Places, classes: int, groups: Places, seed: int = 0) -> NDArray[np.float64]:
    """Logits of each picture by a model that saw none of its group."""
    return out_of_fold(x, y, classes, folds(y, groups, seed))


def out_of_fold(x: Numbers, y: Places, classes: int, fold: Places) -> NDArray[np.float64]:
    """Logits of each picture by a model that saw none of its fold."""
    found = np.zeros((len(x), classes))
    for k in range(int(fold.max()) + 1):
        own = fold == k
        if own.all() or not own.any():
            continue
        found[own] = fit(x[~own], y[~own], classes).logits(x[own])
    return found


def folds(y: Places, groups: Places, seed: int = 0) -> Places:
    """A fold for each picture: groups stay whole, classes spread evenly."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(y), np.intp)
    for kind in np.unique(y):
        own = np.unique(groups[y == kind])
        order = rng.permutation(len(own))
        start = int(rng.integers(0, FOLDS))
        for place, group in zip(order, own, strict=True):
            fold[groups == group] = (start + place) % FOLDS
    return fold


def temperature(logits: Numbers, y: Places) -> float:
    """That makes what is said true on pictures that were held out (Guo et al., 2017).

    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> sure = np.where(np.arange(2)[None] == np.where(rng.uniform(size=400) < 0.8, y, 1 - y)[:, None], 8.0, 0.0)
    >>> 4 < temperature(sure, y) < 8
    True
    """
    best, found = np.inf, 1.0
    for t in np.geomspace(0.25, 16, 61):
        chances = softmax(logits / t)[np.arange(len(y)), y]
        loss = -float(np.log(np.maximum(chances, 1e-9)).mean())
        if loss < best - 1e-9:
            best, found = loss, float(t)
    return found


def doubt(logits: Numbers, y: Places) -> NDArray[np.float64]:
    """How likely a label is wrong, by what pictures like it are called (Northcutt et al., confident learning, 2021):
    the best other label's chance over this one's."""
    chances = softmax(logits)
    own = chances[np.arange(len(y)), y]
    others = chances.copy()
    others[np.arange(len(y)), y] = 0
    return np.asarray(np.log(np.maximum(others.max(axis=1), 1e-12)) - np.log(np.maximum(own, 1e-12)))


def next_to_label(
    x: Numbers, labelled: Places, y: Places, classes: int, count: int, rng: np.random.Generator
) -> Places:
    """Places of the pictures whose labels would teach most: of those between two labels (margin) the ones that are far
    from each other; where all labels are the same, far from those. y: labels of `labelled`."""
    rest = np.setdiff1d(np.arange(len(x)), labelled)
    if not len(rest):
        return rest
    z = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
    if len(np.unique(y)) < 2:
        if not len(labelled):
            return np.asarray(rng.permutation(rest)[:count])
        return rest[_apart(z[rest], count, (z[rest] @ z[labelled].T).max(axis=1))]
    chances = np.sort(fit(x[labelled], y, classes).chances(x[rest]), axis=1)
    between = rest[np.argsort(chances[:, -1] - chances[:, -2], kind="stable")[: BETWEEN * count]]
    return between[_apart(z[between], count)]


def _apart(z: Numbers, count: int, alike: Numbers | None = None) -> Places:
    """The farthest-first walk over rows of length 1. alike: of each to what it is to be far from; else from the
    first row on."""
    near = np.array(z @ z[0] if alike is None else alike)
    chosen = [0] if alike is None else []
    while len(chosen) < min(count, len(z)):
        near[chosen] = np.inf
        chosen.append(int(near.argmin()))
        near = np.maximum(near, z @ z[chosen[-1]])
    return np.asarray(chosen, np.intp)


BETWEEN: Final = 4
"""Times as many pictures as are wanted, those with the smallest margins, are chosen from."""
