"""Full disks and wrong values: degraded with a line, never dead, nothing lost of what was announced."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgeloop import __version__
from edgeloop_tools.demo.plan import ANOMALY, INGEST, UMBRELLA, machines
from edgeloop_tools.harness.ledger import audit
from edgeloop_tools.harness.line import Line

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_a_full_disk_stops_the_journal_and_nothing_else(running: Any, until: Any) -> None:
    with running("classic", machines(["press1"], 9)) as line:
        size = (8 if os.geteuid() == 0 else 1) << 20
        means = line.core.fault("full_disk", component=INGEST, bytes=size)["means"]
        until(lambda: _health(line, INGEST) == "degraded", 40, "a word about the full disk")
        pids = line.poll()[INGEST].pids
        assert line.components[INGEST].state == "RUNNING"
        assert line.components[ANOMALY].state == "RUNNING"
        announced = dict(line.recording.announced_bytes)
        line.core.fault("disk_room", component=INGEST)
        until(lambda: line.recording.announced_bytes != announced, 30, "a sample once there was room")
        assert line.poll()[INGEST].pids == pids
        if means == "file system":
            announced = dict(line.recording.announced_bytes)
            line.core.fault("disk_back", component=INGEST)
            until(lambda: set(line.recording.announced_bytes) - set(announced), 40, "a sample on the old disk")
        line.close()
        ledger = audit(line.journal)
    assert ledger.lost(line.recording) == {}
    assert ledger.short_bytes(line.recording) == 0
    assert ledger.doubled == 0


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
@pytest.mark.timeout(600)
def test_a_wrong_value_costs_its_own_source_and_monitor(running: Any, until: Any, nucleus: str) -> None:
    with running(nucleus, machines(["press1"], 9)) as line:
        wrong = {
            INGEST: {
                "sources": {
                    "gone": {"type": "replay", "path": "/nowhere/x.csv"},
                    "odd": {"type": "simulator", "seed": "x"},
                }
            },
            ANOMALY: {"monitors": {"odd": {"asset": "a", "input": "press1_vib", "learn": "a while"}}},
        }
        line.core.deploy(
            {UMBRELLA: __version__, INGEST: __version__, ANOMALY: __version__}, wrong,
            recipe_dir=CHECKOUT / "recipes", artifact_dir=CHECKOUT / "artifacts",
        )  # fmt: skip
        for name, words in ((INGEST, ("sources.odd.seed", "/nowhere/x.csv")), (ANOMALY, ("monitors.odd.learn",))):
            until(lambda n=name, w=words: all(word in _problems(line, n) for word in w), 40, f"{name} naming {words}")
            assert _health(line, name) == "degraded"
        heard = dict(line.recording.announced_bytes)
        until(lambda: line.recording.announced_bytes != heard, 20, "samples of the other source")
        components = line.poll()
        assert components[INGEST].state == "RUNNING"
        assert components[ANOMALY].state == "RUNNING"
        for name in (INGEST, ANOMALY):
            assert "Traceback" not in (line.root / "logs" / f"{name}.log").read_text()


def _health(line: Line, name: str) -> str:
    health = line.recording.health.get(name)
    return health.state if health is not None else ""


def _problems(line: Line, name: str) -> str:
    health = line.recording.health.get(name)
    return str(health.problems) if health is not None else ""
