"""What fast streams hold now, by frequency, in one line of characters each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.wire.batch import Batch
from edgeloop_tools.harness.observer import StreamNow

BARS = "▁▂▃▄▅▆▇█"
EVERY = 0.5
"""Seconds between two transforms of a stream."""
LONGEST = 8192
"""Rows of a batch that are transformed, the newest."""
SLOWEST = 100
"""Streams of fewer samples a second, or of batches shorter than SHORTEST, have no line."""
SHORTEST = 64
RANGE = 60.0
"""dB below the loudest the stream has been so far: the foot of the line."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """upto: Hz, the right end of the line, which begins at 0 Hz; peak: Hz of the strongest component."""

    line: str
    upto: float
    peak: float


class Spectra:
    """One line per fast stream, computed again at most twice a second. clock: s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, int, Spectrum]] = {}
        self._loudest: dict[str, float] = {}

    def of(self, streams: Mapping[str, StreamNow], width: int) -> Iterator[tuple[str, Spectrum]]:
        """(stream, spectrum) by name; width: characters."""
        for name, stream in sorted(streams.items()):
            batch = stream.newest
            if batch is None or batch.rate is None or batch.rate < SLOWEST or len(batch) < SHORTEST:
                continue
            at, known = self._clock(), self._known.get(name)
            if known is None or at - known[0] >= EVERY or known[1] != width:
                known = self._known[name] = (at, width, self._spectrum(name, batch, float(batch.rate), width))
            yield name, known[2]

    def _spectrum(self, name: str, batch: Batch, rate: float, width: int) -> Spectrum:
        power, step = spectrum(batch.values()[-LONGEST:], rate)
        bands = 10 * np.log10(np.maximum(reduced(power, width), 1e-30))
        loudest = self._loudest[name] = max(self._loudest.get(name, -np.inf), float(bands.max()))
        heights = np.clip((bands - loudest + RANGE) / RANGE * len(BARS), 0, len(BARS) - 1).astype(int)
        peak = (int(power.argmax()) + 1) * step
        return Spectrum("".join(BARS[height] for height in heights), rate / 2, peak)


def spectrum(values: NDArray[np.floating], rate: float) -> tuple[NDArray[np.float64], float]:
    """(samples, channels) at `rate` Hz → power of all channels together without the mean, and Hz from bin to bin.

    >>> t = np.arange(512) / 1024
    >>> power, step = spectrum(np.cos(2 * np.pi * 100 * t)[:, None], 1024)
    >>> (int(power.argmax()) + 1) * step
    100.0
    """
    samples = np.nan_to_num(np.asarray(values, dtype=np.float64))
    window = np.hanning(len(samples))[:, None]
    lines = np.fft.rfft((samples - samples.mean(axis=0)) * window, axis=0)[1:] * (4 / len(samples))
    return np.square(np.abs(lines)).sum(axis=1), rate / len(samples)


def reduced(power: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The strongest bin of each of `width` equal bands, or the bins themselves where there are no more than that.

    >>> reduced(np.array([1.0, 5.0, 2.0, 3.0]), 2).tolist()
    [5.0, 3.0]
    """
    edges = np.linspace(0, len(power), min(width, len(power)) + 1).astype(int)[:-1]
    strongest: NDArray[np.float64] = np.maximum.reduceat(power, edges)
    return strongest
