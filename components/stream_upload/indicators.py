"""What always goes up of a fast stream: levels, shape, velocity and bands of each block of it."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from edgeloop.clock import NS
from edgeloop.detect.features import BlockFeatures
from edgeloop.journal import Position
from edgeloop.layout import plain
from edgeloop.wire.batch import Batch, Channel

SUFFIX: Final = "_indicators"
SHORTEST: Final = 64
"""Samples of a block below which there are no indicators."""


class Indicators:
    """Of one stream. Blocks begin at multiples of their length, so that a restart makes the same ones.

    The k-th block of an epoch is sample k of the stream `<stream>_indicators`, at the time of its first sample. A block
    with a gap has none.
    """

    def __init__(self, batch: Batch, block: int) -> None:
        """block: ns."""
        assert batch.rate is not None
        self.shape = _shape(batch)
        self._length = max(1, round(batch.rate * block / NS))
        self._features = BlockFeatures([c.name for c in batch.channels], float(batch.rate), self._length)
        self._bands = [at for at, f in enumerate(self._features.features) if f.kind == "band"]
        self._channels = _channels(self._features, batch.channels)
        self._buffer = np.empty((self._length, len(batch.channels)), dtype=np.float32)
        self._next = -1
        self._filled = 0
        self._time = 0
        self.begin: Position | None = None

    def fits(self, batch: Batch) -> bool:
        return _shape(batch) == self.shape

    def add(self, batch: Batch, before: Position) -> tuple[Batch, Position] | None:
        """The blocks that a batch completes, and where the journal has to be read from to make them again."""
        if batch.index != self._next or batch.discontinuity:
            self._filled, self.begin = 0, None
        self._next = batch.index + len(batch)
        values = batch.values()
        row = 0 if self._filled else -batch.index % self._length
        begin = self.begin
        made: list[np.ndarray] = []
        times: list[int] = []
        first = (batch.index + row) // self._length
        while row < len(batch):
            if not self._filled:
                self.begin, self._time = before, batch.time_of(row)
            count = min(self._length - self._filled, len(batch) - row)
            self._buffer[self._filled : self._filled + count] = values[row : row + count]
            self._filled += count
            row += count
            if self._filled == self._length:
                made.append(self._row())
                times.append(self._time)
                self._filled, self.begin = 0, None
        if not made:
            return None
        derived = Batch(
            batch.stream + SUFFIX, batch.epoch, first, times[0], self._channels, np.vstack(made),
            times=np.array(times, dtype=np.int64), clock=batch.clock,
        )  # fmt: skip
        return derived, begin or before

    def _row(self) -> np.ndarray:
        features, indicators = self._features(self._buffer)
        bands = np.exp(features[self._bands])
        return np.concatenate([*indicators.values(), bands]).astype(np.float32)


def _shape(batch: Batch) -> object:
    return batch.epoch, batch.channels, batch.rate


def _channels(features: BlockFeatures, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    units = {c.name: c.unit for c in channels}
    found = []
    for name in ("rms", "peak", "crest", "kurtosis", "velocity"):
        for c in channels:
            unit = "1" if name in ("crest", "kurtosis") else _integral(c.unit) if name == "velocity" else c.unit
            found.append(Channel(f"{c.name}_{name}", unit))
    for feature in features.features:
        if feature.kind == "band":
            found.append(Channel(f"{feature.channel}_{_plain(feature.name)}", units[feature.channel]))
    return tuple(found)


def _integral(unit: str) -> str:
    return "m/s" if unit == "m/s2" else f"{unit}.s"


def _plain(name: str) -> str:
    """
    >>> _plain("band 3.2–6.4 kHz")
    'band_3200_6400_hz'
    """
    return plain(re.sub(r"[^A-Za-z0-9.]+", "_", name))
