"""From what was recorded to the report: audit, judgement, yardstick, plots, files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.harness.cameras import count, evidence
from edgeloop_tools.harness.history import History, envelope_spectrum, window
from edgeloop_tools.harness.judge import Fault, faults, judge, sample_to_alert
from edgeloop_tools.harness.ledger import audit
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.page import Plots, render
from edgeloop_tools.harness.recording import Recording, Score
from edgeloop_tools.harness.report import ComponentLine, Run, document
from edgeloop_tools.harness.trivial import Watched, compare
from edgeloop_tools.harness.uploads import Arrived, Comparison

STARTS = 6 * NS
"""To be at speed again after a stop, and judged."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the harness knows of the line. truth: faults of recordings; orders: mark → Hz in the envelope spectrum.

    recorded: the samples carry the time stamps of a recording. unlabelled: recordings of unknown content.
    stands: ns for which a machine stands after a stop by command. models: name → version that is to serve at the end,
    and to have come into use. uploads: something is to arrive.
    """

    machines: Sequence[str] = ()
    watched: Sequence[Watched] = ()
    truth: Sequence[Fault] = ()
    orders: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    recorded: bool = False
    unlabelled: Collection[str] = ()
    stands: int = 0
    cameras: Sequence[str] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    uploads: bool = False


def evaluate(
    line: Line, expected: Expectation, installed: int, ended: int, arrived: Arrived | None = None
) -> tuple[Run, History]:
    """Call it when the line has stopped: reads the whole journal once. installed, ended: ns UTC."""
    history = History()
    comparison = Comparison(arrived)
    ledger = audit(line.journal, history.add, comparison.add)
    recording = line.recording
    truth = [*faults(recording, ended), *expected.truth]
    verdict = judge(truth, recording.alarms, recording.interventions, until=ended, unlabelled=expected.unlabelled)
    verdict.missed = [fault for fault in verdict.missed if not _stood(fault, recording, expected.stands)]
    settled = [f.fault for f in verdict.found] + verdict.missed
    run = Run(
        nucleus=line.nucleus,
        seed=expected.seed,
        installed=installed,
        ended=ended,
        recording=recording,
        ledger=ledger,
        verdict=verdict,
        components={
            name: ComponentLine(c.version, c.state, c.restarts, c.reason)
            for name, c in line.components.items()
            if name.startswith("io.edgeloop.")
        },
        usage=line.meter.usage,
        trivial=compare(history, expected.watched, settled) if expected.watched and settled else {},
        wall_clock=not expected.recorded,
        simulated=bool(expected.machines),
        lost=ledger.lost(recording),
        cameras=count(recording, ended),
        arrived=arrived,
        comparison=comparison,
        models=expected.models,
        uploads=expected.uploads,
        evidence={camera: image for camera in expected.cameras if (image := evidence(line.root, camera))},
    )
    return run, history


def _stood(fault: Fault, recording: Recording, stands: int) -> bool:
    """Whether the machine was stopped by a command during the fault: nobody can find it then."""
    return fault.by == "time" and any(
        a.outcome == "done" and a.target == "stop" and a.value and a.source == fault.machine
        and fault.start - stands - STARTS <= a.time <= fault.end
        for a in recording.actions
    )  # fmt: skip


def write(run: Run, history: History, expected: Expectation, line: Line, path: Path) -> dict[str, Any]:
    """The JSON report at `path` and the page beside it. Raises EdgeloopError where it cannot be written."""
    report = document(run)
    page = render(run, report, plots(run, history, expected, line.journal))
    try:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
        page_path(path).write_text(page)
    except OSError as error:
        raise EdgeloopError("cannot write the report", where=str(path), why=error.strerror or str(error)) from error
    return report


def page_path(report: Path) -> Path:
    """
    >>> page_path(Path("out/r.json")).name
    'r.html'
    """
    return report.with_suffix(".html")


def plots(run: Run, history: History, expected: Expectation, journal: Path) -> Plots:
    from edgeloop_tools.harness import plots as draw

    recording = run.recording
    kills = [i.at for i in recording.kills]
    truth = [f.fault for f in run.verdict.found] + run.verdict.missed
    raised = [a for a in recording.alarms if a.event.state == "raised"]
    scores: Mapping[str, Sequence[Score]] = recording.scores
    if not run.wall_clock:
        truth = [_in_time(fault, run, history) for fault in truth]
        raised = [replace(a, at=a.event.sample_time or a.at) for a in raised]
        scores = {m: [replace(s, at=s.result.time or s.at) for s in series] for m, series in scores.items()}
    assets = list(expected.machines) or sorted(set(recording.scores) | {a.event.asset for a in raised})
    pictures = []
    for asset in assets[:8]:
        streams = [s for s in history.series if s == asset or s.startswith(f"{asset}_")]
        pictures.append(
            draw.machine(
                asset,
                streams,
                history,
                {m: s for m, s in scores.items() if m == asset or m.startswith(f"{asset}_")},
                [f for f in truth if f.machine == asset and f.by == "time"],
                [a for a in raised if a.event.asset == asset],
                kills,
                _zero(run, history, streams),
                run.seconds if run.wall_clock else _span(run, history, streams),
            )
        )
    onset: defaultdict[str, list[float]] = defaultdict(list)
    for found in run.verdict.found:
        if found.onset_to_alert is not None:
            onset[found.fault.kind].append(found.onset_to_alert / 1e6)
    alerts = (
        sample_to_alert(f.alarm for f in run.verdict.found if f.fault.kind != "clock_jump") if run.wall_clock else []
    )
    spectrum = _spectrum(run, expected, journal)
    return Plots(
        machines=pictures,
        spectrum=draw.spectrum(spectrum) if spectrum else None,
        latency=draw.latency(alerts, onset) if alerts or onset else None,
        traffic=draw.traffic(recording, run.installed, run.ended),
        uploaded=draw.uploaded(run.arrived.folder, stream) if run.arrived and (stream := _shown(run)) else None,
    )


def _shown(run: Run) -> str:
    """The stream that is shown as it was read back: one with few numbers."""
    found = [s for s, n in run.comparison.samples.items() if n > 1 and (run.ledger.streams[s].rate or 1000) <= 100]
    return min(found, key=lambda s: (not s.endswith("_slow"), s), default="")


def _in_time(fault: Fault, run: Run, history: History) -> Fault:
    """A fault of a recording on the recording's own clock."""
    series = history.series.get(fault.stream or "")
    rows = run.ledger.streams[fault.stream].samples if series is not None and fault.stream is not None else 0
    if fault.by == "time" or series is None or not series.times or not rows:
        return fault
    first, last = series.times[0], series.times[-1]

    def at(row: int) -> int:
        return first + (last - first) * min(row, rows) // rows

    return replace(fault, start=at(fault.start), end=at(fault.end), by="time")


