"""What was gathered, as a line for each thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from edgeloop import clock, durable
from edgeloop.alarms.journal import read
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.fleet.findings import FILE, Kept
from edgeloop.models import report, store
from edgeloop.models.errors import ModelError
from edgeloop_tools.export.dead import letters
from edgeloop_tools.nucleus.model import OURS
from edgeloop_tools.status.gather import SILENT, Found, Running, memory

What = Literal[
    "component", "source", "camera", "monitor", "model", "uploads", "dead letters", "set aside", "setting", "alarm",
    "unread",
]  # fmt: skip
RECENT: Final = 24 * 3600
"""s for which a letter that nobody understood is not ok."""
OLD: Final = 3600.0
"""s that something waits for its upload until that is not ok."""
STALE: Final = 150.0
"""s after which metrics, written once a minute, are no word of now."""
_ALARMS: Final = ("AnomalyInference", "CameraInference")


@dataclass(frozen=True, slots=True)
class Line:
    """since_s: how long it has been so. origin: where that is known from. mb: resident memory."""

    what: What
    name: str
    state: str
    ok: bool
    words: str = ""
    since_s: float | None = None
    restarts: int | None = None
    mb: float | None = None
    origin: str = ""

    def document(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


def lines(found: Found) -> list[Line]:
    """In the order in which people look."""
    listed = [
        *_components(found), *_sources(found), *_cameras(found), *_monitors(found), *_models(found), *_uploads(found),
        *_dead(found), *_set_aside(found), *_settings(found), *_alarms(found),
    ]  # fmt: skip
    return [*listed, *(Line("unread", "-", "unknown", False, why) for why in found.why)]


def _age(time: int) -> float:
    """s since a time, ns UTC, by this machine's clock; negative where that was set back."""
    return (clock.now() - time) / clock.NS


def _components(found: Found) -> Iterator[Line]:
    for component in sorted(found.components, key=lambda c: (not c.name.startswith(OURS), c.name)):
        ours = component.name.startswith(OURS) and component.short not in SILENT
        health = found.health.get(component.short) if ours else None
        state, ok, words = component.state, component.well, [component.reason] if component.reason else []
        if ours and component.state == "RUNNING":
            state, ok = _state(found, component, health, words)
        elif ours and component.state == "FINISHED":
            ok = False
            words.append(f"it is stopped: `edgeloop component restart -n {component.name}`")
        process = (health or {}).get("process") or {}
        how = {True: ", deployed by name", False: ", as a dependency", None: ""}[component.root]
        origin = f"{found.nucleus}{how}"
        yield Line(
            "component", component.name, state, ok, "; ".join(words), (health or {}).get("uptime_s"),
            component.restarts, process.get("memory_mb") or memory(component.pids), origin,
        )  # fmt: skip


def _state(found: Found, component: Running, health: Mapping[str, Any] | None, words: list[str]) -> tuple[str, bool]:
    """Of a component that runs and should speak."""
    if health is None:
        heard = f"within {found.listened:.0f} s" if found.origin == "bus" else f"({found.origin})"
        words.append(f"it says nothing {heard}: `edgeloop logs {component.name}`")
        return "silent", False
    count = int(health.get("problem_count") or len(health.get("problems") or ()))
    if found.origin == "files":
        age = _age(int(health["time"]))
        if abs(age) > STALE:
            words.append(f"its metrics are {age / 60:.0f} min old: `edgeloop logs {component.name}`")
            return "silent", False
        if count:
            words.append(f"{count} problems: `edgeloop logs {component.name}` says which")
        return ("degraded", False) if count else ("RUNNING", True)
    problems = [str(p.get("line")) for p in health.get("problems") or ()]
    words += problems[:1]
    if len(problems) > 1:
        words.append(f"and {max(count, len(problems)) - 1} more")
    return ("degraded", False) if problems or health.get("state") == "degraded" else ("RUNNING", True)


def _sources(found: Found) -> Iterator[Line]:
    for id, entry in sorted(found.settings("SensorIngest", "sources").items()):
        kind = str(entry.get("type", "?")) if isinstance(entry, dict) else "?"
        yield _part(found, "source", "SensorIngest", id, kind)


def _cameras(found: Found) -> Iterator[Line]:
    for id, entry in sorted(found.settings("CameraInference", "cameras").items()):
        uri = str(entry.get("uri", "")) if isinstance(entry, dict) else ""
        counts = found.cameras.get(id) or {}
        words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items()) or uri.partition(":")[0]
        yield _part(found, "camera", "CameraInference", id, words)


