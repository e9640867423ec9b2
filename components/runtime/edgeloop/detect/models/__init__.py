"""Models that score a stream beside the streaming detectors."""

from edgeloop.detect.models.detector import Model, Models, Provider, Serving

__all__ = ["Model", "Models", "Provider", "Serving"]
