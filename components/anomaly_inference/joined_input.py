"""The further inputs of a monitor, as of the times of its first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeloop.join import AsOf
from edgeloop.wire.batch import Batch, row_times


class JoinedInput:
    """One further input."""

    def __init__(self) -> None:
        self.channels: tuple[str, ...] = ()
        self._past: AsOf | None = None

    def add(self, batch: Batch) -> None:
        names = tuple(f"{batch.stream}.{c.name}" for c in batch.channels)
        if self._past is None:
            self.channels, self._past = names, AsOf(len(names))
        if names != self.channels:
            return
        self._past.add(row_times(batch), batch.values().astype(np.float64))

    def at(self, times: NDArray[np.int64], tolerance: int) -> NDArray[np.float64]:
        if self._past is None:
            return np.full((len(times), len(self.channels)), np.nan)
        return self._past.at(times, tolerance)

    def state(self) -> dict[str, NDArray[np.generic]]:
        if self._past is None:
            return {}
        return {"channels": np.array(self.channels, dtype=np.str_), **self._past.state()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        if state:
            self.channels = tuple(str(c) for c in state["channels"])
            self._past = AsOf(len(self.channels))
            self._past.restore(state)
