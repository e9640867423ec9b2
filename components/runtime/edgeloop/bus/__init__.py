"""The bus: publish and subscribe through the nucleus, ordered and bounded, that heals itself."""

from edgeloop.bus.bus import Bus, largest
from edgeloop.bus.link import BusClosed, BusNotFound, BusRefused, BusTimeout, TokenRefused
from edgeloop.bus.subscription import Subscription

__all__ = [
    "Bus",
    "BusClosed",
    "BusNotFound",
    "BusRefused",
    "BusTimeout",
    "Subscription",
    "TokenRefused",
    "largest",
]
