"""A demo from the build to the report."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edgeloop.clock import NS, now
from edgeloop.errors import EdgeloopError
from edgeloop_tools import extras
from edgeloop_tools.core.daemon import default_root
from edgeloop_tools.demo.acts import SHORTEST_WITH_KILL, Acts
from edgeloop_tools.demo.models import GOOD
from edgeloop_tools.demo.page import Page
from edgeloop_tools.demo.plan import (
    ANOMALY,
    BEARING,
    BUCKET,
    CAMERA,
    INSTALLED,
    MODEL,
    RUNTIME,
    SHAFT,
    STANDS,
    UPLOAD,
    Plan,
    camera,
    conveyor,
    machines,
)
from edgeloop_tools.demo.replay import check, stage
from edgeloop_tools.demo.signatures import Player, Signatures
from edgeloop_tools.demo.signatures import report as write_story
from edgeloop_tools.demo.view import Progress, View, choose
from edgeloop_tools.harness.evaluate import Expectation, evaluate, page_path, write
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.uploads import Arrived, fetch

CHECKOUT = Path(__file__).resolve().parents[3]
LOOK = 0.25
"""Seconds between two looks at the components."""
SHORTEST_WITH_UPLOAD = 15.0
INSTALL_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Options:
    """duration: s after the installation; rate: Hz of .npy recordings."""

    duration: float = 60.0
    seed: int = 7
    nucleus: Literal["classic", "lite"] = "classic"
    machines: int = 2
    replay: tuple[Path, ...] = ()
    rate: float = 48000.0
    arm: bool = False
    camera: str | None = None
    report: Path | None = None
    root: Path | None = None
    as_json: bool = False
    quiet: bool = False
    models: bool = False


def run(options: Options) -> int:
    """Exit code 0; raises EdgeloopError with one line where something of the promise failed."""
    if options.models:
        return _models(options)
    report, path = measure(options)
    if options.as_json:
        print(json.dumps({"event": "report", "report": report}), flush=True)
    else:
        print(summary(report, path))
    if report["promise"]["broken"]:
        logs = path_of_root(options) / "logs"
        raise EdgeloopError("the run did not keep its promise", why="; ".join(report["promise"]["broken"]),
                            mend=f"the components' logs are in {logs}")  # fmt: skip
    return 0


def _models(options: Options) -> int:
    """The story of signatures. Raises EdgeloopError where something did not go as it should."""
    root = path_of_root(options)
    path = _writable(options.report or root / "report.json", given=options.report is not None)
    _build()
    announced = announce_install(root)
    with _stoppable() as stop, Line(root, options.nucleus) as line:
        plan = Signatures()
        progress = Progress("a signed model, a forged one, a step back, a candidate", options.duration)
        view = choose(options.as_json, options.quiet)
        with view:
            if announced:
                view.say("install", announced)
            if _deploy(line, plan, view, progress, stop) is None:
                raise EdgeloopError("interrupted before anything ran")
            told = Player(line, view.say, stop, LOOK).play()
    write_story(told, path)
    if not told.good:
        wrong = ", ".join(step["step"] for step in told.steps if not step["as_it_should"])
        raise EdgeloopError("the models did not go as they should", where=wrong, mend=f"see {path}")
    print(json.dumps({"event": "report", "report": told.steps}) if options.as_json else f"report  {path}", flush=True)
    return 0


def path_of_root(options: Options) -> Path:
    return (options.root or demo_root(options.nucleus)).absolute()


def measure(options: Options) -> tuple[dict[str, Any], Path]:
    """The report, and where it was written. Raises EdgeloopError where the line does not come up."""
    root = path_of_root(options)
    report_path = _writable(options.report or root / "report.json", given=options.report is not None)
    check(options.replay)
    extras.need("plots")
    _build()
    announced = announce_install(root)
    with _stoppable() as stop, Line(root, options.nucleus) as line:
        plan = _plan(options, root)
        page = Page.free()
        plan.listen = f"127.0.0.1:{page.port}"
        expected = Expectation(
            machines=plan.machines,
            watched=plan.watched,
            truth=plan.truth,
            orders={"BPFO": SHAFT * BEARING["outer_race"], "2×": 2 * SHAFT * BEARING["outer_race"],
                    "3×": 3 * SHAFT * BEARING["outer_race"], "shaft": SHAFT},
            seed=options.seed if plan.machines else None,
            unlabelled=plan.unlabelled,
            recorded=any(path.suffix != ".npy" for path in options.replay),
            stands=STANDS * NS,
            cameras=list(plan.cameras),
            models={MODEL: GOOD} if plan.inspected and options.duration >= SHORTEST_WITH_KILL else {},
            uploads=plan.simulated and options.duration >= SHORTEST_WITH_UPLOAD,
        )  # fmt: skip
        progress = Progress(_title(options, plan), options.duration)
        view = choose(options.as_json, options.quiet)
        line.recording.listeners.append(view.say)
        with view:
            if announced:
                view.say("install", announced)
            for told in plan.told:
                view.say("recording", told)
            installed = _deploy(line, plan, view, progress, stop)
            if installed is not None:
                progress.installed = installed
                threading.Thread(target=_open, args=(page, line, view, progress), daemon=True).start()
                _watch(line, Acts(line, plan, options.duration, lambda: progress.seconds),
                       view, progress, stop)  # fmt: skip
        ended = now()
        if installed is None:
            raise EdgeloopError("interrupted before anything ran")
        if stop.is_set():
            expected = replace(expected, models={}, uploads=False)
        line.poll()
        arrived = _fetch(line)
        line.close()
        extras.borrow("parquet", root / "work" / RUNTIME / "venv")
        judged, history = evaluate(line, expected, installed, ended, arrived)
        report = write(judged, history, expected, line, report_path)
    return report, report_path


def demo_root(nucleus: str) -> Path:
    """Where a demo's core lives; one folder per nucleus, kept."""
    name = f"demo-{nucleus}"
    return Path(os.environ["EDGELOOP_CORE_ROOT"]) / name if os.environ.get("EDGELOOP_CORE_ROOT") else default_root(name)


