"""From the learning window: centres, spreads, and how the statistic behaves while all is well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeloop.detect.states.averages import CHUNK, Averages
from edgeloop.detect.states.settings import Bool, ConditionSettings, Float

MAD = 1.4826
QUANTUM = 0.3
"""Share of the smallest step between readings that a spread is at least."""
RELATIVE = 1e-4
"""Share of its value that the spread of a constant channel is at least."""
SMALLEST = 1e-9
SETTLED = 4
"""Widths after which averages do not remember how they started."""
UPSET = 4.0
"""Spreads beyond which a value counts no more: something happened while learning."""
NINE_OF_TEN = 1.645
"""Nine of ten normal values are within so many standard deviations."""
TYPICAL = 0.7
"""Share of the deviation that a robust spread is at least: few, large steps count."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Per channel: centre; row, level, change: spreads of a row, of its level, of the level's changes; least: the
    smallest spread of the level; age: rows behind the centre; blind: too few values to judge by.

    offsets: of each context against the centre; unseen: (rows, channels), |level| in spreads of those before; away:
    of them.
    """

    centre: Float
    row: Float
    level: Float
    change: Float
    least: Float
    age: Float
    blind: Bool
    offsets: dict[str, Float]
    unseen: Float
    away: Float


def learn(rows: Float, origin: list[str], settings: ConditionSettings, averages: Averages) -> Learned:
    """rows: (learn, channels), NaN where missing; origin: the context of each; averages: fresh, taken to the end.

    Centres are followed as they will be later, so that the spreads hold what lags behind slow, healthy wander.
    """
    n, channels = rows.shape
    known = np.isfinite(rows)
    blind = known.sum(axis=0) < n / 2
    rows = np.where(known & ~blind, rows, np.nan)
    rows[:, blind] = 0.0
    middle = np.nanmedian(rows, axis=0)
    offsets: dict[str, Float] = {}
    filled = np.where(np.isnan(rows), middle, rows)
    contexts = list(dict.fromkeys(origin))
    names = np.array(origin)
    for context in contexts:
        own = filled[names == context]
        if len(own) >= min(settings.transfer, n // len(contexts)):
            offsets[context] = np.median(own, axis=0) - middle
    shifts = np.stack([offsets.get(c, np.zeros(channels)) for c in contexts])
    residual = filled - shifts[[contexts.index(c) for c in origin]]
    away = residual - np.median(residual, axis=0)
    robust = MAD * np.median(np.abs(away), axis=0)
    deviation = _ordinary(away).std(axis=0)
    row = np.maximum(robust, TYPICAL * deviation)
    centre = np.median(residual[: settings.width], axis=0)
    age = np.ones(channels)
    levels = np.empty_like(residual)
    changes = np.empty_like(residual)
    for at in range(0, n, CHUNK):
        rows = residual[at : at + CHUNK] - centre
        smooth = averages.update(rows)
        averages.accept(len(rows))
        levels[at : at + CHUNK] = smooth[0]
        changes[at : at + CHUNK] = smooth[1] - smooth[2]
        age = np.minimum(age + len(rows), settings.memory)
        step = np.clip(rows, -UPSET * row, UPSET * row).sum(axis=0) / age
        centre = centre + step
        averages.restart(step)
    steps = np.abs(np.diff(residual, axis=0))
    quantum = np.where(steps > 0, steps, np.inf).min(axis=0)
    quantum = np.where(np.isfinite(quantum), QUANTUM * np.minimum(quantum, 3 * deviation), 0.0)
    constant = RELATIVE * np.abs(middle)
    floor = np.maximum(quantum, np.where(deviation > constant, 0.0, constant)) + SMALLEST
    least = np.maximum(floor, deviation / (2 * settings.width - 1) ** 0.5)
    settled = slice(min(SETTLED * settings.width, n // 2), None)
    sizes = np.abs(levels[settled])
    most = UPSET * np.maximum(MAD * np.median(sizes, axis=0), least)
    sizes = np.minimum(sizes, most)
    level = np.maximum(np.sqrt((sizes**2).mean(axis=0)), least)
    change = np.maximum(np.sqrt((changes[settled] ** 2).mean(axis=0)), floor)
    unseen = _unseen(levels[settled], least)
    last = np.maximum(np.abs(away[len(away) - len(unseen) :]), floor)
    return Learned(centre, row, level, change, least, age, np.asarray(blind), offsets, unseen, last)


def _unseen(levels: Float, least: Float) -> Float:
    """z (n, channels) of the later levels (rows, channels), in spreads of those before: of rows not learned yet."""
    found, sizes = [], np.abs(levels)
    for at in range(len(sizes) // 3, len(sizes), CHUNK // 2):
        before = sizes[:at]
        most = UPSET * np.maximum(MAD * np.median(before, axis=0), least)
        spread = np.maximum(np.sqrt((np.minimum(before, most) ** 2).mean(axis=0)), least)
        found.append(sizes[at : at + CHUNK // 2] / spread)
    return np.concatenate(found)


def _ordinary(values: Float) -> Float:
    """Deviations (n, channels), limited to what is UPSET spreads if all but the largest tenth are normal."""
    most = UPSET / NINE_OF_TEN * np.quantile(np.abs(values), 0.9, axis=0)
    return np.asarray(np.where(most > 0, np.clip(values, -most, most), values))
