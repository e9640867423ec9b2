"""The detectors there are: one folder each, and those that the line's owner adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeloop.detect.events.registered import EVENTS
from edgeloop.detect.levels.registered import LEVELS
from edgeloop.detect.models.registered import MODELS
from edgeloop.detect.outside import outside
from edgeloop.detect.protocol import DetectorType, Registry
from edgeloop.detect.season.registered import SEASON
from edgeloop.detect.states.registered import STATES
from edgeloop.plugins import load, names

RESERVED: Final = ("conditions", "lasting")
"""Words of `detect` and of a monitor's state that no detector can be named by."""


def registry(plugins: Path | str = "", on_failure: Callable[[str], None] = lambda line: None) -> Registry:
    """Ours, and those below `plugins`/detectors, each a package with a DETECTOR; the folder is guarded by the caller.

    One that cannot be used is a line to on_failure, and an error only of the monitors that name it.
    """
    found = Registry()
    for type_ in (EVENTS, STATES, LEVELS, MODELS, SEASON):
        found.add(type_)
    for name in names(plugins, "detectors") if plugins else ():
        try:
            if name in (*RESERVED, *found.names):
                raise ValueError("the name is taken")
            made = load(plugins, "detectors", name, "DETECTOR")
            if not isinstance(made, DetectorType):
                raise TypeError("DETECTOR is no edgeloop.detect.protocol.DetectorType")
            found.add(outside(name, made))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            found.refuse(name, why)
            on_failure(f"the plug-in {plugins}/detectors/{name} is not used: {why}")
    return found


DETECTORS = registry()
