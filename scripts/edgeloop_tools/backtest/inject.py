"""Faults put into healthy recordings, at places drawn by a seed, and what the engine makes of them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.config.quantities import Budget
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
SHORTEST = 0.1
"""Of the budget's time, that a recording has to last for its alarms to be a rate."""
SIGMA = 4.0
CONFIRM = 3
"""The trivial rule: so many rows in succession beyond so many spreads of what was learned; one row for a spike."""


@dataclass(slots=True)
class Tally:
    """Delays in s of faults that were found; what was missed; alarms on the recordings as they are."""

    delays: list[float] = field(default_factory=list)
    missed: int = 0
    false: int = 0

    def document(self, weeks: float, judged: bool = True) -> dict[str, float | int | None]:
        """judged: the recordings are long enough for a rate of alarms to mean something."""
        found = len(self.delays)
        low, high = share(found, found + self.missed)
        rate = rates(self.false, weeks) if weeks and judged else (None, None)
        return {
            "found": found,
            "missed": self.missed,
            "found_low": low,
            "found_high": high,
            "delay_s_median": round(float(np.median(self.delays)), 3) if found else None,
            "delay_s_p90": round(float(np.quantile(self.delays, 0.9)), 3) if found else None,
            "alarms_per_week": round(self.false / weeks, 3) if weeks and judged else None,
            "alarms_per_week_low": rate[0],
            "alarms_per_week_high": rate[1],
        }


def share(found: int, of: int) -> tuple[float | None, float | None]:
    """90 % interval of a share (Clopper and Pearson, 1934).

    >>> share(18, 20), share(0, 0)
    ((0.717, 0.982), (None, None))
    """
    if not of:
        return None, None

    def fewer(k: int, p: float) -> float:
        """Probability of at most k."""
        return sum(math.comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(k + 1))

    low = _root(lambda p: 1 - fewer(found - 1, p) - 0.05, 1.0) if found else 0.0
    high = _root(lambda p: 0.05 - fewer(found, p), 1.0) if found < of else 1.0
    return round(low, 3), round(high, 3)


def rates(alarms: int, weeks: float) -> tuple[float, float]:
    """90 % interval of alarms a week (Garwood, 1936).

    >>> rates(0, 1.0), rates(3, 2.0)
    ((0.0, 2.996), (0.409, 3.877))
    """

    def fewer(k: int, mean: float) -> float:
        return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k + 1)) if mean else 1.0

    most = alarms + 10 * math.sqrt(alarms + 1) + 10
    low = _root(lambda m: 1 - fewer(alarms - 1, m) - 0.05, most) if alarms else 0.0
    high = _root(lambda m: 0.05 - fewer(alarms, m), most)
    return round(low / weeks, 3), round(high / weeks, 3)


def _root(rising: Callable[[float], float], high: float) -> float:
    """Where it passes 0 between 0 and `high`."""
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


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
            recording = read(path, options.ignore, options.label, options.table)
        except EdgeloopError as error:
            print(f"edgeloop: {error}", file=sys.stderr)
            failed.append(str(path))
            continue
        recordings.append((path, recording, options.learn or max(64, round(SHARE * len(recording)))))
    weeks = sum(max(0, len(r) - n) * r.step for _, r, n in recordings) / WEEK
    budget = float(int(options.budget or Budget("1 alarm/week"))) / 1e9 / WEEK
    judged = weeks >= SHORTEST * budget
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
            table[kind] = {
                "engine": engine.document(weeks, judged), "four_sigma": trivial.document(weeks, judged)
            }  # fmt: skip
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
    print(f"{'fault':<9}{'':<12}{'found':>7}{'missed':>8}{'90 % interval':>16}{'median':>12}{'p90':>12}"
          f"{'alarms/week':>13}{'90 % interval':>16}")  # fmt: skip
    for kind, rules in table.items():
        for rule, f in rules.items():
            delays = [f"{f[key]:.4g} s" if f[key] is not None else "-" for key in ("delay_s_median", "delay_s_p90")]
            title = "engine" if rule == "engine" else f"{SIGMA:g} sigma"
            week = f["alarms_per_week"]
            found = f"{100 * (f['found_low'] or 0):.0f} to {100 * (f['found_high'] or 0):.0f} %"
            spread = f"{f['alarms_per_week_low']:.3g} to {f['alarms_per_week_high']:.3g}" if week is not None else "-"
            print(
                f"{kind:<9}{title:<12}{f['found']:>7}{f['missed']:>8}{found:>16}{delays[0]:>12}{delays[1]:>12}"
                f"{'-' if week is None else f'{week:.3g}':>13}{spread:>16}"
            )
    if any(f["alarms_per_week"] is None for rules in table.values() for f in rules.values()):
        print(f"no alarms/week: the recordings last {weeks * WEEK:,.0f} s, less than a tenth of the budget's time")
        return
    print("alarms/week are those on the recordings as they are, of any kind, taken to be healthy")
