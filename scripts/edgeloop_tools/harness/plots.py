"""Plots of a run as inline SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("svg")

import itertools

from matplotlib import pyplot

from edgeloop.clock import NS
from edgeloop.config import units
from edgeloop.data import read
from edgeloop_tools.harness.history import History, Series
from edgeloop_tools.harness.judge import Fault
from edgeloop_tools.harness.recording import Received, Recording, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, PAPER, ALARM = "#1d2733", "#8a94a0", "#ffffff", "#c0262d"
KINDS = {
    "outer_race": "#f3b562",
    "imbalance": "#9ecae1",
    "drift": "#b8d8a8",
    "dropout": "#d4c5e8",
    "clock_jump": "#f2c6d0",
    "recorded": "#f3b562",
}
LINES = ("#2c6fbb", "#d8743a", "#3c9a5f", "#8b5fbf", "#b58900", "#d14d72", "#4aa3a2", "#6b7280")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": "#c9d0d8",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#edf0f3",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "svg.fonttype": "none",
    "svg.hashsalt": "edgeloop",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
}


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Envelope spectra of one channel, healthy and during a fault; marks: name → Hz."""

    title: str
    unit: str
    frequency: NDArray[np.float64]
    healthy: NDArray[np.float64]
    faulty: NDArray[np.float64]
    marks: Mapping[str, float]


def machine(
    asset: str,
    streams: Sequence[str],
    history: History,
    scores: Mapping[str, Sequence[Score]],
    faults: Sequence[Fault],
    alarms: Sequence[Received],
    kills: Sequence[int],
    zero: int,
    span: float,
) -> str:
    """A machine's streams, and the return times of its monitors, over the faults (shaded) and alarms (red)."""
    shown = [s for s in streams if s in history.series and history.series[s].times]
    rows = len(shown) + 1
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(rows, 1, figsize=(10.5, 1.2 + 1.55 * rows), sharex=True, layout="constrained")
        panels: list[Axes] = list(np.atleast_1d(axes))
        for axis, name in zip(panels, shown, strict=False):
            _stream(axis, name, history.series[name], zero)
        last = panels[-1]
        for number, (monitor, series) in enumerate(sorted(scores.items())):
            times = np.array([(s.at - zero) / NS for s in series])
            levels = np.array([_level(s) for s in series])
            step = max(1, len(times) // 2000)
            times, levels = times[::step], levels[::step]
            for piece in _pieces(times, 10 * _step(times)):
                label = monitor if piece.start == 0 else None
                last.plot(times[piece], levels[piece], color=LINES[number % 8], linewidth=1.1, label=label)
        last.set_ylabel("return time\nlog10 s")
        last.set_xlabel("seconds")
        if scores:
            last.legend(loc="upper left", ncols=4)
        for axis in panels:
            _spans(axis, faults, zero)
            for alarm in alarms:
                axis.axvline((alarm.at - zero) / NS, color=ALARM, linewidth=1.2)
            for kill in kills:
                axis.axvline((kill - zero) / NS, color=INK, linewidth=1, linestyle=(0, (1, 2)))
        _names(panels[0], faults, zero)
        panels[0].set_xlim(min(0.0, _earliest(history, shown, zero)), span)
        figure.suptitle(asset, x=0.01, ha="left", fontsize=11, fontweight="bold")
        return _svg(figure)


def spectrum(data: Spectrum) -> str:
    """Envelope spectrum before and during a bearing fault."""
    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(10.5, 2.9), layout="constrained")
        axis.plot(data.frequency, data.faulty, color=ALARM, linewidth=1, label="during the fault")
        axis.plot(data.frequency, data.healthy, color=LINES[0], linewidth=1, label="before")
        top = float(max(data.faulty.max(initial=0), data.healthy.max(initial=0))) or 1.0
        for name, hertz in data.marks.items():
            if hertz <= data.frequency[-1]:
                axis.axvline(hertz, color=QUIET, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
                axis.text(hertz, top * 1.02, name, fontsize=7, color=QUIET, ha="center", va="bottom")
        axis.set_xlabel("Hz")
        axis.set_ylabel(units.shown(data.unit))
        axis.set_ylim(0, top * 1.12)
        axis.legend(loc="upper right")
        figure.suptitle(data.title, x=0.01, ha="left", fontsize=9.5)
        return _svg(figure)


def uploaded(folder: Path, stream: str) -> str:
    """What arrived in the cloud, as anybody would plot it."""
    table = read(folder, stream, form="arrow")
    names = [f.name for f in table.schema if (f.metadata or {}).get(b"unit") is not None][:4]
    times = table["time"].to_numpy()
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(names), 1, figsize=(10.5, 0.6 + 1.2 * len(names)), sharex=True, layout="constrained", squeeze=False
        )
        for number, (axis, name) in enumerate(zip(axes[:, 0], names, strict=True)):
            axis.plot(times, table[name].to_numpy(), color=LINES[number], linewidth=1)
            axis.set_ylabel(f"{name}\n{units.shown(table.schema.field(name).metadata[b'unit'].decode())}")
        figure.suptitle(f"{stream}, {table.num_rows:,} samples read back", x=0.01, ha="left", fontsize=9.5)
        return _svg(figure)


