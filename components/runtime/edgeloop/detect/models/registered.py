"""The models of a monitor as a detector: what is said beside the streaming ones."""

from __future__ import annotations

from edgeloop.detect.levels.registered import trigger
from edgeloop.detect.models.detector import Models
from edgeloop.detect.protocol import DetectorType, Setup


def _make(setup: Setup) -> Models:
    return Models(setup.monitor, setup.models, setup.channels, setup.rate, trigger(setup), setup.provider)


MODELS = DetectorType(
    "models", "model", _make, schema=1, cost="that of the model", source="a package of the store, or a default model"
)
