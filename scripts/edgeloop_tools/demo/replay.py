"""Other people's recordings: CSV files and .npy arrays as sources with fitting monitors."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomaly_inference.configuration import Monitor
from edgeloop import tables
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.config.quantities import Budget, Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.backtest.replay import NAME, configuration
from edgeloop_tools.demo import player
from edgeloop_tools.demo.plan import BEARING, RUNTIME, SHAFT, Plan
from edgeloop_tools.harness.judge import Fault
from edgeloop_tools.tables import need

LABELS = ("anomaly", "changepoint")
LEARN_SHARE, LONG_LEARN_SHARE, LONG = 1 / 3, 0.15, 3000
"""Of a CSV file, and of one of more than LONG rows; SKAB's and NAB's own conventions."""
CONFIRM, RECOVER = 3, 20
"""Rows that an alarm takes to be raised and to be cleared."""
FALSE_ALARMS_PER_FILE = 1 / 4


@dataclass(frozen=True, slots=True)
class Table:
    """A table looked over. step: median seconds between rows; labelled: spans of rows [a, b) marked in it."""

    path: Path
    rows: int
    step: float
    labels: tuple[str, ...]
    labelled: tuple[tuple[int, int], ...]
    understood: str = ""


def stage(files: Sequence[Path], folder: Path, duration: float, rate: float, root: Path) -> Plan:
    """Copies the files where the components' user can read them (below `folder`) and plans their replay.

    rate: Hz of the .npy recordings. root: the core's. Raises EdgeloopError naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    plan = Plan()
    arrays = [f for f in files if f.suffix == ".npy"]
    for path in files:
        if path not in arrays:
            _csv(plan, look(path), _copy(path, folder), duration)
    if arrays:
        _recordings(plan, [(f, _copy(f, folder)) for f in arrays], folder, rate, root)
    return plan


def check(files: Sequence[Path]) -> None:
    """Raises EdgeloopError for the first file that cannot be replayed."""
    for path in files:
        if not path.is_file():
            raise EdgeloopError("no such recording", where=str(path), mend="name a CSV or .npy file")
        if path.suffix == ".npy":
            _read([path])
        else:
            look(path)


def _read(files: Sequence[Path]) -> list[player.Recording]:
    try:
        return [player.read(str(path)) for path in files]
    except ValueError as error:
        raise EdgeloopError("cannot play the recording", why=str(error)) from error


def look(path: Path) -> Table:
    """Time column, labels and step. Raises EdgeloopError."""
    need([path])
    whole = tables.read(path)
    if whole.times is None or len(whole.times) < 2 or not (np.diff(whole.times) > 0).any():
        raise EdgeloopError("no time can be read", where=str(path),
                            mend="put the time into the first column, as ISO 8601 or seconds")  # fmt: skip
    steps = np.diff(whole.times)
    names = [channel.name for channel in whole.channels]
    labels = tuple(n for n in names if n.lower() in LABELS)
    step = float(np.median(steps[steps > 0])) / NS
    marked = whole.values[:, names.index("anomaly")] if "anomaly" in names else np.zeros(len(whole.times))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.nan_to_num(marked) != 0).astype(np.int8), [0]))))
    spans = tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))
    return Table(path, len(whole.times), step, labels, spans, whole.understood)


