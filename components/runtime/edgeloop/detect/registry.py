"""The detectors there are: one folder each, and those that the line's owner adds."""

from __future__ import annotations

from edgeloop.detect.events.registered import EVENTS
from edgeloop.detect.levels.registered import LEVELS
from edgeloop.detect.models.registered import MODELS
from edgeloop.detect.protocol import Registry
from edgeloop.detect.states.registered import STATES

DETECTORS = Registry()
for _type in (EVENTS, STATES, LEVELS, MODELS):
    DETECTORS.add(_type)
