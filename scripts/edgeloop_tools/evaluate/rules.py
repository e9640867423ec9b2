"""What a detector is read against: trivial rules and peers, given the same learning rows."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Score = Callable[[Float, int], Float]
"""(n, channels) values, rows learned → (n,) scores of rows, each from the rows up to it alone; 0 while learning."""
SIGMA = 4.0


def sigma(values: Float, learn: int) -> Float:
    """Largest deviation of a row in standard deviations of what was learned, any channel.

    >>> sigma(np.array([[0.0], [2.0], [0.0], [2.0], [9.0]]), 4).round(3).tolist()
    [0.0, 0.0, 0.0, 0.0, 8.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        first = values[:learn]
        z = np.abs(values - np.nanmean(first, axis=0)) / (np.nanstd(first, axis=0) + 1e-12)
    found = np.nan_to_num(z).max(axis=1)
    found[:learn] = 0
    return np.asarray(found)


def record(values: Float, learn: int) -> Float:
    """By how much of the range so far a row leaves it, any channel: a new record."""
    filled = np.nan_to_num(values)
    high, low = np.maximum.accumulate(filled, axis=0), np.minimum.accumulate(filled, axis=0)
    found = np.zeros(len(values))
    reach = np.maximum(high[:-1] - low[:-1], 1e-12)
    beyond = np.maximum(np.maximum(filled[1:] - high[:-1], low[:-1] - filled[1:]), 0) / reach
    found[1:] = beyond.max(axis=1)
    found[:learn] = 0
    return found


def always(values: Float, learn: int) -> Float:
    """Everything."""
    return np.asarray((np.arange(len(values)) >= learn).astype(np.float64))


TRIVIAL: dict[str, tuple[Score, float]] = {
    "4 sigma": (sigma, SIGMA), "new record": (record, 1e-9), "always": (always, 0.5),
}  # fmt: skip
"""With the threshold of each."""


def _river(values: Float, learn: int) -> Float:
    anomaly, compose, scale = (importlib.import_module(f"river.{n}") for n in ("anomaly", "compose", "preprocessing"))
    model = compose.Pipeline(scale.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    found = np.zeros(len(values))
    for i, row in enumerate(np.nan_to_num(values)):
        x = dict(enumerate(row.tolist()))
        if i >= learn:
            found[i] = model.score_one(x)
        model.learn_one(x)
    return found


def _krcf(values: Float, learn: int) -> Float:
    options = {"dimensions": values.shape[1], "shingle_size": 1, "num_trees": 50}
    forest = importlib.import_module("krcf").RandomCutForest(options)
    found = np.zeros(len(values))
    for i, row in enumerate(np.nan_to_num(values)):
        point = row.tolist()
        if i >= learn:
            found[i] = forest.score(point)
        forest.update(point)
    return found


def peers() -> dict[str, Score]:
    """Those that are installed."""
    known: dict[str, Score] = {"river": _river, "krcf": _krcf}
    return {name: score for name, score in known.items() if importlib.util.find_spec(name) is not None}