def _part(found: Found, what: What, owner: str, id: str, words: str) -> Line:
    """A part of a component, as well as its component's problems say."""
    health, origin = found.health.get(owner), found.origin
    if health is None or (origin == "files" and health.get("problem_count")):
        why = f"{OURS}{owner} says nothing of it" if health is None else f"{OURS}{owner} has problems"
        return Line(what, id, "unknown", False, f"{words}: {why}", origin=origin)
    for problem in health.get("problems") or ():
        if about(str(problem.get("key", "")), id):
            since = _age(int(problem["since"])) if problem.get("since") else None
            return Line(what, id, "degraded", False, str(problem.get("line")), since, origin=origin)
    if int(health.get("problem_count") or 0) > len(health.get("problems") or ()) and origin != "files":
        return Line(
            what, id, "unknown", False, f"{words}: {OURS}{owner} has more problems than it tells", origin=origin
        )
    return Line(what, id, "ok", True, words, origin=origin)


def about(key: str, id: str) -> bool:
    """Whether a problem's key is of a part of that id, or of a stream of it.

    >>> about("sources.plc1.tags", "plc1"), about("stream plc1_state", "plc1"), about("sources.plc12", "plc1")
    (True, True, False)
    """
    return any(word == id or word.startswith(f"{id}_") for word in re.split(r"[^A-Za-z0-9_-]+", key))


def _monitors(found: Found) -> Iterator[Line]:
    for id, entry in sorted(found.settings("AnomalyInference", "monitors").items()):
        line = _part(found, "monitor", "AnomalyInference", id, str(entry.get("input", "")))
        result = found.results.get(id)
        if not line.ok or found.origin == "files":
            yield line
            continue
        if result is None or result.get("state") == "blind":
            heard = f"no result within {found.listened:.0f} s" if found.origin == "bus" else "no result"
            mend = ": a slow stream needs a longer --wait" if found.origin == "bus" else ""
            yield Line("monitor", id, "blind", False, f"{line.words}: {heard}{mend}", origin=found.origin)
            continue
        yield Line("monitor", id, str(result["state"]), True, _learns(line.words, result), origin=found.origin)


def _learns(stream: str, result: Mapping[str, Any]) -> str:
    learned = result.get("learned", 1.0)
    learned = 1.0 if learned is None else float(learned)
    missing = f", not seen yet: {text}" if (text := str(result.get("missing") or "")) else ""
    words = [stream] if learned >= 1 else [stream, f"has learned {learned:.0%} of what is normal{missing}"]
    if result.get("state") == "shadow":
        words.append("in its shadow time: it scores and raises nothing")
    return "; ".join(words)


def _models(found: Found) -> Iterator[Line]:
    folder = found.root / "work" / store.OWNER / "store"
    names = set(found.settings("ModelUpdate", "models"))
    names |= {path.parent.name for path in folder.glob(f"*/{store.POINTER}")}
    for name in sorted(names):
        try:
            pointer = store.read(store.directory(found.root, name))
        except ModelError as error:
            yield Line("model", name, "damaged", False, str(error), origin="files")
            continue
        used = list(report.all_of(found.root, name))
        version = pointer.active.version if pointer and pointer.active else "default"
        words = [f"version {version}", *_wanted_by(found.root, name)]
        words += [f"{r.component.removeprefix(OURS)} {_use(r)}" for r in used]
        bad = [r for r in used if r.fate in ("crashed", "rejected")]
        state = pointer.state if pointer else "default"
        since = _age(pointer.since) if pointer else None
        ok = not bad and state != "rolled_back"
        origin = ", ".join(sorted({r.origin for r in used})) or "files"
        yield Line("model", name, state, ok, "; ".join(words), since, origin=origin)


def _wanted_by(root: Path, name: str) -> list[str]:
    """Who wants what is wanted: a hold, the configuration, a model component, IoT Core."""
    try:
        progress = durable.read(root / "work" / store.OWNER / "progress" / f"{name}.json", _Progress)
    except (OSError, durable.Damaged):
        return []
    return [f"by {progress.by}"] if progress is not None and progress.by else []


class _Progress(msgspec.Struct):
    """The part of ModelUpdate's that is shown."""

    by: str = ""


def _use(used: report.Report) -> str:
    said = f"{used.fate}, serves {used.origin}"
    return f"{said}: {used.reason}" if used.reason else said


