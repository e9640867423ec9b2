"""Events: single points that should not be, of rows of values; each context has its own idea of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.events.detector import EventDetector, EventScores
from edgeloop.detect.events.settings import EventSettings

MOST = 16
"""Contexts; the one that was not seen for the longest time goes first."""

State = dict[str, NDArray[np.generic]]


class EventContexts:
    """The detectors of a monitor's events, by context."""

    def __init__(self, channels: int, settings: EventSettings) -> None:
        self.channels, self.settings = channels, settings
        self._detectors: dict[str, EventDetector] = {}

    def update(self, rows: NDArray[np.float64], context: str, harder: float = 0.0) -> EventScores:
        """harder: decades by which an alert needs more."""
        detector = self._detectors.pop(context, None)
        if detector is None:
            detector = EventDetector(self.channels, self.settings)
            while len(self._detectors) >= MOST:
                del self._detectors[next(iter(self._detectors))]
        self._detectors[context] = detector
        return detector.update(rows, harder)

    def interrupt(self) -> None:
        for detector in self._detectors.values():
            detector.interrupt()

    def relearn(self) -> None:
        self._detectors.clear()

    def state(self) -> State:
        own: State = {"contexts": np.array(list(self._detectors), dtype=np.str_)}
        for i, detector in enumerate(self._detectors.values()):
            own |= {f"{i}.{k}": v for k, v in detector.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        found = {}
        for i, context in enumerate(state.get("contexts", ())):
            detector = EventDetector(self.channels, self.settings)
            if not detector.restore({k[len(f"{i}.") :]: v for k, v in state.items() if k.startswith(f"{i}.")}):
                return False
            found[str(context)] = detector
        self._detectors = found
        return True