def announce_install(root: Path) -> str | None:
    """What the device's environment will take, before it is installed; None where it is there."""
    import locks
    from edgeloop_tools.checkout import announcement
    from environment import Environments, within
    from requirements import Lock

    lock = Lock.merge(*map(locks.read, INSTALLED))
    environments = Environments(root / "work" / RUNTIME, lambda _: None)
    current = environments.current()
    if current is not None and within(lock, current):
        return None
    return announcement("first use", lock, root / "work" / RUNTIME)


def summary(report: dict[str, Any], path: Path) -> str:
    """The report in a few lines."""
    anomalies, journal, uploads = report["anomalies"], report["journal"], report["uploads"]
    latency = anomalies["sample_to_alert_ms"]
    kinds = ", ".join(f"{k.replace('_', ' ')} {v['detected']}/{v['truth']}" for k, v in anomalies["kinds"].items())
    lines = [
        f"faults found    {anomalies['detected']} of {anomalies['truth']}" + (f" ({kinds})" if kinds else "")
        + f", {anomalies['false_alarms']} false alarms"
        + (f", {anomalies['unjudged_alarms']} on unlabelled recordings" if anomalies["unjudged_alarms"] else ""),
        *(
            f"  {'threshold 4 σ' if name == 'fixed' else 'best threshold'}: {f['detected']} found, "
            f"{f['false_alarms']} false alarms"
            for name, f in anomalies["trivial_threshold"].items()
        ),
        f"journal         {journal['written']:,} samples, {journal['lost']} lost, {journal['kills']} × kill -9",
        *(
            f"camera {name:<8} {c['frames']} verdicts ({', '.join(f'{n} {v}' for v, n in c['verdicts'].items())}), "
            f"{c['parts_without_verdict']} of {c['parts']} parts without, {c['truth']['rejected']} rightly rejected, "
            f"{c['truth']['escaped']} escaped, {c['truth']['wrongly_rejected']} wrongly rejected"
            for name, c in report["cameras"].items()
        ),
        *(
            f"model           {name} {m['version'] or 'default'}, {m['state']}"
            + "".join(f"\n  {line}" for line in m["refused"])
            for name, m in report["models"].items()
        ),
        f"uploaded        {uploads['objects']} objects, {uploads['bytes'] / 1e6:.1f} MB; "
        f"{uploads['samples_equal']:,} of {uploads['samples_read_back']:,} samples read back equal",
        f"actions         {', '.join(f'{n} {o}' for o, n in report['actions'].items()) or 'none'}",
        f"memory          {report['pss_mb_together']:g} MB PSS of all components together",
        f"speed           {report['values_per_s']:,} values/s, {report['bus_messages_per_s']:g} bus messages/s"
        + (f", sample to alarm p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms" if latency["n"] else ""),
        f"first score     {report['seconds_to_first_score']} s after the install",
        f"report          {path} and {page_path(path).name}",
    ]  # fmt: skip
    return "\n".join(lines)


