"""What is wrong with a component and what it counts: on the bus, and as metrics on disk."""

from edgeloop.health.exposed import Exposed, Metrics
from edgeloop.health.health import Health
from edgeloop.health.metrics import MetricFiles

__all__ = ["Exposed", "Health", "MetricFiles", "Metrics"]
