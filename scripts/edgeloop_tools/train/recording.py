"""What there is to train on, as runs of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS, rfc3339
from edgeloop.errors import EdgeloopError

CHUNK = 32
"""Rows over which a rate is judged."""
HOLE = 2.5
"""Steps without a sample after which what follows does not continue what was before."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One file, or one run of one device. times (n,): ns UTC. values (n, channels) float32, physical units, NaN where
    missing. breaks (n,): rows that do not continue the one before. lines (n,): of a text file; empty: no text file.
    skipped: rows that were no rows. notes: how it was read, for people."""

    where: str
    channels: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float32]
    breaks: NDArray[np.bool_]
    units: tuple[str, ...] = ()
    lines: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def step(self) -> float:
        """ns between rows."""
        return float(np.median(np.diff(self.times)))

    def at(self, row: int) -> str:
        """A row, for people."""
        line = f" line {self.lines[row]}" if len(self.lines) else f" row {row}"
        return f"{self.where}{line}"

    def rows(self, keep: NDArray[np.bool_]) -> Recording:
        """What is left out is a break."""
        gone = np.concatenate(([False], ~keep[:-1]))
        return replace(
            self, times=self.times[keep], values=self.values[keep], breaks=(self.breaks | gone)[keep],
            lines=self.lines[keep] if len(self.lines) else self.lines,
        )  # fmt: skip


def digest(recordings: Sequence[Recording]) -> str:
    """SHA-256 of times and values, hexadecimal digits."""
    hashing = hashlib.sha256()
    for recording in recordings:
        hashing.update(" ".join(recording.channels).encode())
        hashing.update(np.ascontiguousarray(recording.times, "<i8").data)
        hashing.update(np.ascontiguousarray(recording.values, "<f4").data)
    return hashing.hexdigest()


def fitted(recordings: Sequence[Recording], channels: tuple[str, ...]) -> list[Recording]:
    """The same channels in the same order from all. Raises EdgeloopError naming the file that differs."""
    wanted = channels or recordings[0].channels
    result = []
    for recording in recordings:
        lacking = [c for c in wanted if c not in recording.channels]
        further = [] if channels else [c for c in recording.channels if c not in wanted]
        if lacking or further:
            there = ", ".join(recording.channels)
            why = f"no channel {', '.join(lacking)}" if lacking else f"{', '.join(further)} is not in the others"
            mend = f"rename it, or use --channels with those that all files have; here are {there}"
            raise EdgeloopError("channels differ", where=recording.where, why=why, mend=mend)
        at = [recording.channels.index(c) for c in wanted]
        units = tuple(recording.units[i] for i in at) if recording.units else ()
        result.append(replace(recording, channels=wanted, values=recording.values[:, at], units=units))
    return result


def checked(recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
    """Ordered, of one rate, with channels that move; and notes of what was left out. Raises EdgeloopError naming the
    file and what to do."""
    good: list[Recording] = []
    notes: list[str] = []
    for recording in recordings:
        recording, more = _ordered(recording)
        notes += more
        for i, name in enumerate(recording.channels):
            if not np.isfinite(recording.values[:, i]).any():
                raise EdgeloopError("a channel has no numbers", where=f"{recording.where} {name}",
                                    mend="leave it out with --channels, or leave the file out")  # fmt: skip
        _steady(recording)
        good.append(recording)
    first = good[0]
    for recording in good[1:]:
        if not 0.99 < recording.step / first.step < 1.01:
            why = f"{NS / recording.step:.6g} Hz, {first.where} has {NS / first.step:.6g} Hz"
            raise EdgeloopError("rates differ", where=recording.where, why=why, mend="train on files of one rate")
    for i, name in enumerate(first.channels):
        with np.errstate(invalid="ignore"):
            finite = [r.values[np.isfinite(r.values[:, i]), i] for r in good]
        low, high = min(f.min() for f in finite), max(f.max() for f in finite)
        if low == high:
            where = f"{good[0].where} {name}" + (f" and {len(good) - 1} more" if len(good) > 1 else "")
            rest = ",".join(c for c in first.channels if c != name)
            mend = f"leave it out: --channels {rest}" if rest else "give data of a machine that runs"
            raise EdgeloopError("a channel is constant", where=where, why=f"always {low:g}", mend=mend)
    return good, notes


def _ordered(recording: Recording) -> tuple[Recording, list[str]]:
    if len(recording) < 3:
        why = f"{len(recording)} rows" if len(recording) else "no rows"
        raise EdgeloopError("nothing to train on", where=recording.where, why=why, mend="give more data")
    order = np.diff(recording.times)
    inside = ~recording.breaks[1:]
    if ((order < 0) & inside).any():
        row = int(np.argmax((order < 0) & inside)) + 1
        why = f"{rfc3339(int(recording.times[row]))} follows {rfc3339(int(recording.times[row - 1]))}"
        raise EdgeloopError("the times go back", where=recording.at(row), why=why, mend="sort the file by time")
    again = np.concatenate(([False], (order == 0) & inside))
    if not again.any():
        return recording, []
    kept = recording.rows(~again)
    kept = replace(kept, breaks=recording.breaks[~again])
    return kept, [f"{recording.where}: {int(again.sum())} rows with the time of the row before are left out"]


def _steady(recording: Recording) -> None:
    """Raises EdgeloopError where the rate changes and stays so."""
    steps = np.diff(recording.times).astype(np.float64)
    steps = steps[steps > 0]
    count = len(steps) // CHUNK
    if count < 2:
        return
    by_chunk = np.median(steps[: count * CHUNK].reshape(count, CHUNK), axis=1)
    usual = float(np.median(steps))
    odd = np.abs(by_chunk / usual - 1) > 0.2
    lasting = odd[1:] & odd[:-1]
    if not lasting.any() and not (count < 6 and odd.any()):
        return
    first = bool(odd[0])
    chunk = int(np.argmax(~odd)) if first else int(np.argmax(odd))
    row = chunk * CHUNK
    before, after = (by_chunk[0], usual) if first else (usual, by_chunk[chunk])
    time = rfc3339(int(recording.times[row]))
    why = f"from {NS / before:.4g} to {NS / after:.4g} Hz about {time}"
    raise EdgeloopError("the rate changes", where=recording.at(row), why=why,
                        mend=f"train on one part: --end {time} or --start {time}")  # fmt: skip
