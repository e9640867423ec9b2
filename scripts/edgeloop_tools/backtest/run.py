"""Every CSV file below a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeloop.clock import NS, rfc3339
from edgeloop.config.quantities import Budget
from edgeloop.detect.registry import registry
from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options as Table
from edgeloop.tables.files import FORMS
from edgeloop_tools.backtest.count import Figures
from edgeloop_tools.backtest.labels import Judge
from edgeloop_tools.backtest.progress import Progress
from edgeloop_tools.backtest.recording import Recording, read
from edgeloop_tools.backtest.replay import Columns, replay
from edgeloop_tools.backtest.served import served
from edgeloop_tools.tables import need

if TYPE_CHECKING:
    from edgeloop_tools.backtest.page import Page

ENDINGS = tuple(ending for ending in FORMS if ending not in (".txt", ".log", ".dat", ".asc"))

SHOWN = 20
"""Alarms of a file that are printed."""
BAD = (EdgeloopError, ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError)
"""What a file can come to: it is named, and the others go on."""


@dataclass(frozen=True, slots=True)
class Options:
    """As on the command line."""

    input: Path
    output: Path | None = None
    learn: int | None = None
    ignore: tuple[str, ...] = ()
    table: Table = field(default_factory=Table)
    label: str = ""
    budget: Budget | None = None
    faults: tuple[str, ...] = ()
    severity: float = 4.0
    runs: int = 20
    seed: int = 1
    json: bool = False
    model: Path | None = None
    detect: str = ""
    plugins: Path | None = None
    page: Path | None = None


@dataclass(slots=True)
class Summary:
    files: int = 0
    rows: int = 0
    seconds: float = 0.0
    counted: Figures = field(default_factory=Figures)
    events: int = 0
    conditions: int = 0
    failed: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)


def files(folder: Path) -> list[Path]:
    """The tables below a folder, or the file. Raises EdgeloopError where there is none."""
    if folder.is_file():
        return [folder]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        why = "no CSV file is below it" if folder.is_dir() else "no such folder"
        raise EdgeloopError("nothing to backtest", where=str(folder), why=why, mend="name a folder of CSV files")
    return found


def run(options: Options) -> int:
    """Scores them, prints what came of it; 1 where a file could not be used."""
    found = files(options.input)
    if options.faults:
        from edgeloop_tools.backtest.inject import inject

        return inject(options, found)
    begin = time.monotonic()
    summary, progress = Summary(), Progress(len(found), quiet=options.json)
    judge = Judge(options.learn or 0) if options.label else None
    page = _page(options)
    serving = served(options.model) if options.model is not None else None
    need(found)
    detectors = registry(options.plugins or "", progress.line)
    for name in set(options.detect.split()) - {"conditions"}:
        detectors[name]
    base = options.input if options.input.is_dir() else options.input.parent
    for done, path in enumerate(found):
        name = str(path.relative_to(base))
        progress.show(done, name)
        try:
            recording = read(path, options.ignore, options.label, options.table)
            if len(found) == 1:
                _refuse(recording.unknown, str(path))
            columns = replay(
                recording, learn=options.learn, budget=options.budget, serving=serving, detect=options.detect,
                detectors=detectors,
                advanced=lambda rows, done=done, name=name: progress.show(done, name),  # type: ignore[misc]
            )  # fmt: skip
            if options.output is not None:
                _write(options.output / name, in_order(columns.text(), recording))
            if judge is not None:
                judge.add(recording, columns)
        except BAD as error:
            progress.line(f"edgeloop: {error}")
            summary.failed.append(name)
            continue
        if not options.json:
            progress.line(f"edgeloop: {path}: {recording.understood}")
            lines = [learned(columns, recording), *told(recording, columns, labelled=bool(options.label))]
            for line in lines:
                print(f"{name}: {line}")
        if page is not None:
            page.add(name, recording, columns, list(told(recording, columns, labelled=bool(options.label))))
        unknown = set(recording.unknown)
        summary.unknown = summary.unknown & unknown if summary.files else unknown
        summary.files += 1
        summary.counted.add(columns, recording.step, options.learn or 0)
        summary.rows += len(recording)
        summary.events += sum(a.kind == "event" for a in columns.alarms)
        summary.conditions += sum(a.kind == "process" for a in columns.alarms)
    progress.close()
    if page is not None and options.page is not None:
        page.write(options.page, f"{summary.files} recordings, {summary.rows:,} rows")
    summary.seconds = round(time.monotonic() - begin, 2)
    _report(summary, options, judge)
    _refuse(sorted(summary.unknown), f"{summary.files} files")
    return 1 if summary.failed else 0


def _refuse(unknown: Sequence[str], where: str) -> None:
    """A column to leave out that is nowhere may be one that is spelled otherwise, and was scored."""
    if unknown:
        raise EdgeloopError("no column to leave out", where=where, why=f"--ignore {unknown[0]}", mend="check its name")


def learned(columns: Columns, recording: Recording) -> str:
    """From how much it learned, and whether that was all there is."""
    rows = int(columns.learning.sum())
    seconds = float(recording.times[min(rows, len(recording) - 1)] - recording.times[0]) / NS
    words = f"learned from {rows:,} rows ({seconds:,.0f} s)"
    if rows >= len(recording):
        return f"{words}: all there is, nothing was scored; give a longer recording, or fewer --learn-rows"
    if 2 * rows > len(recording):
        return f"{words}, more than half of the recording: what came after says little"
    return words


def _page(options: Options) -> Page | None:
    """None where nobody asked for one: plots take a while to load."""
    if options.page is None:
        return None
    from edgeloop_tools.backtest.page import Page

    return Page()


def told(recording: Recording, columns: Columns, *, labelled: bool) -> Iterator[str]:
    """When and what, a line for each alarm: time, channel, words, and whether the label says so, too."""
    alarms = sorted(columns.alarms, key=lambda alarm: alarm.began or alarm.sample_time)
    for alarm in alarms[:SHOWN]:
        time = alarm.began or alarm.sample_time
        channel = alarm.cause.attribution[0].channel if alarm.cause.attribution else "-"
        place = min(int(np.searchsorted(recording.times, time)), len(recording) - 1)
        label = ("; labelled" if recording.labels[place] else "; not labelled") if labelled else ""
        yield f"{rfc3339(time)} {alarm.kind} {channel}: {alarm.text}{label}"
    if len(alarms) > SHOWN:
        yield f"and {len(alarms) - SHOWN} more alarms"


def in_order(text: str, recording: Recording) -> str:
    """A line for each row, in the order of the file."""
    if (np.diff(recording.order) == 1).all():
        return text
    head, *lines = text.rstrip("\n").split("\n")
    found = [""] * len(lines)
    for place, line in zip(recording.order.tolist(), lines, strict=True):
        found[place] = line
    return "\n".join([head, *found, ""])


def _report(summary: Summary, options: Options, judge: Judge | None) -> None:
    if options.json:
        said = {name: getattr(summary, name) for name in Summary.__slots__ if name not in ("counted", "unknown")}
        print(json.dumps(said | summary.counted.document() | ({"labels": judge.document()} if judge else {})))
        return
    print(
        f"{summary.files} files, {summary.rows:,} rows in {summary.seconds:.1f} s: "
        f"{summary.counted.alarms} alarms ({summary.events} events, {summary.conditions} conditions)"
        + (f"; scores are below {options.output}" if options.output else "")
    )
    if judge:
        print("\n".join(judge.lines()))
    if summary.failed:
        print(f"{len(summary.failed)} could not be used: {', '.join(summary.failed)}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise EdgeloopError("cannot write the scores", where=str(path), why=error.strerror or str(error)) from None
