"""How often the line is wrong, by the pictures that were kept by chance: the only ones that tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final

from edgeloop_tools.label.dataset import Item
from edgeloop_tools.train.images.mix import at_random

SURE: Final = 1.645
"""Of the normal distribution: 90 % are within."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """wrong of so many verdicts; low, high: the share, in 90 % of cases (Wilson, 1927)."""

    wrong: int
    count: int

    @property
    def low(self) -> float:
        return max(0.0, self._middle - self._reach)

    @property
    def high(self) -> float:
        return min(1.0, self._middle + self._reach)

    @property
    def _middle(self) -> float:
        return (self.wrong + SURE**2 / 2) / (self.count + SURE**2)

    @property
    def _reach(self) -> float:
        share = self.wrong / max(1, self.count)
        return SURE * sqrt(self.count * share * (1 - share) + SURE**2 / 4) / (self.count + SURE**2)

    def __str__(self) -> str:
        return f"{self.wrong} of {self.count} parts kept by chance were judged wrong: {self.low:.1%} to {self.high:.1%}"


def estimate(items: Iterable[Item], version: str, good: str = "good") -> Estimate:
    """version: of the model whose verdicts count.

    >>> said = {"kept": "random", "verdict": "pass", "model": {"version": "1.0.0"}}
    >>> print(estimate([Item("a", "good", about=said), Item("b", "dent", about=said), Item("c", "dent")], "1.0.0"))
    1 of 2 parts kept by chance were judged wrong: 12.1% to 87.9%
    """
    wrong = count = 0
    for item in items:
        model = item.about.get("model")
        known = isinstance(model, dict) and model.get("version", "") == version
        if item.kind and known and at_random(item) and item.about.get("verdict") in ("pass", "fail"):
            count += 1
            wrong += (item.about["verdict"] == "pass") != (item.kind == good)
    return Estimate(wrong, count)