def _csv(plan: Plan, table: Table, copy: Path, duration: float) -> None:
    stem = table.path.stem
    name = _identifier(stem if len(stem) > 3 else f"{table.path.parent.name}_{stem}", plan)
    span = table.rows * table.step
    share = LEARN_SHARE if table.rows <= LONG else LONG_LEARN_SHARE
    speed = max(1, -(-span // max(5.0, duration - 10)))
    plan.sources[name] = {"type": "replay", "path": str(copy), "speed": int(speed)}
    if table.labels:
        plan.sources[name]["ignore"] = " ".join(table.labels)
    plan.monitors[name] = {
        "asset": name,
        "input": name,
        "learn": f"{max(30 * table.step, share * span):.0f} s",
        "confirm": f"{CONFIRM * table.step:g} s",
        "recover": f"{RECOVER * table.step:g} s",
        "budget": f"{span / FALSE_ALARMS_PER_FILE:.0f} s",
        "gap": "0 s",
        "flat_line": "0 s",
        "clock": "0 s",
    }
    if table.labelled:
        plan.monitors[name]["detect"] = "conditions"  # what labels mark are spans of time, no single points
    else:
        plan.unlabelled.append(name)
    plan.told += [f"{name}: {table.understood}", f"{name}: {_as_backtest(plan.monitors[name], table)}"]
    for number, (first, end) in enumerate(table.labelled):
        late = max(10, (end - first) // 10)
        plan.truth.append(Fault(f"{name}-{number}", "recorded", name, first, end + late, name, "row"))


def _as_backtest(monitor: Mapping[str, object], table: Table) -> str:
    """The command that judges the recording with the same settings, and those that it has not."""
    learn = max(1, round(Duration(str(monitor["learn"])).seconds / table.step))
    budget = str(monitor["budget"])
    said = ["edgeloop backtest --input", shlex.quote(str(table.path)), f"--learn-rows {learn} --budget '{budget}'"]
    said += [f"--ignore {','.join(table.labels)}"] if table.labels else []
    said += [f"--detect {monitor['detect']}"] if "detect" in monitor else []
    same = configuration(
        table.step, learn=learn, budget=Budget(budget), detect=str(monitor.get("detect", ""))
    ).monitors[NAME]
    mine = convert(dict(monitor), Monitor)
    own = {name: getattr(mine, name) for name in Monitor.__struct_fields__ if name not in ("asset", "input", "learn")}
    apart = [name for name, value in own.items() if value != getattr(same, name)]
    end = f", but for {', '.join(f'{name} ({monitor[name]})' for name in apart)}" if apart else ""
    return f"the same as `{' '.join(said)}`{end}"


def _recordings(plan: Plan, files: Sequence[tuple[Path, Path]], folder: Path, rate: float, root: Path) -> None:
    recordings = _read([copy for _, copy in files])
    widths = {(r.channels, r.dtype) for r in recordings}
    if len(widths) > 1:
        raise EdgeloopError("the recordings do not fit together", where=", ".join(f.name for f, _ in files),
                            why="they differ in type or number of channels", mend="replay them one by one")  # fmt: skip
    channels = recordings[0].channels
    names = ["drive", "fan"] if channels == 2 else [f"c{n + 1}" for n in range(channels)]
    program = _copy(Path(player.__file__), folder)
    name = _identifier("spindle", plan)
    python = root / "work" / RUNTIME / "venv" / "bin" / "python"
    words = [
        python,
        program,
        "--rate",
        f"{rate:g}",
        "--channels",
        ",".join(names),
        "--unit",
        "[g]",
        *(c for _, c in files),
    ]
    plan.sources[name] = {"type": "process", "command": " ".join(shlex.quote(str(w)) for w in words)}
    healthy = recordings[0].rows / rate
    plan.monitors[name] = {
        "asset": name,
        "input": name,
        "settle": "0 s",
        "learn": f"{min(30.0, 0.7 * healthy):.1f} s",
        "block": "100 ms",
        "budget": "1 alarm/week",
        "severity": "high",
        "shaft": f"{SHAFT} Hz",
        "bearing": dict(BEARING),
    }
    if len(recordings) == 1:
        plan.unlabelled.append(name)
    else:
        plan.truth.append(Fault(f"{name}-change", "recorded", name, recordings[0].rows, 1 << 62, name, "row"))


def _identifier(text: str, plan: Plan) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_-")[:28] or "recording"
    name, number = plain, 2
    while name in plan.sources:
        name, number = f"{plain}_{number}", number + 1
    return name


def _copy(path: Path, folder: Path) -> Path:
    target = folder / f"{path.parent.name}-{path.name}"
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise EdgeloopError("cannot copy the recording", where=str(path), why=error.strerror or str(error)) from error
    target.chmod(0o644)
    return target