def _uploads(found: Found) -> Iterator[Line]:
    health = found.health.get("StreamUpload")
    if not any(c.short == "StreamUpload" for c in found.components):
        return
    numbers = (health or {}).get("upload") or {}
    if not numbers:
        files, size = _queued(found)
        ok = health is not None
        words = f"{size / 1e6:.1f} MB in the queues of components" + ("" if ok else "; StreamUpload says nothing")
        yield Line("uploads", "StreamUpload", f"{files} wait", ok, words, origin="files")
        return
    waiting, age = int(numbers.get("backlog_files", 0)), float(numbers.get("backlog_age_s", 0))
    words = f"{float(numbers.get('backlog_bytes', 0)) / 1e6:.1f} MB"
    words += f", the oldest {age:.0f} s old" if waiting else ""
    words += f"; {int(numbers['failures'])} failed attempts" if numbers.get("failures") else ""
    ok = not (waiting and age > OLD)
    yield Line("uploads", "StreamUpload", f"{waiting} wait", ok, words, age if waiting else None, origin=found.origin)


def _queued(found: Found) -> tuple[int, int]:
    """Files and bytes that wait in the components' own queues."""
    files = size = 0
    for path in (found.root / "work").glob(f"{OURS}*/upload/*"):
        try:
            size += path.stat().st_size
            files += 1
        except OSError as error:
            found.note(f"cannot read {path}: {error.strerror}")
    return files, size


def _dead(found: Found) -> Iterator[Line]:
    folder = found.work("SensorIngest")
    if not folder.is_dir():
        return
    count, newest, last = 0, 0, ""
    try:
        for letter in letters(folder):
            count += 1
            if int(letter.get("time") or 0) >= newest:
                newest, last = int(letter.get("time") or 0), f"{letter.get('source')}: {letter.get('why')}"
    except EdgeloopError as error:
        found.note(str(error))
        return
    age = _age(newest) if count else None
    words = f"the newest of {last}; `edgeloop export --dead` shows them" if count else ""
    yield Line("dead letters", "SensorIngest", str(count), age is None or age > RECENT, words, age, origin="files")


def _set_aside(found: Found) -> Iterator[Line]:
    """Files that could not be used, and input that ended a process: for a person to look at, then to delete."""
    work = found.root / "work"
    paths = sorted({*work.glob(f"{OURS}*/**/*.damaged"), *work.glob(f"{OURS}*/**/set-aside/*")})
    for path in paths:
        component, *rest = path.relative_to(work).parts
        try:
            age = _age(path.stat().st_mtime_ns)
        except OSError:
            continue
        words = f"{'/'.join(rest)}: look at it, then delete it"
        yield Line("set aside", component.removeprefix(OURS), "1 file", False, words, age, origin="files")


def _settings(found: Found) -> Iterator[Line]:
    """What the fleet's findings have set, within the line's bounds."""
    for owner in _ALARMS:
        path = found.work(owner) / FILE
        try:
            kept = durable.read(path, Kept)
        except (OSError, EdgeloopError) as error:
            found.note(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; run this as its user")
            continue
        for name, applied in sorted(kept.applied.items()) if kept is not None else ():
            until = f" until {applied.until}" if applied.until else ""
            words = f"the line says {applied.was}; set by finding {applied.finding} of {applied.analysis}{until}"
            yield Line("setting", name, str(applied.value), True, words, _age(applied.time), origin="fleet")


def _alarms(found: Found) -> Iterator[Line]:
    unseen = 0
    for owner in _ALARMS:
        path = found.work(owner) / "alarms.jsonl"
        try:
            alarms = read(path)
        except FileNotFoundError:
            continue
        except (OSError, DecodeError) as error:
            found.note(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; run this as its user")
            continue
        unseen += sum(alarm.unseen for alarm in alarms)
        for alarm in alarms:
            if alarm.open and not alarm.held_by:
                shelved = alarm.state == "shelved"
                since = _age(alarm.raised_at)
                words = f"{alarm.severity}, {alarm.asset or alarm.monitor}: {alarm.text} ({alarm.kind})"
                yield Line("alarm", alarm.id, alarm.state, shelved, words, since, origin=alarm.cause.stream or owner)
    if unseen:
        yield Line("alarm", "-", "over, unseen", True, f"{unseen} came and went: `edgeloop alarm list`", origin="files")
