"""`device check`: each step with what was seen and what should be."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from edgeloop import __version__, clock
from edgeloop.alarms.journal import read
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.device import processes, versions
from edgeloop_tools.nucleus import Deployment, Nucleus, find
from edgeloop_tools.nucleus.model import OURS

RUNTIME, INGEST, ANOMALY = "io.edgeloop.Runtime", "io.edgeloop.SensorIngest", "io.edgeloop.AnomalyInference"
THREE = (RUNTIME, INGEST, ANOMALY)
LINE = """\
site: check
line: device
assets: {machine: a simulated machine}
sources:
  machine:
    type: simulator
    seed: 7
    stops: false
    faults: {first: 75 s, every: 45 s, hold: 20 s, kinds: [outer_race, imbalance]}
    actions: {stop: {range: "0..1", armed: true}}
monitors:
  machine: {asset: machine, input: machine_vib, learn: 30 s}
rules:
  stop: {monitor: machine, source: machine, target: stop, armed: true, severity: low}
"""
INSTALL, DEPLOY = 600.0, 300.0
ALARM = 240.0
KILLS = 5
BACK = 5.0
GROWTH = 5.0
"""MB an hour that a component may grow during --soak, which looks at the second half."""


@dataclass(frozen=True, slots=True)
class Row:
    step: str
    seen: str
    should: str
    s: float
    ok: bool


def run(arguments: argparse.Namespace) -> int:
    """0 where every row holds."""
    soak = Duration(arguments.soak) / clock.NS if arguments.soak else 0.0
    nucleus = find(arguments.root)
    if there := _there(nucleus):
        why = f"{', '.join(there)} would be changed"
        mend = "run it before Edgeloop is deployed, or after `deploy --local --remove`"
        raise EdgeloopError("this device has Edgeloop already", where=str(nucleus.root), why=why, mend=mend)
    check = Check(nucleus)
    try:
        check.steps(soak)
    except KeyboardInterrupt:
        check.row("interrupted", "Ctrl-C", "to the end", 0.0, False)
    except EdgeloopError as error:
        check.row("stopped", str(error), "no error", 0.0, False)
    finally:
        if not arguments.keep:
            with _undisturbed():
                check.leave()
    failed = [row for row in check.rows if not row.ok]
    words = f"{len(check.rows) - len(failed)} of {len(check.rows)} steps as they should be"
    print(f"{words}; {nucleus.kind} nucleus {check.version}, {time.strftime('%Y-%m-%d')}")
    if arguments.json:
        document = {"nucleus": nucleus.kind, "version": check.version, "rows": [asdict(row) for row in check.rows]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if failed else 0


def _there(nucleus: Nucleus) -> list[str]:
    try:
        return [c.name for c in nucleus.components() if c.name.startswith(OURS)]
    except EdgeloopError:
        if nucleus.kind == "core":
            return []
        raise


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not cut the tidying short."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Check:
    """The steps, in order; `rows` is what came of them."""

    def __init__(self, nucleus: Nucleus) -> None:
        self.nucleus, self.root = nucleus, nucleus.root
        self.version = nucleus.version or __version__
        self.rows: list[Row] = []
        self._deployed = False
        self._work = nucleus.root / "work"
        self._folders = {path.name for path in self._work.iterdir()} if self._work.is_dir() else set()

    def row(self, step: str, seen: str, should: str, began: float, ok: bool) -> bool:
        row = Row(step, seen, should, round(time.monotonic() - began, 1) if began else 0.0, ok)
        if not self.rows:
            print(f"{'step':<30} {'seen':<52} {'should':<34} {'s':>6}")
        self.rows.append(row)
        mark = "" if ok else "  FAILED"
        print(f"{row.step:<30} {row.seen[:300]:<52} {row.should:<34} {row.s:>6.1f}{mark}", flush=True)
        return ok

    def steps(self, soak: float) -> None:
        from edgeloop_tools import config
        from edgeloop_tools.build import ARTIFACTS, RECIPES, build

        build()
        with tempfile.TemporaryDirectory(prefix="edgeloop-check-") as name:
            folder = Path(name)
            (folder / "line.yaml").write_text(LINE)
            merge = config.load(folder / "line.yaml", []).configured()
            work = Deployment(dict.fromkeys(THREE, __version__), merge, (), RECIPES, ARTIFACTS)
            if not self._deploy("deployment", work, INSTALL):
                return
            self._runs()
            self._samples("samples")
            self._alarm()
            self._action()
            for component in (INGEST, ANOMALY):
                self._kills(component)
            self._upgrade(folder, work)
            self._fails(folder, work, INGEST, "run fails", versions.later(__version__, 1002))
            self._fails(folder, work, RUNTIME, "install fails", versions.later(__version__, 1003))
            if soak:
                self._soak(soak)

    def leave(self) -> None:
        """Removes what the check deployed, and the work folders that it brought."""
        if not self._deployed:
            return
        began = time.monotonic()
        try:
            outcome = self.nucleus.deploy(Deployment({}, remove=THREE), DEPLOY, _quiet)
            left = _there(self.nucleus) if outcome.succeeded else list(THREE)
            seen = outcome.state if not left else f"{outcome.state} {outcome.why}; still there: {', '.join(left)}"
        except EdgeloopError as error:
            seen, left = str(error), list(THREE)
        left += [f"process {pid}" for name in (INGEST, ANOMALY) for pid in processes.of(self.root, name)]
        if not left:
            for name in THREE:
                if name not in self._folders:
                    shutil.rmtree(self._work / name, ignore_errors=True)
        self.row("removal", seen, "SUCCEEDED, nothing left", began, not left)

    def _deploy(self, step: str, work: Deployment, timeout: float) -> bool:
        began = time.monotonic()
        self._deployed = True
        outcome = self.nucleus.deploy(work, timeout, _quiet)
        return self.row(step, f"{outcome.state} {outcome.why}".strip(), "SUCCEEDED", began, outcome.succeeded)

    def _runs(self) -> None:
        began = time.monotonic()
        wanted = dict.fromkeys(THREE, "RUNNING")
        seen = _until(lambda: self._states(), lambda states: states == wanted, 60)
        words = ", ".join(f"{name.rpartition('.')[2]} {state}" for name, state in seen.items())
        self.row("components", words, "RUNNING", began, seen == wanted)

    def _states(self) -> dict[str, str]:
        return {c.name: c.state for c in self.nucleus.components() if c.name in THREE}

    def _journal_size(self) -> int:
        folder = self._work / INGEST / "journal"
        return sum(path.stat().st_size for path in folder.glob("*.cborseq")) if folder.is_dir() else 0

    def _samples(self, step: str, timeout: float = 60.0) -> bool:
        """The journal grows."""
        began = time.monotonic()
        before = self._journal_size()
        after = _until(self._journal_size, lambda size: size > before + 10_000, timeout)
        took = max(time.monotonic() - began, 0.001)
        seen = f"{(after - before) / took / 1e3:.0f} kB/s into the journal" if after > before else "the journal stands"
        return self.row(step, seen, "the journal grows", began, after > before)

    def _alarm(self) -> None:
        began = time.monotonic()
        file = self._work / ANOMALY / "alarms.jsonl"

        def alarms() -> list[str]:
            return [a.text for a in read(file) if a.kind in ("process", "event")] if file.exists() else []

        found = _until(alarms, bool, ALARM)
        self.row("alarm", found[0] if found else "none", "one of the fault", began, bool(found))

    def _action(self) -> None:
        began = time.monotonic()
        file = self._work / INGEST / "actions.jsonl"

        def done() -> list[str]:
            lines = file.read_text().splitlines() if file.exists() else []
            return [line for line in lines if '"outcome":"done"' in line]

        found = _until(done, bool, 60)
        took = [entry["time"] - entry["issued"] for entry in map(json.loads, found)]
        seen = f"{len(found)} done, the first after {took[0] / 1e6:.0f} ms" if took else "none"
        self.row("action", seen, "done on the machine", began, bool(found))

    def _kills(self, component: str) -> None:
        """More often than both nuclei forgive within the hour."""
        began, times = time.monotonic(), []
        for _ in range(KILLS):
            pids = _until(lambda: processes.of(self.root, component), bool, 40)
            if not pids:
                break
            os.kill(pids[0], signal.SIGKILL)
            times.append(processes.wait_other(self.root, component, pids[0], 30))
            time.sleep(11)
        state = self._states().get(component, "gone")
        short = component.rpartition(".")[2]
        seen = f"{len(times)} times, back after {max(times, default=-1):.2f} s at most, {state}"
        ok = len(times) == KILLS and all(0 <= t <= BACK for t in times) and state == "RUNNING"
        self.row(f"kill -9 of {short}", seen, f"{KILLS} times, {BACK:g} s, RUNNING", began, ok)
        self._samples("samples after it")

    def _upgrade(self, folder: Path, work: Deployment) -> None:
        version = versions.later(__version__, 1001)
        out = versions.make(folder, work.recipes, work.artifacts, INGEST, version, "same")
        new = Deployment({**work.roots, INGEST: version}, work.merge, (), out / "recipes", out / "artifacts")
        self._deploy("upgrade", new, DEPLOY)
        self._is_at("upgraded", version)
        if self._deploy("back to the version before", work, DEPLOY):
            self._is_at("and runs", __version__)

    def _is_at(self, step: str, version: str, component: str = INGEST) -> bool:
        began = time.monotonic()

        def seen() -> tuple[str, str]:
            found = [(c.version, c.state) for c in self.nucleus.components() if c.name == component]
            return found[0] if found else ("", "gone")

        found = _until(seen, lambda value: value == (version, "RUNNING"), 60)
        ok = self.row(step, " ".join(found), f"{version} RUNNING", began, found == (version, "RUNNING"))
        return self._samples("samples") and ok

    def _fails(self, folder: Path, work: Deployment, component: str, kind: versions.Kind, version: str) -> None:
        """Classic goes back by itself; lite leaves it, and the version before is deployed again."""
        out = versions.make(folder, work.recipes, work.artifacts, component, version, kind)
        began = time.monotonic()
        bad = Deployment({**work.roots, component: version}, work.merge, (), out / "recipes", out / "artifacts")
        outcome = self.nucleus.deploy(bad, DEPLOY, _quiet)
        step = f"{component.rpartition('.')[2]} whose {kind}"
        self.row(step, f"{outcome.state} {outcome.why}".strip(), "FAILED", began, outcome.state == "FAILED")
        if self.nucleus.kind == "lite":
            self._deploy("the version before again", work, DEPLOY)
        self._is_at("the version before", __version__, component)

    def _soak(self, seconds: float) -> None:
        began, seen = time.monotonic(), dict[str, list[tuple[float, float]]]()
        while (now := time.monotonic() - began) < seconds:
            for name in (INGEST, ANOMALY):
                for pid in processes.of(self.root, name)[:1]:
                    seen.setdefault(name, []).append((now, processes.pss_mb(pid)))
            time.sleep(min(10.0, seconds / 20))
        for name, points in seen.items():
            half = [p for p in points if p[0] >= seconds / 2]
            if len(half) < 4:
                continue
            slope = statistics.linear_regression([p[0] for p in half], [p[1] for p in half]).slope * 3600
            words = f"{points[0][1]:.1f} → {points[-1][1]:.1f} MB, {slope:+.1f} MB/h in the second half"
            self.row(f"memory of {name.rpartition('.')[2]}", words, f"at most {GROWTH:g} MB/h", began, slope <= GROWTH)


T = TypeVar("T")


def _until(look: Callable[[], T], enough: Callable[[T], bool], timeout: float) -> T:
    end = time.monotonic() + timeout
    while not enough(value := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return value


def _quiet(line: str) -> None:
    return None
