"""Scores in words: "outer-race band ×6, channel z"."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.detect.levels.detector import Cause


def leading(causes: Sequence[Cause], share: float = 0.5) -> Cause:
    """The cause to name: the most specific among those at least `share` as strong as the strongest."""
    strongest = max(abs(c.z) for c in causes)
    return max((c for c in causes if abs(c.z) >= share * strongest), key=lambda c: abs(c.z) * c.feature.specific**2)


def describe(causes: Sequence[Cause]) -> str:
    """What moved, and where.

    >>> from edgeloop.detect.features import Feature
    >>> band = Feature("z", "outer-race band", "bearing", True, 0.1, 2.0)
    >>> level = Feature("z", "RMS", "level", True, 0.03)
    >>> describe([Cause(level, 1.4, 12.0), Cause(band, 6.2, 11.0)])
    'outer-race band ×6.2, channel z'
    >>> describe([Cause(Feature("temperature", "value", "value", False, 0.1), 1.0, -9.0, -2.5)])
    'temperature lower by 2.5 (9 spreads)'
    """
    if not causes:
        return "unusual"
    cause = leading(causes)
    f = cause.feature
    if f.logarithmic:
        return f"{f.name} ×{number(cause.ratio)}, channel {f.channel}"
    if f.name == "slope":
        return f"{f.channel} {'rises' if cause.z > 0 else 'falls'} faster ({abs(cause.z):.0f} spreads)"
    direction = "higher" if cause.z > 0 else "lower"
    return f"{f.channel} {direction} by {number(abs(cause.delta))} ({abs(cause.z):.0f} spreads)"


def number(value: float) -> str:
    """
    >>> number(6.23), number(12.7), number(0.523), number(134567.0)
    ('6.2', '13', '0.52', '134567')
    """
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
