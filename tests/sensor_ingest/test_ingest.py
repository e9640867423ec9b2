"""SensorIngest as a process, on a bus, over its whole life."""

from __future__ import annotations

import itertools
import json
import random
import resource
import shlex
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from edgeloop import clock, topics
from edgeloop.clock import NS
from edgeloop.journal import CursorFile, Position, directory
from edgeloop.samples import notice
from edgeloop.uploader import journal_cursor
from edgeloop.wire.batch import Batch, Dropped, Item, RecordBatch
from edgeloop.wire.codec import decode
from sensor_ingest.declaration import NAME

SIMULATOR = {"type": "simulator", "seed": "7", "actions": {"stop": {"range": "0..1", "armed": "true"}}}


def contiguous(items: list[Item]) -> dict[str, list[int]]:
    """Checks that (epoch, index) of each stream has no hole; the epochs of each stream in order."""
    epochs: dict[str, list[int]] = defaultdict(list)
    due: dict[str, int] = {}
    for item in items:
        assert not isinstance(item, Dropped)
        known = epochs[item.stream]
        if not known or known[-1] != item.epoch:
            assert item.epoch not in known
            assert item.index == 0
            assert item.previous == ((known[-1], due[item.stream] - 1) if known else None)
            known.append(item.epoch)
        else:
            assert item.index == due[item.stream]
            assert item.previous is None
        due[item.stream] = item.index + len(item)
    return epochs


def announced(plant: Any) -> list[notice.Notice]:
    return [notice.decode(payload) for payload in plant.messages.get(topics.SAMPLES, [])]


def lost(plant: Any) -> int:
    """How many announced bytes are not in the journal, or are not whole frames there."""
    missing = 0
    for said in announced(plant):
        path = directory(plant.root) / said.segment
        content = path.read_bytes()[said.start : said.end]
        if len(content) < said.end - said.start:
            missing += said.end - said.start - len(content)
            continue
        at = 0
        while at < len(content):
            _, at = decode(content, at)
    return missing


