"""Points that should not be: how often has this channel been near here before, and one alert for each event."""

from edgeloop.detect.events.detector import EventDetector, EventScores
from edgeloop.detect.events.settings import EventSettings

__all__ = ["EventDetector", "EventScores", "EventSettings"]
