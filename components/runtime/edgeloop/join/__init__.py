"""Streams of different rates, joined as of a time."""

from edgeloop.join.asof import AsOf, Latest
from edgeloop.join.condition import Condition

__all__ = ["AsOf", "Condition", "Latest"]