def test_all_that_comes_is_journalled_and_announced_and_it_ends_in_order(plant: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,a\n" + "".join(f"{i / 100},{i}\n" for i in range(2000)))
    plant.configure(
        site="here",
        tick="20 ms",
        sources={"press1": SIMULATOR, "valve": {"type": "replay", "path": str(tmp_path / "a.csv"), "speed": "10"}},
    )
    process = plant.start()
    plant.wait(lambda: len(announced(plant)) > 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    items = plant.journal()
    epochs = contiguous(items)
    assert set(epochs) == {"press1_vib", "press1_slow", "press1_plc", "valve"}
    assert len({e for known in epochs.values() for e in known}) == 1
    vibration = [i for i in items if i.stream == "press1_vib"]
    assert all(isinstance(i, Batch) and i.rate == 25_600 for i in vibration)
    assert all(isinstance(i, RecordBatch) for i in items if i.stream == "press1_plc")
    last = vibration[-1]
    assert isinstance(last, Batch)
    assert abs(last.end - clock.now()) < 30 * NS
    assert lost(plant) == 0
    assert '"level":"error"' not in plant.log()
    assert "Traceback" not in plant.log()


def test_killed_at_any_time_nothing_that_was_announced_is_lost(plant: Any) -> None:
    plant.configure(tick="10 ms", journal={"segment": "64 KiB"}, sources={"press1": SIMULATOR})
    rng = random.Random(5)
    for _ in range(8):
        before = len(announced(plant))
        process = plant.start()
        plant.wait(lambda before=before: len(announced(plant)) >= before + 3)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait()
    time.sleep(0.2)
    assert lost(plant) == 0
    epochs = contiguous(plant.journal())
    assert len(epochs["press1_vib"]) == 8


def test_a_wrong_source_is_degraded_by_one_line_and_the_others_run(plant: Any, tmp_path: Path) -> None:
    missing = tmp_path / "later.csv"
    plant.configure(
        sources={
            "press1": SIMULATOR,
            "broken": {"type": "simulator", "sed": 1},
            "unknown": {"type": "modbos"},
            "Wrong Id": {"type": "simulator"},
            "number": 5,
            "later": {"type": "replay", "path": str(missing), "speed": "max"},
        }
    )
    plant.start()
    plant.wait(lambda: plant.health().get("problem_count", 0) >= 5 and len(announced(plant)) > 5)
    problems = plant.problems()
    for line in (
        "unknown key (sources.broken.sed); did you mean 'seed'?",
        "unknown source type (sources.unknown.type): 'modbos'; one of: gpio, ",
        "wrong id (sources.Wrong Id)",
        "invalid value (sources.number): 5 is no map of settings",
        f"cannot read the file ({missing}): No such file or directory",
    ):
        assert line in problems or json.dumps(line)[1:-1] in problems
    missing.write_text("t,a\n0,1\n1,2\n")
    plant.wait(lambda: any(i.stream == "later" for i in plant.journal()))
    plant.wait(lambda: "cannot read" not in plant.problems())
    assert plant.health()["state"] == "degraded"
    assert "Traceback" not in plant.log()


def test_a_change_of_configuration_restarts_only_what_changed(plant: Any, tmp_path: Path) -> None:
    plant.configure(sources={"press1": SIMULATOR, "press2": {**SIMULATOR, "seed": "8"}})
    plant.start()
    plant.wait(lambda: {"press1_vib", "press2_vib"} <= {i.stream for i in plant.journal()})
    plant.configure(sources={"press2": {"seed": "x"}})
    plant.wait(lambda: "sources.press2.seed" in plant.problems())
    count = len(announced(plant))
    plant.wait(lambda: len(announced(plant)) > count + 5)
    (tmp_path / "a.csv").write_text("t,a\n0,1\n1,2\n")
    same_name = {"type": "replay", "path": str(tmp_path / "a.csv")}
    plant.configure(sources={"press2": {"seed": "9"}, "press3": SIMULATOR, "press1_vib": same_name})
    plant.wait(lambda: any(i.stream == "press3_slow" for i in plant.journal()))
    plant.wait(lambda: "sources.press2.seed" not in plant.problems())
    plant.wait(lambda: "two sources have a stream press1_vib" in plant.problems())
    log = [json.loads(line) for line in plant.log().splitlines()]
    started = [line["source"] for line in log if line["message"] == "source started"]
    assert sorted(started) == ["press1", "press1_vib", "press2", "press2", "press3"]
    items = plant.journal()
    assert all(len(e) == 1 for e in contiguous(items).values())
    assert not any(isinstance(i, Batch) and i.discontinuity for i in items if i.stream == "press1_vib")


def test_an_action_reaches_the_machine_and_the_result_the_bus(plant: Any) -> None:
    dry = {"stop": {"range": "0..1"}}
    plant.configure(sources={"press1": SIMULATOR, "press2": {**SIMULATOR, "actions": dry}})
    plant.start()
    plant.wait(lambda: len(announced(plant)) > 5)
    for number, source in enumerate(("press1", "press2", "press3")):
        now = clock.now()
        action = {"schema": 1, "id": f"a{number}", "target": "stop", "value": 1, "issued": now, "armed": True}
        plant.bus.publish_document(topics.action(source), {**action, "expires": now + 2 * NS})
    plant.wait(lambda: len(plant.documents(topics.ACTION_RESULTS)) == 3)
    outcomes = {d["id"]: d["outcome"] for d in plant.documents(topics.ACTION_RESULTS)}
    assert outcomes == {"a0": "done", "a1": "dry_run", "a2": "refused"}

    def running(stream: str) -> list[int]:
        found = [i for i in plant.journal() if isinstance(i, RecordBatch) and i.stream == stream]
        return [int(v) for i in found for v in i.columns["running"].values]

    plant.wait(lambda: running("press1_plc")[-1:] == [0])
    assert all(running("press2_plc"))
    audit = [json.loads(x) for x in (plant.work / "actions.jsonl").read_text().splitlines()]
    assert [(a["id"], a["outcome"]) for a in audit][:2] == [("a0", "accepted"), ("a0", "done")]


def test_a_full_disk_holds_the_samples_back_and_then_lets_them_through(plant: Any) -> None:
    header = {"rate": 1000, "dtype": "<i4", "channels": {"n": "1"}}
    body = "import sys, itertools, time\n"
    body += "for k in itertools.count(): sys.stdout.buffer.write(k.to_bytes(4, 'little')); time.sleep(.001)"
    command = shlex.join([sys.executable, "-u", "-c", body])
    plant.configure(
        sources={"count": {"type": "process", "command": command, "header": json.dumps(header)}, "press1": SIMULATOR}
    )
    process = plant.start()
    plant.wait(lambda: len(announced(plant)) > 10)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    plant.wait(lambda: "the journal has no room" in plant.problems())
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    plant.wait(lambda: "the journal has no room" not in plant.problems())
    before = len(announced(plant))
    plant.wait(lambda: len(announced(plant)) > before + 5)
    process.kill()
    process.wait()
    items = plant.journal()
    contiguous(items)
    numbers = [int(n) for i in items if isinstance(i, Batch) and i.stream == "count" for n in i.samples[:, 0]]
    assert numbers == list(range(len(numbers)))
    assert lost(plant) == 0


def test_a_silent_sensor_and_a_jumping_clock_are_reported(plant: Any) -> None:
    faults = {"first": "1 s", "every": "10 s", "hold": "4 s"}
    plant.configure(
        sources={
            "jumping": {**SIMULATOR, "faults": {**faults, "kinds": "clock_jump"}},
            "quiet": {**SIMULATOR, "seed": _seed_of_a_silent_vibration(), "faults": {**faults, "kinds": "dropout"}},
        }
    )
    plant.start()
    plant.wait(lambda: "jumping_vib: the time stamps stepped by" in plant.problems())
    plant.wait(lambda: "quiet_vib: nothing comes" in plant.problems())
    plant.wait(lambda: len(plant.documents(topics.TRUTH)) == 4)
    plant.wait(lambda: plant.health()["counters"].get("discontinuities.quiet_vib") == 1)
    log = [json.loads(line)["message"] for line in plant.log().splitlines()]
    assert any(m.startswith("quiet_vib: nothing came for +4.") for m in log)
    assert not any(m.startswith("jumping_vib: nothing") for m in log)


def _seed_of_a_silent_vibration() -> int:
    from edgeloop.sim.faults import Schedule

    for seed in itertools.count():
        fault = Schedule(seed, "quiet", NS, 10 * NS, 4 * NS, ("dropout",)).fault(0)
        if (fault.stream, fault.form) == ("vib", "silent"):
            return seed
    raise AssertionError


def test_it_needs_no_more_than_its_policy(plant: Any) -> None:
    plant.configure(sources={"press1": {**SIMULATOR, "faults": {"first": "0 s", "every": "2 s", "hold": "1 s"}}})
    plant.start()
    plant.wait(lambda: announced(plant) and plant.documents(topics.TRUTH) and plant.health())
    assert "Unauthorized" not in plant.log()
    assert plant.health()["bus"]["refused"] == 0


@pytest.mark.parametrize("arguments", [[], ["--root"], ["--root", "/x", "--nonsense"]])
def test_wrong_arguments_are_wrong_use(arguments: list[str]) -> None:
    from sensor_ingest.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_declaration_names_it() -> None:
    assert NAME == "io.edgeloop.SensorIngest"


def test_what_was_uploaded_goes_first(plant: Any) -> None:
    """Over its budget the journal drops nothing of what StreamUpload has passed."""
    cursor = CursorFile(journal_cursor(plant.root))
    plant.configure(
        journal={"segment": "64 KiB", "budget": "1 MiB"},
        sources={"press1": {"type": "simulator", "seed": "7", "speed": 4}},
    )
    plant.start()
    seen: set[str] = set()

    def behind() -> bool:
        segments = sorted(path.name for path in directory(plant.root).glob("*.cborseq"))
        seen.update(segments)
        if len(segments) > 1:
            cursor.save(Position(segments[-1], 0))
        return len(seen) >= 25

    plant.wait(behind)
    kept = {path.name for path in directory(plant.root).glob("*.cborseq")}
    assert kept < seen
    assert not [item for item in plant.journal() if isinstance(item, Dropped)]
