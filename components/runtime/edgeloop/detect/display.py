"""Return times for the eye."""

from __future__ import annotations


def display(return_time: float, *, least: float, budget: float) -> float:
    """On a scale from 0 to 1: 0 at `least`, 0.5 at the budget, 1 at twice the budget's decades; all log10 s.

    >>> [display(t, least=0, budget=6) for t in (-3.0, 6.0, 9.0, 15.0)]
    [0.0, 0.5, 0.75, 1.0]
    """
    if return_time <= budget:
        return round(max(0.0, min(0.5, 0.5 * (return_time - least) / max(budget - least, 1e-9))), 4)
    return round(min(1.0, 0.5 + 0.5 * (return_time - budget) / max(budget, 1e-9)), 4)
