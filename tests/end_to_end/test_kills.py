"""Nothing that was announced is lost, whatever dies."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.clock import now
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.daemon import start
from edgeloop_tools.demo.plan import ANOMALY, BUCKET, CAMERA, INGEST, MODELS, UPLOAD, conveyor, machines
from edgeloop_tools.device import processes
from edgeloop_tools.harness.cameras import PATIENCE, count
from edgeloop_tools.harness.ledger import audit
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.uploads import Comparison, fetch

FIVE = (INGEST, ANOMALY, CAMERA, MODELS, UPLOAD)
KILLS = 50
SEED = 20


@pytest.fixture
def forgiving(request: pytest.FixtureRequest) -> Iterator[Callable[[Line], None]]:
    """Clears the restart counters, which a nucleus keeps for an hour."""

    def clear(line: Line) -> None:
        line.core.clear_restart_counters()

    return clear


@pytest.mark.timeout(300)
def test_fifty_kills_of_the_ingest_lose_nothing(running: Any, until: Any, forgiving: Callable[[Line], None]) -> None:
    plan = machines(["press1"], SEED)
    dice = random.Random(SEED)
    with running("classic", plan) as line:
        for _ in range(KILLS):
            segments = set(line.recording.announced_bytes)
            assert line.kill(INGEST) is not None
            forgiving(line)
            until(lambda known=segments: set(line.recording.announced_bytes) - known, 30, "a sample after the kill")
            time.sleep(dice.uniform(0, 0.3))
        line.poll()
        assert line.components[INGEST].restarts >= KILLS
        assert line.components[ANOMALY].restarts == 0
        line.close()
        ledger = audit(line.journal)
    assert ledger.lost(line.recording) == {}
    assert ledger.short_bytes(line.recording) == 0
    assert ledger.doubled == 0
    assert len({epoch for _, epoch in ledger.lanes}) >= KILLS + 1
    assert sum(line.recording.unreadable.values()) == 0


@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="EDGELOOP_LONG is not set: half a minute")
@pytest.mark.timeout(300)
def test_a_nucleus_that_dies_leaves_one_set_at_work_and_no_sample_twice(running: Any, until: Any) -> None:
    with running("classic", machines(["press1"], SEED)) as line:

        def written() -> int:
            return sum(path.stat().st_size for path in line.journal.glob("*.cborseq"))

        old, known = line.poll()[INGEST].pid, set(line.recording.announced_bytes)
        line.observer.close()
        with pytest.raises(ControlError):
            line.core.fault("die")
        line.core.close()
        until(lambda: processes.of(line.root, ANOMALY) == [], 60, "what has nothing to do without a nucleus leaves")
        before = written()
        until(lambda: written() > before + 50_000, 60, "sensing goes on")
        assert processes.of(line.root, INGEST) == [old]
        line.core = start(line.root, "classic")
        line.observer = line.watch()
        until(lambda: processes.of(line.root, INGEST) not in ([], [old]), 60, "a second set")
        until(lambda: old not in processes.of(line.root, INGEST), 60, "the first one left")
        until(lambda: len(processes.of(line.root, INGEST)) == 1, 60)
        until(lambda: set(line.recording.announced_bytes) - known, 60, "a sample of the second set")
        line.close()
        ledger = audit(line.journal)
    assert ledger.doubled == 0
    assert len({epoch for _, epoch in ledger.lanes}) == 2
    assert processes.of(line.root, INGEST) == [], "no orphan after a clean stop"


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
@pytest.mark.timeout(240)
def test_each_death_leaves_the_rest_running(
    running: Any, until: Any, nucleus: str, forgiving: Callable[[Line], None], tmp_path: Path
) -> None:
    plan = machines(["press1"], SEED)
    conveyor(plan, SEED)
    with running(nucleus, plan) as line:
        until(lambda: _inferred(line), 60, "a verdict of the model")
        until(lambda: all(line.poll()[name].pids for name in FIVE), 60, "all five of them")
        for victim in FIVE:
            before = line.poll()
            pid = before[victim].pid
            line.kill(victim)
            until(lambda v=victim, p=pid: _alive_again(line, v, p), 30, f"{victim} after kill -9")
            for witness in set(FIVE) - {victim}:
                assert line.components[witness].pids == before[witness].pids
            forgiving(line)
        until(lambda: all(c.missing == 0 for c in count(line.recording, now() + PATIENCE).values()), 30, "all verdicts")
        gate = count(line.recording, now())["gate"]
        assert gate.parts > 0
        assert gate.contradicted == 0
        before = line.poll()
        heard = sum(line.recording.messages.values())
        line.core.fault("kill_bus")
        until(lambda: sum(line.recording.messages.values()) > heard + 20, 60, "messages after the bus was killed")
        until(lambda: _all_running(line), 60, "all components after the bus was killed")
        if nucleus == "classic":
            assert [line.components[name].pids for name in FIVE] == [before[name].pids for name in FIVE]
        results = line.recording.messages["edgeloop/results/AnomalyInference"]
        until(lambda: line.recording.messages["edgeloop/results/AnomalyInference"] > results + 5, 60, "results")
        endpoint = str(line.core.status()["endpoint"])
        until(lambda: "raw" in fetch(endpoint, BUCKET, tmp_path, ()).kinds, 60, "an upload")
        comparison = Comparison(fetch(endpoint, BUCKET, tmp_path, ()))
        line.close()
        ledger = audit(line.journal, comparison.add)
    assert ledger.lost(line.recording) == {}
    assert ledger.doubled == 0
    assert comparison.samples
    assert comparison.different == 0


def _inferred(line: Line) -> bool:
    return any(seen.inspection.model.version for seen in line.recording.inspections)


def _alive_again(line: Line, name: str, old: int | None) -> bool:
    component = line.poll()[name]
    return component.state == "RUNNING" and component.pid not in (None, old)


def _all_running(line: Line) -> bool:
    components = line.poll()
    return all(components[name].state == "RUNNING" and _exists(components[name].pid) for name in FIVE)


def _exists(pid: int | None) -> bool:
    return pid is not None and os.path.exists(f"/proc/{pid}")
