"""What was learned and where the samples stand, on disk: rarely enough that flash lives."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edgeloop import clock
from edgeloop.detect import state
from edgeloop.detect.state import States
from edgeloop.durable import Snapshot
from edgeloop.journal import Position

OLDEST: Final = 300 * clock.NS
"""Age of what was saved from which on the samples since then are left out."""
DAY: Final = 8_000_000
"""Bytes a day to which savings keep, but for one every four minutes."""
PLACE: Final = ".samples"
"""The name of the place in the journal among what was learned."""


class LearnedFile:
    """`save` where it is `due`; nothing is written where nothing has changed."""

    def __init__(self, path: Path, every: float) -> None:
        self._file = Snapshot(path, every=every, day=DAY)

    @property
    def due(self) -> bool:
        return self._file.due

    def later(self) -> None:
        self._file.later()

    def save(self, states: States, position: Position) -> None:
        """Raises OSError, leaving the old."""
        place = {"segment": np.array([position.segment]), "offset": np.array([position.offset])}
        self._file.save(state.encode({**states, PLACE: place}), state.content(states))

    def load(self) -> tuple[dict[str, state.State], Position | None]:
        """By name, and where to go on if that was just now. Raises ValueError, OSError and KeyError."""
        states = state.load(self._file.path)
        place = states.pop(PLACE, None)
        if place is None:
            return states, None
        age = clock.now() - self._file.path.stat().st_mtime_ns
        position = Position(str(place["segment"][0]), int(place["offset"][0]))
        return states, position if 0 <= age <= OLDEST else None