def _zero(run: Run, history: History, streams: Sequence[str]) -> int:
    if run.wall_clock:
        return run.installed
    return min((min(history.series[s].times) for s in streams if history.series[s].times), default=run.installed)


def _span(run: Run, history: History, streams: Sequence[str]) -> float:
    zero = _zero(run, history, streams)
    return max(
        ((max(history.series[s].times) - zero) / NS for s in streams if history.series[s].times), default=run.seconds
    )


def _spectrum(run: Run, expected: Expectation, journal: Path) -> Any:
    from edgeloop_tools.harness.plots import Spectrum

    for found in run.verdict.found:
        fault, cause = found.fault, found.alarm.event.cause
        if fault.kind != "outer_race" or fault.by != "time":
            continue
        stream = cause.stream if cause else fault.stream or ""
        length = min(fault.end - fault.start, 2 * NS)
        during = window(journal, stream, fault.end - length, fault.end)
        before = window(journal, stream, fault.start - length - NS, fault.start - NS)
        if during is None or before is None or min(len(during[0]), len(before[0])) < 4096:
            continue
        (faulty, rate, names), healthy = during, before[0]
        n = min(len(faulty), len(healthy))
        spectra = [
            (envelope_spectrum(healthy[:n, c], rate, 500.0), envelope_spectrum(faulty[:n, c], rate, 500.0))
            for c in range(faulty.shape[1])
        ]
        best = int(np.argmax([after[1].max() / max(float(before[1].max()), 1e-12) for before, after in spectra]))
        (frequency, quiet), (_, loud) = spectra[best]
        title = f"{fault.machine}, channel {names[best]}: envelope before and during the outer-race fault"
        return Spectrum(title, "amplitude", frequency, quiet, loud, expected.orders)
    return None
