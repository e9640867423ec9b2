"""Old → new → old while a line runs: what was measured, learned and said stays, and the Runtime is left alone."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop import __version__
from edgeloop.alarms import journal as alarms
from edgeloop_tools.cli import main
from edgeloop_tools.demo.plan import ANOMALY, INGEST, MODELS, RUNTIME, UMBRELLA, Plan, machines
from edgeloop_tools.harness.documents import AlarmEvent
from edgeloop_tools.harness.ledger import Lane, audit
from edgeloop_tools.harness.line import Line

CHECKOUT = Path(__file__).resolve().parents[2]
OLD = __version__
NEW = ".".join([*OLD.split(".")[:2], str(int(OLD.split(".")[2]) + 1)])
CHANGED = {INGEST: "sensor_ingest", ANOMALY: "anomaly_inference", MODELS: "model_update"}
LEARNING = "press1_bearing"
NEW_DEFAULTS = {"novelty": "on"}
CHANGED_DEFAULTS: dict[str, dict[str, Any]] = {
    INGEST: {"tick": "40 ms"},
    ANOMALY: {"save": "20 s", "site": "elsewhere"},
    MODELS: {"runtimes": "onnxruntime dlr"},
}
SETTING = """

class Configuration(Configuration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    novelty: str = "on"
"""


def renewed(archive: bytes, package: str) -> bytes:
    """The next version's program: it knows one setting more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == f"{package}/configuration.py":
                data += SETTING.encode()
            new.writestr(entry, data)
    return buffer.getvalue()


def release(folder: Path) -> tuple[Path, Path]:
    """(recipes, artifacts) of a new version of three components, and an umbrella that takes them; policies under new
    ids, defaults changed and added."""
    recipes, artifacts = folder / "recipes", folder / "artifacts"
    recipes.mkdir()
    folder.chmod(0o755)
    umbrella = yaml.safe_load((CHECKOUT / "recipes" / f"{UMBRELLA}-{OLD}.yaml").read_text())
    umbrella["ComponentVersion"] = NEW
    for name in CHANGED:
        umbrella["ComponentDependencies"][name]["VersionRequirement"] = f"={NEW}"
    (recipes / f"{UMBRELLA}-{NEW}.yaml").write_text(yaml.safe_dump(umbrella, sort_keys=False))
    for name, package in CHANGED.items():
        text = (CHECKOUT / "recipes" / f"{name}-{OLD}.yaml").read_text()
        document = yaml.safe_load(text)
        document["ComponentVersion"] = NEW
        defaults = document["ComponentConfiguration"]["DefaultConfiguration"]
        defaults |= CHANGED_DEFAULTS[name] | NEW_DEFAULTS
        for service, policies in defaults["accessControl"].items():
            defaults["accessControl"][service] = {newer(id): policy for id, policy in policies.items()}
        (recipes / f"{name}-{NEW}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        to = artifacts / name / NEW
        to.mkdir(parents=True)
        for path in (CHECKOUT / "artifacts" / name / OLD).iterdir():
            data = path.read_bytes()
            (to / path.name).write_bytes(renewed(data, package) if path.suffix == ".pyz" else data)
    return recipes, artifacts


def newer(policy: str) -> str:
    begin, _, number = policy.rpartition(":")
    return f"{begin}:{int(number) + 100}"


@dataclass
class Seen:
    """What must not change, at one moment."""

    pids: dict[str, tuple[int, ...]]
    runtime: tuple[Any, ...]
    lanes: dict[tuple[str, int], Lane]


def runtime(line: Line) -> tuple[Any, ...]:
    """The Runtime's environment to the link, and all that its install ever said."""
    work = line.root / "work" / RUNTIME
    link, stamp = (work / "venv").lstat(), (work / "venv" / "edgeloop.lock").stat()
    folders = sorted((path.name, path.stat().st_ino) for path in (work / "venvs").iterdir())
    return (link.st_ino, link.st_mtime_ns, stamp.st_ino, stamp.st_mtime_ns, folders,
            (line.root / "logs" / f"{RUNTIME}.log").read_text())  # fmt: skip


def plan() -> Plan:
    """Quick to learn; one alarm that comes at once and stays."""
    found = machines(["press1"], 9)
    found.sources["press1"]["faults"] |= {"first": "1 h", "every": "1 h"}
    found.monitors[LEARNING] |= {"settle": "500 ms", "learn": "3 s"}
    found.monitors["hot"] = {"asset": "press1", "input": "press1_slow", "range": {"temperature": "0..1"}}
    del found.monitors["press1_process"]
    return found


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
@pytest.mark.timeout(600)
def test_old_new_old(
    running: Any, until: Any, nucleus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes, artifacts = release(tmp_path)
    with running(nucleus, plan()) as line:
        until(lambda: "live" in states(line) and alarms_of(line), 60, "an alarm, and something learned")
        id = alarms_of(line)[0].id
        words = ["alarm", "shelve", id, "--for", "8h", "--by", "kim", "--wait", "60", "--root", str(line.root)]
        assert main(words) == 0
        capsys.readouterr()
        known = snapshot(line)
        before = {name: line.components[name].configuration for name in CHANGED}

        newest = dict.fromkeys((UMBRELLA, *CHANGED), NEW)
        line.core.wait(line.core.deploy(newest, {}, recipe_dir=recipes, artifact_dir=artifacts))
        went_on(line, until, known, NEW, id)
        for name in CHANGED:
            has, had = dict(line.components[name].configuration), dict(before[name])
            policies, kept = has.pop("accessControl"), had.pop("accessControl")
            assert has == had | NEW_DEFAULTS, "defaults come, and never overwrite"
            for service, ids in kept.items():
                recipes_own = {key: policy for key, policy in ids.items() if ":actions:" not in key}
                assert policies[service] == ids | {newer(key): policy for key, policy in recipes_own.items()}
            until(lambda n=name: refused(line, n) == [], 60, f"{name} without a complaint")

        known = snapshot(line)
        again = line.core.deploy(
            dict.fromkeys((UMBRELLA, *CHANGED), OLD), {},
            recipe_dir=CHECKOUT / "recipes", artifact_dir=CHECKOUT / "artifacts",
        )  # fmt: skip
        line.core.wait(again)
        went_on(line, until, known, OLD, id)
        for name in CHANGED:
            assert line.components[name].configuration["novelty"] == "on", "a nucleus keeps what it has"
            until(lambda n=name: refused(line, n), 30, f"{name} naming the setting")
            (said,) = refused(line, name)
            assert said.startswith("unknown key (novelty)")
            assert said.endswith("reset /novelty in a deployment")

        line.core.wait(line.core.deploy(dict.fromkeys(CHANGED, OLD), reset={name: ["/novelty"] for name in CHANGED}))
        for name in CHANGED:
            until(lambda n=name: not refused(line, n), 30, f"{name} without a complaint")
        assert runtime(line) == known.runtime
        line.close()
        ledger = audit(line.journal)
        for name in CHANGED:
            assert "Traceback" not in (line.root / "logs" / f"{name}.log").read_text()
    assert ledger.lost(line.recording) == {}
    assert ledger.doubled == 0
    assert set(known.lanes) <= set(ledger.lanes)
    assert "learning" not in states(line)[states(line).index("live") :], "what was learned is learned once"


def snapshot(line: Line) -> Seen:
    components = line.poll()
    ledger = audit(line.journal)
    return Seen({name: component.pids for name, component in components.items()}, runtime(line), ledger.lanes)


def went_on(line: Line, until: Any, known: Seen, version: str, id: str) -> None:
    """The other program runs, on what the one before left; nothing else was touched."""
    components = line.poll()
    for name, component in components.items():
        if name in CHANGED:
            assert (component.version, component.state) == (version, "RUNNING")
            assert component.pids != known.pids[name]
        elif name != UMBRELLA:
            assert component.pids == known.pids[name], name
    assert runtime(line) == known.runtime, "a code change does not install the Runtime again"
    epochs = {epoch for _, epoch in known.lanes}
    until(lambda: {e for _, e in line.recording.announced} - epochs, 30, f"samples of {version}")
    heard = len(line.recording.scores[LEARNING])
    until(lambda: len(line.recording.scores[LEARNING]) > heard + 5, 30, f"results of {version}")
    lanes = audit(line.journal).lanes
    for key, lane in known.lanes.items():
        assert (lanes[key].first, lanes[key].holes) == (lane.first, 0)
        assert lanes[key].end >= lane.end
    (alarm,) = [a for a in alarms.read(line.root / "work" / ANOMALY / "alarms.jsonl") if a.id == id]
    assert (alarm.state, alarm.by) == ("shelved", "kim")


def alarms_of(line: Line) -> list[AlarmEvent]:
    return [received.event for received in line.recording.standing() if received.event.monitor == "hot"]


def states(line: Line) -> list[str]:
    return [score.result.state for score in line.recording.scores[LEARNING]]


def refused(line: Line, name: str) -> list[str]:
    """What the component says of its configuration."""
    health = line.recording.health.get(name)
    return [problem.line for problem in health.problems if problem.key.startswith("configuration")] if health else []
