"""States that a machine goes through by itself: it runs, stops, idles, makes another product."""

from edgeloop.detect.regimes.overstay import Overstay
from edgeloop.detect.regimes.passage import Passage, Regimes

__all__ = ["Overstay", "Passage", "Regimes"]
