"""`--page`: series, scores, alarms and labels of each recording, as one file that needs nothing else."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import rfc3339
from edgeloop.config.units import shown
from edgeloop.durable import replace
from edgeloop.errors import EdgeloopError
from edgeloop_tools.backtest.recording import Recording
from edgeloop_tools.backtest.replay import Columns
from edgeloop_tools.harness.page import CSS
from edgeloop_tools.harness.plots import ALARM, INK, LINES, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 1200
"""Pairs of lowest and highest value that a series is drawn by."""
SERIES = 12
"""Channels of a recording that are drawn: those that alarms name first."""
RECORDINGS = 40
LABEL = "#f3d9a8"
ROWS = 40
"""Alarms that are listed."""


@dataclass(slots=True)
class Page:
    """Parts of a page, a recording at a time."""

    parts: list[str] = field(default_factory=list)
    left_out: int = 0

    def add(self, name: str, recording: Recording, columns: Columns, lines: Sequence[str]) -> None:
        """lines: what was said of it."""
        if len(self.parts) >= RECORDINGS:
            self.left_out += 1
            return
        times = f"{rfc3339(int(recording.times[0]))[:19]} to {rfc3339(int(recording.times[-1]))[:19]} UTC"
        said = "".join(f"<tr><td>{escape(line)}</td></tr>" for line in lines[:ROWS])
        table = f"<table><tr><th>alarms</th></tr>{said}</table>" if said else '<p class="quiet">No alarm.</p>'
        about = f"{len(recording):,} rows, {times}; {recording.understood}"
        self.parts.append(
            f'<h2>{escape(name)}</h2><p class="quiet">{escape(about)}</p>'
            f'<div class="card">{drawn(recording, columns)}</div><div class="card">{table}</div>'
        )

    def write(self, path: Path, heading: str) -> None:
        """Raises EdgeloopError."""
        more = f'<p class="quiet">{self.left_out} more recordings are not shown.</p>' if self.left_out else ""
        text = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>Edgeloop backtest</title><style>{CSS}</style></head><body><main><h1>Backtest</h1>"
            f'<p class="quiet">{escape(heading)}. Red: alarms. Yellow: labels. Dashed: notices of a new normal.</p>'
            + "\n".join(self.parts) + more + "</main></body></html>\n"
        )  # fmt: skip
        try:
            replace(path, text.encode())
        except OSError as error:
            raise EdgeloopError("cannot write the page", where=str(path), why=error.strerror or str(error)) from None


def drawn(recording: Recording, columns: Columns) -> str:
    """SVG: the channels that matter most, and the scores, on one axis of time."""
    from matplotlib import dates, pyplot

    named = [a.channel for alarm in columns.alarms for a in alarm.cause.attribution[:1]]
    order = sorted(range(len(recording.channels)), key=lambda i: -named.count(recording.channels[i]))
    wanted = sorted(order[:SERIES])
    when = (recording.times // 1000).astype("datetime64[us]")
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(wanted) + 1, 1, sharex=True, figsize=(10.4, 1.15 * len(wanted) + 1.6), squeeze=False
        )
        for row, channel in enumerate(wanted):
            axis = axes[row, 0]
            x, y = thinned(when, recording.values[:, channel])
            axis.plot(x, y, color=LINES[row % len(LINES)], linewidth=0.7)
            unit = shown(recording.units[channel]) if channel < len(recording.units) else ""
            axis.set_ylabel(recording.channels[channel][:18] + (f"\n{unit}" if unit else ""))
            _spans(axis, when, recording, columns)
        axis = axes[-1, 0]
        for score, name, colour in (
            (columns.event_score, "events", LINES[1]), (columns.condition_score, "conditions", INK),
        ):  # fmt: skip
            x, y = thinned(when, score)
            axis.plot(x, y, color=colour, linewidth=0.7, label=name)
        axis.set_ylabel("score\nlog10 s")
        axis.legend(loc="upper left", ncols=2)
        _spans(axis, when, recording, columns)
        concise: Any = dates.ConciseDateFormatter
        axis.xaxis.set_major_formatter(concise(axis.xaxis.get_major_locator()))
        axis.set_xlabel("time, UTC")
        figure.align_ylabels()
        file = io.StringIO()
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    return re.sub(r"^.*?(?=<svg)", "", file.getvalue(), flags=re.DOTALL)


def thinned(x: NDArray[Any], y: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The lowest and the highest of each stretch, so that no spike is lost.

    >>> x, y = thinned(np.arange(10_000), np.where(np.arange(10_000) == 5000, 9.0, 0.0))
    >>> len(y) <= 2 * POINTS, float(y.max())
    (True, 9.0)
    """
    if len(y) <= 2 * POINTS:
        return x, y
    edges = np.linspace(0, len(y), POINTS + 1).astype(int)[:-1]
    low, high = np.fmin.reduceat(y, edges), np.fmax.reduceat(y, edges)
    return np.repeat(x[edges], 2), np.column_stack([low, high]).ravel()


def stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last row of each.

    >>> stretches(np.array([0, 1, 1, 0, 1], bool))
    [(1, 2), (4, 4)]
    """
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0])).reshape(-1, 2)
    return [(int(a), int(b) - 1) for a, b in edges]


def _spans(axis: Axes, when: NDArray[Any], recording: Recording, columns: Columns) -> None:
    for a, b in stretches(recording.labels)[:400]:
        axis.axvspan(when[a], when[b], color=LABEL, alpha=0.55, linewidth=0)
    for a, b in stretches(columns.condition_alert & ~columns.notice)[:400]:
        axis.axvspan(when[a], when[b], color=ALARM, alpha=0.13, linewidth=0)
        axis.axvline(when[a], color=ALARM, linewidth=0.7)
    for a, _ in stretches(columns.notice)[:100]:
        axis.axvline(when[a], color=ALARM, linewidth=0.6, linestyle="--")
    for a, _ in stretches(columns.event_alert)[:400]:
        axis.axvline(when[a], color=ALARM, linewidth=0.5, alpha=0.7)