def _plan(options: Options, root: Path) -> Plan:
    plan = Plan()
    if options.machines:
        plan = machines([f"press{n + 1}" for n in range(options.machines)], options.seed, arm=options.arm)
        if options.camera is None:
            conveyor(plan, options.seed)
    if options.camera is not None:
        camera(plan, options.camera)
    if options.replay:
        replay = stage(options.replay, root / "recordings", options.duration, options.rate, root)
        plan.sources |= replay.sources
        plan.monitors |= replay.monitors
        plan.truth += replay.truth
        plan.unlabelled += replay.unlabelled
        plan.told += replay.told
    return plan


def _title(options: Options, plan: Plan) -> str:
    what = f"{len(plan.machines)} simulated machines, seed {options.seed}" if plan.machines else ", ".join(plan.sources)
    return f"{what}, nucleus {options.nucleus}"


def _build() -> None:
    from edgeloop_tools.build import build

    build()


def _deploy(line: Line, plan: Plan, view: View, progress: Progress, stop: threading.Event) -> int | None:
    """ns UTC of the last look before the environment was complete, or None when interrupted before."""
    deployment = line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", plan.roots, plan.merge())
    started, said = now(), 0
    before = started
    while not stop.is_set():
        asked = now()
        line.poll(measure=False)
        if line.installed():
            view.say("install", f"environment ready after {(before - started) / 1e9:.1f} s")
            return before
        before = asked
        status = next(d for d in line.core.deployments() if d.id == deployment)
        if status.status == "FAILED":
            raise EdgeloopError("the deployment failed", why=status.reason, mend=f"see {line.root / 'logs'}")
        waited = (now() - started) / 1e9
        if waited > INSTALL_TIMEOUT:
            raise EdgeloopError("the installation does not end", where=str(line.root / "logs"))
        if waited // 10 > said:
            said = int(waited // 10)
            view.say("install", f"{waited:.0f} s …")
        view.show(line, progress)
        stop.wait(LOOK)
    return None


def _open(page: Page, line: Line, view: View, progress: Progress) -> None:
    """Says where the page is, and shows it where there is a screen."""
    try:
        page.admit(line.root, CHECKOUT / "artifacts")
    except EdgeloopError as error:
        view.say("page", str(error))
        return
    progress.title += f" · {page}"
    view.say("page", str(page))
    page.open()


def _watch(line: Line, acts: Acts, view: View, progress: Progress, stop: threading.Event) -> None:
    ticks = 0
    while progress.seconds < progress.duration and not stop.is_set():
        line.poll(measure=ticks % 4 == 0)
        ticks += 1
        acts.step()
        view.show(line, progress)
        stop.wait(LOOK)


def _fetch(line: Line) -> Arrived:
    """What arrived in the local S3, which ends with the core; kept in the core's folder."""
    work = line.root / "work"
    waiting = [work / UPLOAD / "spool", *(work / name / "upload" for name in (ANOMALY, CAMERA))]
    return fetch(str(line.core.status()["endpoint"]), BUCKET, line.root / "uploaded", waiting)


def _writable(path: Path, *, given: bool) -> Path:
    path = path.absolute()
    if page_path(path) == path:
        raise EdgeloopError("the report is JSON", where=str(path), why="its page is written beside it as .html",
                            mend="name a .json file")  # fmt: skip
    if given and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise EdgeloopError(
            "the report cannot be written there", where=str(path), mend="name a file in an existing folder"
        )
    return path


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask for a clean stop; a second one is an interrupt."""
    stop = threading.Event()

    def ask(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("stopping; the report follows", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
