"""When samples were taken that come without a time."""

from __future__ import annotations

from fractions import Fraction

from edgeloop.clock import NS

FAR = 5 * NS // 2
"""A difference of arrival and count beyond this is a gap or a stall, not jitter."""
FASTEST = 1e-3
"""The largest correction, in parts of the time that passed: what a device's oscillator may be off."""


class Pace:
    """Time of the first of n samples that arrive, by counting at the rate, held to the time of arrival.

    Jitter of arrival does not reach the time stamps; an oscillator that is off is followed; a stall begins anew.

    >>> pace = Pace(Fraction(1000), live=True)
    >>> [pace.first(100, t) // 10**6 for t in (10**8, 2 * 10**8 + 10**6, 3 * 10**8, 9 * 10**9)]
    [0, 100, 200, 8900]
    """

    def __init__(self, rate: Fraction, *, live: bool) -> None:
        self.rate, self._live = rate, live
        self._due: Fraction | None = None

    def first(self, n: int, arrival: int) -> int:
        """ns UTC. arrival: ns UTC at which the last one came in."""
        span = n * NS / self.rate
        if self._due is None:
            self._due = arrival - span
        elif self._live:
            error = arrival - (self._due + span)
            if abs(error) > FAR:
                self._due = arrival - span
            else:
                most = float(span) * FASTEST
                self._due += Fraction(int(min(max(float(error) * 0.01, -most), most)))
        time = int(self._due)
        self._due += span
        return time
