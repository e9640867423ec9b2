"""What a block of vibration says: levels, shaft orders, bands and the envelope at the bearing's frequencies.

Envelope analysis after R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial", Mechanical
Systems and Signal Processing 25 (2011); spectral kurtosis after J. Antoni, MSSP 20 (2006); velocity as in ISO 20816-1.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["value", "level", "rms", "shape", "order", "band", "bearing", "impact"]
Float = NDArray[np.float64]

TINY = 1e-12
HARMONICS = 3
ENVELOPE_BANDS = 4
BANDS_PER_OCTAVE = 1.0


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of one channel. Logarithmic ones are natural logarithms of an amplitude, so that exp(Δ) is a ratio.

    floor: the smallest standard deviation that is ever believed.
    specific: how much the feature says about the cause; words prefer the specific one among equals.
    """

    channel: str
    name: str
    kind: Kind
    logarithmic: bool
    floor: float
    specific: float = 1.0


def span(low: float, high: float) -> str:
    """
    >>> span(3200, 6400), span(50, 100)
    ('3.2–6.4 kHz', '50–100 Hz')
    """
    return f"{low / 1000:.3g}–{high / 1000:.3g} kHz" if high >= 1000 else f"{low:.3g}–{high:.3g} Hz"


def _smooth(n: int) -> int:
    """The largest length up to n without a prime factor above 5, whose transform is fast.

    >>> _smooth(163), _smooth(256), _smooth(1)
    (162, 256, 1)
    """
    while n > 1:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            break
        n -= 1
    return n


