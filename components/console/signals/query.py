"""What a chart asks: a stream between two times, at most so many points."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from console.signals import pyramid
from console.signals.pyramid import Bins, Column, thinned
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.journal import JournalReader, directory, since
from edgeloop.journal.segment import segments
from edgeloop.wire.batch import Batch, row_times

MOST: Final = 4_000
FINE: Final = 16
"""Bins read for each point that is drawn."""
RAW_BYTES: Final = 48 << 20
"""Of the journal, that one question reads."""
SEGMENT: Final = 16 << 20
"""Of the journal, that lies in one file by default."""
RAW_ROWS: Final = 600_000
LINE, ROWS, COLUMNS = 2_048, 120, 256
"""Of a waterfall: samples of a line, lines, and frequencies of each."""


def points(root: Path, folder: Path, stream: str, start: int, end: int, most: int, raw: bool) -> dict[str, Any]:
    """The chart of [start, end) in ns UTC. raw: from the journal, as far as it reaches, before the history is asked.

    Times are ms since 1970; `low`, `high` and `mean` have a list for each channel.
    """
    if not 0 < start < end:
        raise EdgeloopError("not a span of time", where=f"{start}..{end}", mend="from < to, ns since 1970")
    most = max(2, min(most, MOST))
    raw = raw and not _longer(root, start, end)
    if raw and (found := samples(root, stream, start, end)) is not None:
        columns, times, values = found
        bins = thinned(Bins(columns, times, *(values,) * 3), most)
        return _document(stream, bins, "raw" if len(bins.times) == len(times) else "journal")
    kept = pyramid.read(folder / stream, start, end, most * FINE)
    if kept is None:
        if raw or (found := samples(root, stream, start, end)) is None:
            return {"stream": stream, "from": "none", "channels": [], "units": [], "times": [], "low": [], "high": [],
                    "mean": []}  # fmt: skip
        columns, times, values = found
        kept = Bins(columns, times, *(values,) * 3)
    return _document(stream, thinned(kept, most), "history")


def samples(
    root: Path, stream: str, start: int, end: int
) -> tuple[tuple[Column, ...], NDArray[np.int64], NDArray[np.float32]] | None:
    """(columns, times (n,) ns, values (n, channels)) out of the journal; None where it holds none of them."""
    folder = directory(root)
    reader = JournalReader(folder, since(folder, start))
    times: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    columns: tuple[Column, ...] = ()
    rows = 0
    try:
        for item, _ in reader.read(limit_bytes=RAW_BYTES):
            if not isinstance(item, Batch) or item.stream != stream or not len(item):
                continue
            if item.time >= end or rows > RAW_ROWS:
                break
            when = row_times(item)
            inside = (when >= start) & (when < end)
            if not inside.any():
                continue
            names = tuple(Column(c.name, c.unit) for c in item.channels)
            if names != columns:
                columns, times, values, rows = names, [], [], 0
            times.append(when[inside])
            values.append(np.asarray(item.values(), dtype=np.float32)[inside])
            rows += int(inside.sum())
    finally:
        reader.close()
    if not rows:
        return None
    return columns, np.concatenate(times), np.concatenate(values)


def spectrum(root: Path, stream: str, rate: float, end: int, length: int) -> dict[str, Any]:
    """Amplitude spectrum (peak values, Hann window) of each channel: the last `length` samples before `end` (ns UTC).

    rate: Hz, about; that of the answer is counted.
    """
    found = samples(root, stream, end - int(2 * NS * length / max(rate, 1.0)) - NS, end)
    if found is None or len(found[1]) < 16:
        raise EdgeloopError("no samples for a spectrum", where=stream, mend="choose a time that the journal holds")
    columns, times, values = found
    size = min(length, len(times))
    last = values[-size:] - values[-size:].mean(axis=0)
    counted = (size - 1) * NS / float(times[-1] - times[-size])
    window = np.hanning(size)[:, None]
    amplitudes = np.abs(np.fft.rfft(last * window, axis=0)) * 2 / window.sum()
    frequencies = np.fft.rfftfreq(size, 1 / counted)
    return {
        "stream": stream, "rate": counted, "samples": size, "time": int(times[-1] // 1_000_000),
        "channels": [c.name for c in columns], "units": [c.unit for c in columns],
        "frequencies": [round(float(f), 4) for f in frequencies],
        "amplitudes": [[float(f"{v:.5g}") for v in amplitudes[:, c]] for c in range(len(columns))],
    }  # fmt: skip


def waterfall(root: Path, stream: str, rate: float, end: int, channel: str, rows: int) -> dict[str, Any]:
    """Spectra of one channel one after the other, as the journal reaches back from `end` (ns UTC), the oldest first.

    At most ROWS of them, each over LINE samples, half overlapping where there is room; the loudest of neighbouring
    frequencies stands for COLUMNS of them. levels: dB to `reference`, the largest amplitude (peak value, Hann window).
    """
    rows = max(2, min(rows, ROWS))
    length = min(RAW_ROWS, LINE * rows)
    found = samples(root, stream, end - int(NS * length / max(rate, 1.0)) - NS, end)
    if found is None or len(found[1]) < 2 * LINE:
        raise EdgeloopError("no samples for a waterfall", where=stream, mend="choose a time that the journal holds")
    columns, times, values = found
    names = [column.name for column in columns]
    at = names.index(channel) if channel in names else 0
    begins = np.unique(np.linspace(0, len(times) - LINE, rows).astype(int))
    pieces = np.stack([values[begin : begin + LINE, at] for begin in begins]).astype(np.float64)
    window = np.hanning(LINE)
    amplitudes = np.abs(np.fft.rfft((pieces - pieces.mean(axis=1, keepdims=True)) * window, axis=1)) * 2 / window.sum()
    edges = np.unique(np.linspace(0, amplitudes.shape[1], COLUMNS + 1).astype(int))[:-1]
    loudest = np.maximum.reduceat(amplitudes, edges, axis=1)
    top = float(loudest.max()) or 1.0
    counted = (LINE - 1) * NS / float(times[LINE - 1] - times[0])
    whole = np.fft.rfftfreq(LINE, 1 / counted)
    strongest = np.unravel_index(int(amplitudes[:, 1:].argmax()), amplitudes[:, 1:].shape)
    return {
        "stream": stream, "channel": names[at], "unit": columns[at].unit, "reference": float(f"{top:.5g}"),
        "times": [int(times[begin + LINE - 1] // 1_000_000) for begin in begins],
        "frequencies": [round(float(whole[edge]), 3) for edge in edges], "highest": round(float(whole[-1]), 3),
        "strongest": round(float(whole[1 + strongest[1]]), 3),
        "levels": np.round(20 * np.log10(np.maximum(loudest / top, 1e-6))).astype(int).tolist(),
    }  # fmt: skip


def _longer(root: Path, start: int, end: int) -> bool:
    """Whether the journal of [start, end) is more than one question reads, a segment more or less."""
    folder = directory(root)
    first, last = since(folder, start).segment, since(folder, end).segment
    total = 0
    for name in segments(folder):
        if first <= name <= last:
            with suppress(FileNotFoundError):
                total += (folder / name).stat().st_size
    return total > RAW_BYTES + SEGMENT


def _document(stream: str, bins: Bins, origin: str) -> dict[str, Any]:
    def lists(values: NDArray[np.float32]) -> list[list[float | None]]:
        return [[float(f"{v:.6g}") if np.isfinite(v) else None for v in values[:, c]] for c in range(values.shape[1])]

    return {
        "stream": stream, "from": origin,
        "channels": [c.name for c in bins.columns], "units": [c.unit for c in bins.columns],
        "times": [round(t / 1e6, 3) for t in bins.times.tolist()],
        "low": lists(bins.low), "high": lists(bins.high), "mean": lists(bins.mean),
    }  # fmt: skip
