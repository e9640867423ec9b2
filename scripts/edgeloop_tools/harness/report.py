"""The report of a run as one JSON object."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.clock import NS, rfc3339
from edgeloop_tools.harness.cameras import CameraCount
from edgeloop_tools.harness.judge import Verdict, sample_to_alert
from edgeloop_tools.harness.ledger import Ledger
from edgeloop_tools.harness.processes import BUS, CORE, Usage
from edgeloop_tools.harness.recording import Recording
from edgeloop_tools.harness.trivial import Figures
from edgeloop_tools.harness.uploads import Arrived, Comparison

FIRST_SCORE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class ComponentLine:
    version: str
    state: str
    restarts: int
    reason: str = ""


@dataclass(slots=True)
class Run:
    """All that a report is made of. installed, ended: ns UTC; wall_clock: the samples' times are the wall clock's."""

    nucleus: str
    seed: int | None
    installed: int
    ended: int
    recording: Recording
    ledger: Ledger
    verdict: Verdict
    components: Mapping[str, ComponentLine]
    usage: Mapping[str, Usage]
    trivial: Mapping[str, Figures]
    wall_clock: bool = True
    simulated: bool = True
    lost: dict[str, int] = field(default_factory=dict)
    cameras: Mapping[str, CameraCount] = field(default_factory=dict)
    arrived: Arrived | None = None
    comparison: Comparison = field(default_factory=lambda: Comparison(None))
    models: Mapping[str, str] = field(default_factory=dict)
    uploads: bool = False
    evidence: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return (self.ended - self.installed) / NS

    @property
    def seconds_to_first_score(self) -> float | None:
        first = self.recording.first_score
        return None if first is None else max(0.0, (first - self.installed) / NS)

    def broken(self) -> list[str]:
        """What of the promise did not hold, one line each."""
        lines = []
        if self.lost:
            lines.append("samples lost from the journal: " + ", ".join(f"{s} {n}" for s, n in self.lost.items()))
        short = self.ledger.short_bytes(self.recording)
        if short:
            lines.append(f"{short} bytes that the bus announced are not in the journal")
        if self.ledger.doubled:
            lines.append(f"{self.ledger.doubled} samples are in the journal twice")
        first = self.seconds_to_first_score
        if first is None and self.seconds > FIRST_SCORE_SECONDS:
            lines.append("no score was published")
        elif first is not None and first > FIRST_SCORE_SECONDS and self.simulated:
            lines.append(
                f"the first score took {first:.1f} s after the installation, more than {FIRST_SCORE_SECONDS} s"
            )
        lines += self._cameras() + self._models() + self._uploads()
        for kill in self.recording.kills:
            if kill.recovered is None:
                lines.append(f"{kill.component} did not come back after kill -9")
        for name, component in self.components.items():
            if component.state not in ("RUNNING", "FINISHED"):
                lines.append(f"{name} is {component.state}" + (f": {component.reason}" if component.reason else ""))
        if not self.verdict.promise_kept:
            kinds = ", ".join(sorted({f.kind for f in self.verdict.missed}))
            lines.append(f"{len(self.verdict.missed)} of {self.verdict.truth} faults were not found ({kinds})")
        false = len(self.verdict.false_alarms)
        if self.simulated and false:
            lines.append(f"{false} false alarm{'s' * (false > 1)} in {self.seconds:.0f} s")
        return lines

    def _cameras(self) -> list[str]:
        lines = []
        for name, one in self.cameras.items():
            if one.missing:
                lines.append(f"{one.missing} of {one.parts} parts of {name} have no verdict")
            if one.contradicted:
                lines.append(f"{one.contradicted} parts of {name} have two verdicts")
            if one.escaped:
                lines.append(f"{one.escaped} damaged part{'s' * (one.escaped > 1)} of {name} escaped")
        return lines

    def _models(self) -> list[str]:
        lines = []
        for name, version in self.models.items():
            states = self.recording.models.get(name, [])
            serving = states[-1].active.version if states and states[-1].active else "the default"
            if serving != version:
                lines.append(f"of the model {name} {serving} is active, not {version}")
            elif not any(one.versions.get(version) for one in self.cameras.values()):
                lines.append(f"nothing was inferred with {name} {version}")
            if not self.recording.refusals:
                lines.append(f"the bad package of {name} was not refused")
        return lines

    def _uploads(self) -> list[str]:
        if not self.uploads:
            return []
        if not self.comparison.samples:
            return ["no samples were uploaded"]
        if self.comparison.different:
            return [f"{self.comparison.different} uploaded samples are not as the journal has them"]
        return []


def document(run: Run) -> dict[str, Any]:
    """The report; keys and units as the names say."""
    recording, ledger, verdict = run.recording, run.ledger, run.verdict
    seconds = max(run.seconds, 1e-9)
    alerts = sample_to_alert(f.alarm for f in verdict.found if f.fault.kind != "clock_jump") if run.wall_clock else []
    onset = [o / 1e6 for f in verdict.found if (o := f.onset_to_alert) is not None]
    return {
        "schema": 1,
        "time_rfc3339": rfc3339(run.ended),
        "nucleus": run.nucleus,
        "seed": run.seed,
        "duration_s": round(run.seconds, 1),
        "seconds_to_first_score": _rounded(run.seconds_to_first_score),
        "streams": {
            name: {
                "samples": s.samples,
                "batches": s.batches,
                "dropped": s.dropped,
                "gaps": s.gaps,
                "channels": s.channels,
                "rate_hz": s.rate,
            }
            for name, s in sorted(ledger.streams.items())
        },
        "anomalies": {
            "truth": verdict.truth,
            "detected": len(verdict.found),
            "false_alarms": len(verdict.false_alarms),
            "sample_to_alert_ms": percentiles(alerts),
            "onset_to_alert_ms": percentiles(onset),
            "kinds": {k: {"truth": t, "detected": d} for k, (t, d) in verdict.by_kind().items()},
            "unjudged_alarms": len(verdict.unjudged),
            "repeated_alarms": len(verdict.repeats),
            "alarms_explained_by_kills": len(verdict.explained),
            "trivial_threshold": {
                name: {"sigma": f.threshold, "detected": f.detected, "false_alarms": f.false_alarms}
                for name, f in run.trivial.items()
            },
        },
        "cameras": {name: _camera(run, name, one) for name, one in sorted(run.cameras.items())},
        "models": {name: _model(run, name) for name in sorted({*recording.models, *run.models})},
        "uploads": _uploads(run),
        "actions": dict(Counter(a.outcome for a in recording.actions)),
        "components": {
            name: {
                "version": c.version,
                "state": c.state,
                "restarts": c.restarts,
                "pss_mb": round(_usage(run.usage, name).pss / 1e6, 1),
                "pss_peak_mb": round(_usage(run.usage, name).pss_peak / 1e6, 1),
                "cpu_percent": round(_usage(run.usage, name).cpu_percent, 1),
                "users": sorted(_usage(run.usage, name).owners),
            }
            for name, c in sorted(run.components.items())
        },
        "pss_mb_together": round(sum(_usage(run.usage, name).pss for name in run.components) / 1e6, 1),
        "local_core": {
            name: {
                "pss_mb": round(_usage(run.usage, name).pss / 1e6, 1),
                "cpu_percent": round(_usage(run.usage, name).cpu_percent, 1),
            }
            for name in (CORE, BUS)
        },
        "bus_messages_per_s": _rounded(_between(recording, run.installed, run.ended) / seconds),
        "bus_unreadable": dict(recording.unreadable),
        "values_per_s": round(ledger.values / seconds),
        "journal": {
            "written": ledger.samples,
            "lost": sum(run.lost.values()),
            "bytes": ledger.bytes,
            "announced_and_missing_bytes": ledger.short_bytes(recording),
            "kills": len(recording.kills),
            "recovery_s": [_rounded((i.recovered - i.at) / NS) if i.recovered else None for i in recording.kills],
        },
        "promise": {"kept": not run.broken(), "broken": run.broken()},
        "ran_on": ran_on(),
    }


def _camera(run: Run, name: str, one: CameraCount) -> dict[str, Any]:
    latency = percentiles([ns / 1e6 for ns in one.latencies])
    return {
        "frames": one.frames,
        "inferred": one.inferred,
        "fps": round(one.fps, 2),
        "p50_ms": latency["p50"],
        "p99_ms": latency["p99"],
        "hard_examples": run.arrived.examples if run.arrived else 0,
        "verdicts": dict(one.verdicts),
        "reasons": dict(one.reasons),
        "models": dict(one.versions),
        "parts": one.parts,
        "parts_without_verdict": one.missing,
        "parts_with_two_verdicts": one.contradicted,
        "truth": {"rejected": one.found, "escaped": one.escaped, "wrongly_rejected": one.wronged},
    }


def _model(run: Run, name: str) -> dict[str, Any]:
    states = run.recording.models.get(name, [])
    newest = states[-1] if states else None
    return {
        "version": newest.active.version if newest and newest.active else None,
        "state": newest.state if newest else "default",
        "generation": newest.generation if newest else 0,
        "refused": [line for key, line in run.recording.refusals.items() if key == f"model.{name}"],
    }


def _uploads(run: Run) -> dict[str, Any]:
    arrived, comparison = run.arrived, run.comparison
    return {
        "objects": arrived.objects if arrived else 0,
        "bytes": arrived.bytes if arrived else 0,
        "backlog_bytes": arrived.backlog_bytes if arrived else 0,
        "kinds": dict(sorted(arrived.kinds.items())) if arrived else {},
        "samples_read_back": sum(comparison.samples.values()),
        "samples_equal": sum(comparison.equal.values()),
        "samples_waiting": sum(_waiting(run, name) for name in comparison.samples),
        "streams": {
            name: {"samples": n, "equal": comparison.equal[name], "waiting": _waiting(run, name)}
            for name, n in sorted(comparison.samples.items())
        },
    }


def _waiting(run: Run, stream: str) -> int:
    """Samples of the journal that were not read back from the bucket: not captured, or still on their way."""
    journalled = run.ledger.streams.get(stream)
    return max(0, (journalled.samples if journalled else 0) - run.comparison.samples.get(stream, 0))


def percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """p50, p99 and how many.

    >>> percentiles([1.0, 2.0, 3.0])
    {'p50': 2.0, 'p99': 2.98, 'n': 3}
    """
    if not values:
        return {"p50": None, "p99": None, "n": 0}
    p50, p99 = np.percentile(np.array(values), [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "n": len(values)}


def ran_on() -> dict[str, Any]:
    """The machine, in words."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e6, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def _usage(usage: Mapping[str, Usage], name: str) -> Usage:
    return usage.get(name) or Usage()


def _between(recording: Recording, start: int, end: int) -> int:
    return sum(n for second, n in recording.per_second.items() if start // NS <= second <= end // NS)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
