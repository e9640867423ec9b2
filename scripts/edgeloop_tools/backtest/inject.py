"""Faults put into healthy recordings, at places drawn by a seed, and what the engine makes of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.errors import EdgeloopError
from edgeloop_tools.backtest.progress import Progress
from edgeloop_tools.backtest.recording import Recording, read
from edgeloop_tools.backtest.replay import replay

if TYPE_CHECKING:
    from edgeloop_tools.backtest.run import Options

Float = NDArray[np.float64]
WEEK = 7 * 86_400.0
SHARE = 0.15
"""Of a recording that is learned from where nothing else is said."""
SPIKE = 1
LENGTH = 60
"""Rows of a spike, and of every other fault."""
GRACE = 10
"""Rows after a fault within which it may still be found."""
SIGMA = 4.0
CONFIRM = 3
"""The trivial rule: so many rows in succession beyond so many spreads of what was learned; one row for a spike."""


@dataclass(slots=True)
class Tally:
    """Delays in s of faults that were found; what was missed; alarms on the recordings as they are."""

    delays: list[float] = field(default_factory=list)
    missed: int = 0
    false: int = 0

    def document(self, weeks: float) -> dict[str, float | int | None]:
        found = len(self.delays)
        return {
            "found": found,
            "missed": self.missed,
            "delay_s_median": round(float(np.median(self.delays)), 3) if found else None,
            "delay_s_p90": round(float(np.quantile(self.delays, 0.9)), 3) if found else None,
            "alarms_per_week": round(self.false / weeks, 3) if weeks else None,
        }


def faulty(
    values: Float, kind: str, spread: Float, at: int, channel: int, severity: float, rng: np.random.Generator
) -> int:
    """Puts one fault into (n, channels) at a row; its length in rows. severity: spreads of the channel.

    >>> healthy = np.zeros((200, 1))
    >>> faulty(healthy, "level", np.ones(1), 100, 0, 4.0, np.random.default_rng(1)), healthy[99:101, 0].tolist()
    (60, [0.0, 4.0])
    """
    length = min(SPIKE if kind == "spike" else LENGTH, len(values) - at)
    part = values[at : at + length, channel]
    size = severity * float(spread[channel]) * (1 if rng.random() < 0.5 or kind == "level" else -1)
    if kind == "spike":
        part += 2 * size
    elif kind == "level":
        part += size
    elif kind == "drift":
        part += size * np.linspace(0, 2, length)
    elif kind == "noise":
        part += rng.normal(0, abs(size), length)
    elif kind == "flat":
        part[:] = part[0]
    else:
        part[:] = np.nan
    return length


def place(recording: Recording, learn: int, kind: str, rng: np.random.Generator) -> int | None:
    """A row at which a fault begins, after what is learned; None where there is no room."""
    room = len(recording) - learn - (SPIKE if kind == "spike" else LENGTH) - GRACE
    return learn + int(rng.integers(0, room)) if room > 0 else None


def control(recording: Recording, values: Float, learn: int, *, confirm: int) -> list[int]:
    """Rows at which the trivial rule raises an alarm."""
    base = recording.values[:learn]
    with np.errstate(invalid="ignore"):
        spread = np.nanstd(base, axis=0) + 1e-12
        beyond = np.nanmax(np.nan_to_num(np.abs(values - np.nanmean(base, axis=0)) / spread), axis=1) > SIGMA
    raised, count, active = [], 0, False
    for row in range(learn, len(values)):
        count = count + 1 if beyond[row] else 0
        if count >= confirm and not active:
            raised.append(row)
        active = (active and count > 0) or count >= confirm
    return raised


def judge(tally: Tally, raised: Sequence[int], first: int, end: int, times: NDArray[np.int64]) -> None:
    """Whether an alarm was raised in a fault [first, end)."""
    hit = next((row for row in raised if first <= row < end + GRACE), None)
    if hit is None:
        tally.missed += 1
    else:
        tally.delays.append(float(times[hit] - times[first]) / 1e9)


def inject(options: Options, found: Sequence[Path]) -> int:
    """Prints a table; 1 where a file could not be used or none is long enough."""
    failed: list[str] = []
    recordings: list[tuple[Path, Recording, int]] = []
    for path in found:
        try:
            recording = read(path, options.ignore, options.label)
        except EdgeloopError as error:
            print(f"edgeloop: {error}", file=sys.stderr)
            failed.append(str(path))
            continue
        recordings.append((path, recording, options.learn or max(64, round(SHARE * len(recording)))))
    weeks = sum(max(0, len(r) - n) * r.step for _, r, n in recordings) / WEEK
    healthy, simple = _healthy(recordings, options)
    table = {}
    progress = Progress(options.runs, quiet=options.json)
    for kind in options.faults:
        engine, trivial = Tally(false=healthy), Tally(false=simple)
        for number in range(options.runs if recordings else 0):
            path, recording, learn = recordings[number % len(recordings)]
            progress.show(number, f"{kind} {path.name}")
            _one(recording, learn, kind, number, options, engine, trivial)
        if engine.delays or engine.missed:
            table[kind] = {"engine": engine.document(weeks), "four_sigma": trivial.document(weeks)}
    progress.close()
    _print(table, weeks, options)
    if not table:
        why = "no recording is long enough" if recordings else "no recording can be used"
        raise EdgeloopError("no fault was put in", where=str(options.input), why=why, mend="give longer recordings")
    return 1 if failed else 0


def _healthy(recordings: Sequence[tuple[Path, Recording, int]], options: Options) -> tuple[int, int]:
    """Alarms on the recordings as they are: the engine's, the trivial rule's."""
    engine = trivial = 0
    for _, recording, learn in recordings:
        columns = replay(recording, learn=learn, budget=options.budget, fine=0)
        engine += sum(a.cause.index >= learn for a in columns.alarms)
        trivial += len(control(recording, recording.values, learn, confirm=CONFIRM))
    return engine, trivial


def _one(
    recording: Recording, learn: int, kind: str, number: int, options: Options, engine: Tally, trivial: Tally
) -> None:
    """One fault, in a replay of its own that ends soon after it."""
    rng = np.random.default_rng([options.seed, number])
    spread = np.nanstd(recording.values[:learn], axis=0)
    moving = np.flatnonzero(spread > 0)
    first = place(recording, learn, kind, rng)
    if not len(moving) or first is None:
        return
    values = recording.values.copy()
    end = first + faulty(values, kind, spread, first, int(rng.choice(moving)), options.severity, rng)
    last = end + GRACE
    broken = replace(recording, times=recording.times[:last], values=values[:last], labels=recording.labels[:last])
    columns = replay(broken, learn=learn, budget=options.budget, fine=first)
    judge(engine, sorted(a.cause.index for a in columns.alarms), first, end, recording.times)
    rows = control(recording, values[:last], learn, confirm=1 if kind == "spike" else CONFIRM)
    judge(trivial, rows, first, end, recording.times)


def _print(table: dict[str, dict[str, dict[str, float | int | None]]], weeks: float, options: Options) -> None:
    if options.json:
        print(json.dumps({"severity": options.severity, "seed": options.seed, "weeks": weeks, "faults": table}))
        return
    print(f"{'fault':<9}{'':<12}{'found':>7}{'missed':>8}{'median':>12}{'p90':>12}{'alarms/week':>13}")
    for kind, rules in table.items():
        for rule, f in rules.items():
            delays = [f"{f[key]:.4g} s" if f[key] is not None else "-" for key in ("delay_s_median", "delay_s_p90")]
            title = "engine" if rule == "engine" else f"{SIGMA:g} sigma"
            week = f["alarms_per_week"]
            print(
                f"{kind:<9}{title:<12}{f['found']:>7}{f['missed']:>8}{delays[0]:>12}{delays[1]:>12}"
                f"{'-' if week is None else f'{week:.3g}':>13}"
            )
    print("alarms/week are those on the recordings as they are, of any kind, taken to be healthy")