def latency(sample_to_alert: Sequence[float], onset: Mapping[str, Sequence[float]]) -> str:
    """Each alarm as a dot: from its newest sample (ms), and from the start of its fault (s) by kind."""
    with pyplot.rc_context(STYLE):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(10.5, 2.3), layout="constrained")
        ordered = np.sort(np.array(sample_to_alert, dtype=float))
        if len(ordered):
            left.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color=LINES[0])
            left.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), "o", color=LINES[0], markersize=3)
            left.set_xlim(0, float(ordered[-1]) * 1.1 + 1)
        left.set_ylim(0, 1.05)
        left.set_xlabel("ms from newest sample to alarm")
        left.set_ylabel("share of alarms")
        kinds = sorted(onset)
        for row, kind in enumerate(kinds):
            seconds = np.array(onset[kind]) / 1e3
            right.plot(seconds, np.full(len(seconds), row), "o", color=LINES[row % 8], markersize=4, alpha=0.8)
        right.set_yticks(range(len(kinds)), [k.replace("_", " ") for k in kinds])
        right.set_ylim(-0.6, max(0.6, len(kinds) - 0.4))
        right.set_xlim(left=0)
        right.set_xlabel("s from start of fault to alarm")
        return _svg(figure)


def traffic(recording: Recording, start: int, end: int) -> str:
    """Bus messages a second over the run."""
    first, last = start // NS, end // NS
    counts = [recording.per_second.get(s, 0) for s in range(first, last)]
    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(10.5, 1.7), layout="constrained")
        axis.fill_between(range(len(counts)), counts, step="post", color="#cfe0f3", edgecolor=LINES[0], linewidth=0.8)
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, max(1, len(counts)))
        axis.set_xlabel("seconds")
        axis.set_ylabel("messages/s")
        return _svg(figure)


def _stream(axis: Axes, name: str, series: Series, zero: int) -> None:
    times, rows = series.arrays()
    seconds = (times - zero) / NS
    shown = rows
    label = f"{name}\nRMS {units.shown(series.units[0])}" if series.fast else name
    if not series.fast and rows.shape[1] > 1:
        centre, spread = np.nanmedian(rows, axis=0), np.nanstd(rows, axis=0)
        shown = (rows - centre) / np.where(spread > 0, spread, 1)
        label = f"{name}\n(standardised)"
    for column, channel in enumerate(series.channels):
        for piece in _pieces(seconds, 1.0 if series.fast else 5 * _step(seconds)):
            first = piece.start == 0
            axis.plot(
                seconds[piece], shown[piece, column], color=LINES[column % 8], linewidth=0.9,
                label=channel if first else None,
            )  # fmt: skip
    axis.set_ylabel(label, fontsize=7.5)
    axis.legend(loc="upper left", ncols=8 if sum(map(len, series.channels)) < 70 else 4)


def _level(score: Score) -> float:
    level = score.result.return_time if score.result.return_time is not None else score.result.score
    return float("nan") if level is None else level


def _step(seconds: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(np.diff(seconds)))) if len(seconds) > 1 else 1.0


def _pieces(seconds: NDArray[np.float64], gap: float) -> list[slice]:
    cuts = [0, *(int(i) + 1 for i in np.flatnonzero((np.diff(seconds) > gap) | (np.diff(seconds) <= 0))), len(seconds)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def _earliest(history: History, streams: Sequence[str], zero: int) -> float:
    return min(((min(history.series[s].times) - zero) / NS for s in streams), default=0.0)


def _spans(axis: Axes, faults: Sequence[Fault], zero: int) -> None:
    for fault in faults:
        start, end = (fault.start - zero) / NS, (fault.end - zero) / NS
        axis.axvspan(start, end, color=KINDS.get(fault.kind, "#dddddd"), alpha=0.55, linewidth=0, zorder=0)


def _names(axis: Axes, faults: Sequence[Fault], zero: int) -> None:
    for fault in faults:
        axis.annotate(
            fault.kind.replace("_", " "), ((fault.start - zero) / NS, 1.0), xycoords=("data", "axes fraction"),
            xytext=(1, 2), textcoords="offset points", fontsize=7, color=QUIET,
        )  # fmt: skip


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor=PAPER, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    return re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1, flags=re.S)