class BlockFeatures:
    """Features of blocks of one size; all channels at once.

    Args:
        rate: samples a second.
        length: samples of a block.
        shaft: turns a second, where known.
        bearing: characteristic frequencies as multiples of the shaft's, by name, for example {"outer_race": 3.585}.
    """

    def __init__(
        self,
        channels: Sequence[str],
        rate: float,
        length: int,
        *,
        shaft: float | None = None,
        bearing: Mapping[str, float] | None = None,
    ) -> None:
        self.channels = tuple(channels)
        self.rate, self.length = rate, length
        self._window = np.hanning(length + 2)[1:-1].astype(np.float32)
        self._power = 2.0 / float(np.sum(self._window**2)) / length
        resolution = rate / length
        frequencies = np.fft.rfftfreq(length, 1 / rate)
        names: list[tuple[str, Kind, float, float]] = [
            ("RMS", "rms", 0.03, 1.0),
            ("peak", "rms", 0.08, 0.8),
            ("crest factor", "shape", 0.08, 0.7),
            ("kurtosis", "shape", 0.08, 0.9),
        ]
        self._sums: list[slice] = []
        if shaft:
            for order in range(1, HARMONICS + 1):
                centre = order * shaft
                if centre > 0.45 * rate:
                    break
                self._sums.append(self._around(centre, max(2 * resolution, 0.03 * centre), resolution))
                names.append((f"{order}× shaft", "order", 0.05, 1.3))
        low = max(10.0, 2.5 * resolution)
        octaves = np.log2(0.5 * rate / low)
        edges = low * 2 ** (octaves * np.linspace(0, 1, max(2, round(octaves * BANDS_PER_OCTAVE)) + 1))
        for a, b in itertools.pairwise(edges):
            self._sums.append(slice(round(a / resolution), max(round(a / resolution) + 1, round(b / resolution))))
            names.append((f"band {span(a, b)}", "band", 0.05, 1.0))
        self._starts = np.array([s.start for s in self._sums])
        self._stops = np.array([min(s.stop, len(frequencies)) for s in self._sums])

        self._envelopes: list[tuple[slice, NDArray[np.floating]]] = []
        rates = {name: ratio * shaft for name, ratio in (bearing or {}).items()} if shaft else {}
        top = max(rates.values(), default=150.0) * (HARMONICS + 1)
        begin = max(0.02 * rate, 4 * top / HARMONICS, 1.0)
        cuts = begin * (0.48 * rate / begin) ** np.linspace(0, 1, ENVELOPE_BANDS + 1) if begin < 0.24 * rate else ()
        for a, b in itertools.pairwise(cuts):
            start = round(a / resolution)
            band = slice(start, start + _smooth(round(b / resolution) - start))
            if band.stop - band.start < 16:
                continue
            half = (band.stop - band.start) * resolution / 2
            half_lines = (band.stop - band.start) // 2 + 1
            groups: list[Float] = []
            for name, frequency in rates.items():
                lines = [h * frequency for h in range(1, HARMONICS + 1) if h * frequency < half]
                if not lines:
                    continue
                chosen = np.zeros(half_lines, dtype=np.float32)
                for f in lines:
                    chosen[self._around(f, max(1.5 * resolution, 0.01 * f), resolution)] += 1
                groups.append(chosen)
                names.append((f"{name.replace('_', '-')} band", "bearing", 0.10, 2.0))
            names.append((f"impacts {span(a, b)}", "impact", 0.08, 0.9))
            self._envelopes.append((band, np.array(groups).reshape(len(groups), half_lines).T))
        self.features = tuple(
            Feature(channel, name, kind, True, floor, specific)
            for channel in self.channels
            for name, kind, floor, specific in names
        )
        self.levels = tuple(
            Feature(channel, name, "level", False, 0.0) for name in ("level", "slope") for channel in self.channels
        )
        ramp = np.arange(length) - (length - 1) / 2
        self._ramp = ramp * (length / float((ramp * ramp).sum()))
        velocity = (frequencies >= 10) & (frequencies <= min(1000.0, 0.45 * rate))
        self._velocity = np.zeros(len(frequencies), dtype=np.float32)
        self._velocity[velocity] = 1 / (2 * np.pi * frequencies[velocity]) ** 2

    def level(self, block: NDArray[np.floating]) -> Float:
        """(length, channels) → in the order of `levels`: the mean of a block, and by how much it rises in it."""
        x = np.asarray(block, dtype=np.float64)
        mean = x.mean(axis=0)
        return np.concatenate([mean, self._ramp @ (x - mean)])

    @staticmethod
    def _around(centre: float, width: float, resolution: float) -> slice:
        low = max(1, round((centre - width) / resolution))
        return slice(low, max(low + 1, round((centre + width) / resolution) + 1))

    def __call__(self, block: NDArray[np.floating]) -> tuple[Float, dict[str, Float]]:
        """(length, channels) → the features in the order of `features`, and the indicators, each (channels,).

        A channel with a value that is not finite has NaN features.
        """
        centred = np.array(block.T, dtype=np.float64, order="C")
        centred -= centred.mean(axis=1, keepdims=True)
        peak = np.maximum(centred.max(axis=1), -centred.min(axis=1)) + TINY
        centred /= peak[:, None]
        x = centred.astype(np.float32)
        level = np.sqrt(np.einsum("ij,ij->i", x, x) / self.length) + TINY
        rms = peak * level
        x /= level[:, None]
        square = x * x
        kurtosis = np.einsum("ij,ij->i", square, square) / self.length + TINY
        x *= self._window
        spectrum = np.fft.rfft(x)
        power = spectrum.real**2
        power += spectrum.imag**2
        power *= self._power
        total = np.zeros((len(power), power.shape[1] + 1))
        np.cumsum(power, axis=1, out=total[:, 1:])
        loudness = np.log(rms)
        rows = [loudness, np.log(peak), np.log(peak / rms), np.log(kurtosis)]
        bands = np.maximum(total[:, self._stops] - total[:, self._starts], 0) + TINY
        rows.extend(loudness + 0.5 * np.log(bands.T))
        for band, chosen in self._envelopes:
            rows.extend(self._envelope(spectrum[:, band], chosen))
        values = np.array(rows, dtype=np.float64).T
        values[~np.isfinite(values).all(axis=1)] = np.nan
        velocity = rms * np.sqrt(power @ self._velocity)
        indicators = {"rms": rms, "peak": peak, "crest": peak / rms, "kurtosis": kurtosis, "velocity": velocity}
        return values.ravel(), indicators

    @staticmethod
    def _envelope(band: NDArray[np.complexfloating], chosen: NDArray[np.floating]) -> Float:
        """Squared envelope of a band by the inverse transform of its bins alone, already decimated to its width.

        chosen: (lines, groups), which lines of the envelope's spectrum belong to a bearing frequency.
        """
        analytic = np.fft.ifft(band)
        envelope = analytic.real**2
        envelope += analytic.imag**2
        spectrum = np.fft.rfft(envelope)
        lines = spectrum.real**2
        lines += spectrum.imag**2
        mean = envelope.mean(axis=1) + TINY
        impacts = np.einsum("ij,ij->i", envelope, envelope) / envelope.shape[1] / mean**2
        bearing = lines @ chosen / (lines[:, :1] + TINY)
        return np.asarray(0.5 * np.log(np.vstack([bearing.T, impacts]) + TINY), dtype=np.float64)
