"""Windows of samples, what is known of each, and which of them train, calibrate and measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms.labels import Label
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.train.recording import HOLE, Recording

HEALTHY, FAULTY, LEFT_OUT = 0, 1, 2
BLOCKS_FROM = 200.0
"""Hz: from here on a window is of a spectrum's length."""
ROWS, SPECTRUM = 64, 4096
LEAST_ROWS, MOST_ROWS = 8, 1 << 17
FEWEST = 50
"""Windows to learn from, and to calibrate on."""
MOST = 20_000
"""Windows of a part; of more, evenly spaced ones are taken."""
GUARD = 1
"""Windows before a fault that are neither healthy nor faulty: an alarm begins after its fault."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """rows, hop: samples. rate: Hz."""

    rows: int
    hop: int
    rate: float

    @property
    def step(self) -> float:
        """s between two windows."""
        return self.hop / self.rate

    @property
    def length(self) -> float:
        """s."""
        return self.rows / self.rate


def shape(rate: float, window: float, hop: float) -> Shape:
    """window, hop: s; 0: by the rate. Raises EdgeloopError.

    >>> shape(10.0, 0, 0)
    Shape(rows=64, hop=16, rate=10.0)
    >>> shape(25600.0, 0.1, 0)
    Shape(rows=2560, hop=2560, rate=25600.0)
    """
    fast = rate >= BLOCKS_FROM
    rows = round(window * rate) if window else SPECTRUM if fast else ROWS
    if not LEAST_ROWS <= rows <= MOST_ROWS:
        why = f"{rows} samples at {rate:.6g} Hz, {LEAST_ROWS} to {MOST_ROWS} are possible"
        mend = f"from {LEAST_ROWS / rate:.3g} s to {MOST_ROWS / rate:.3g} s"
        raise EdgeloopError("no such window", where="--window", why=why, mend=mend)
    step = max(1, round(hop * rate)) if hop else rows if fast else max(1, rows // 4)
    return Shape(rows, step, rate)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """recording, row (n,): where each begins. first, last (n,): ns UTC of its first and last sample. kind (n,).
    dropped: with values that are missing."""

    recordings: Sequence[Recording]
    shape: Shape
    recording: Places
    row: Places
    first: Places
    last: Places
    kind: NDArray[np.int8]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: NDArray[np.bool_] | Places) -> Windows:
        return Windows(
            self.recordings, self.shape, self.recording[which], self.row[which], self.first[which], self.last[which],
            self.kind[which],
        )  # fmt: skip

    def few(self, most: int = MOST) -> Windows:
        """At most so many, evenly spaced."""
        if len(self) <= most:
            return self
        return self.take(np.linspace(0, len(self) - 1, most).round().astype(np.int64))

    def chunks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """(at most size, rows, channels), in order."""
        for at in range(0, len(self), size):
            part = slice(at, at + size)
            yield np.stack([
                self.recordings[r].values[row : row + self.shape.rows]
                for r, row in zip(self.recording[part], self.row[part], strict=True)
            ])  # fmt: skip

    @property
    def seconds(self) -> float:
        """That the windows stand for."""
        return len(self) * self.shape.step


def windows(recordings: Sequence[Recording], form: Shape, labels: Sequence[Label]) -> Windows:
    """All of them, by time; none reaches over a hole."""
    parts: list[tuple[Places, Places, Places, Places]] = []
    dropped = 0
    for number, recording in enumerate(recordings):
        far = np.concatenate(([True], np.diff(recording.times) > HOLE * recording.step))
        edges = np.append(np.flatnonzero(far | recording.breaks), len(recording))
        begins = [np.arange(a, b - form.rows + 1, form.hop) for a, b in pairwise(edges)]
        rows = np.concatenate([*begins, np.zeros(0, np.int64)]).astype(np.int64)
        bad = np.concatenate(([0], np.cumsum(~np.isfinite(recording.values).all(axis=1))))
        whole = bad[rows + form.rows] == bad[rows]
        dropped += int((~whole).sum())
        rows = rows[whole]
        times = recording.times
        parts.append((np.full(len(rows), number), rows, times[rows], times[rows + form.rows - 1]))
    columns = [np.concatenate(c).astype(np.int64) for c in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0], columns[3]))
    which, row, first, last = (c[order] for c in columns)
    return Windows(recordings, form, which, row, first, last, kinds(first, last, labels, form), dropped)


def kinds(first: Places, last: Places, labels: Sequence[Label], form: Shape) -> NDArray[np.int8]:
    """What operators said: `true` alarms are faults, `maintenance` is left out, the rest is healthy."""
    kind = np.zeros(len(first), np.int8)
    guard = round(GUARD * form.length * NS)
    for label in (x for x in labels if x.reason == "maintenance"):
        kind[(first <= label.end) & (last >= label.start)] = LEFT_OUT
    faults = [x for x in labels if x.reason == "true"]
    for label in faults:
        kind[(first <= label.end) & (last >= label.start - guard)] = LEFT_OUT
    for label in faults:
        kind[(last >= label.start) & (last <= label.end)] = FAULTY
    return kind


@dataclass(frozen=True, slots=True)
class Parts:
    """train, calibrate, healthy: by time, without a sample in common. faulty: what is known to be bad."""

    train: Windows
    calibrate: Windows
    healthy: Windows
    faulty: Windows


def split(found: Windows, validation: Windows | None) -> Parts:
    """Three fifths of the healthy time to learn, a fifth each to calibrate and to measure; with validation data three
    quarters and one. Raises EdgeloopError where there is too little."""
    good = found.take(found.kind == HEALTHY)
    _enough(good, found)
    shares = (0.6, 0.8) if validation is None else (0.75, 1.0)
    cuts = [int(good.last[min(len(good) - 1, int(share * len(good)))]) for share in shares]
    train = good.take(good.last <= cuts[0])
    rest = good.take(good.first > cuts[0])
    if validation is None:
        calibrate, healthy = rest.take(rest.last <= cuts[1]), rest.take(rest.first > cuts[1])
        faulty = found.take(found.kind == FAULTY)
    else:
        calibrate, healthy = rest, validation.take(validation.kind == HEALTHY)
        faulty = validation.take(validation.kind == FAULTY)
    for name, part in (("learn from", train), ("calibrate on", calibrate), ("measure on", healthy)):
        if len(part) < (FEWEST if part is train else FEWEST // 3):
            _short(found, f"{len(part)} windows are left to {name}")
    return Parts(train.few(), calibrate.few(), healthy.few(), faulty.few())


def _enough(good: Windows, found: Windows) -> None:
    if len(good) < 2 * FEWEST:
        _short(found, f"{len(good)} healthy windows, {2 * FEWEST} are needed")


def _short(found: Windows, why: str) -> None:
    form = found.shape
    rows = sum(len(r) for r in found.recordings)
    names = found.recordings[0].where + (f" and {len(found.recordings) - 1} more" if len(found.recordings) > 1 else "")
    why += f" of {form.length:.4g} s from {rows:,} rows"
    if found.dropped:
        worst = max(found.recordings, key=lambda r: float((~np.isfinite(r.values)).mean()))
        share = ~np.isfinite(worst.values)
        column = worst.channels[int(share.mean(axis=0).argmax())]
        why += f"; {found.dropped} have missing values, most of {column} in {worst.where}"
    raise EdgeloopError("too little to train on", where=names, why=why, mend="give more data, or a shorter --window")
