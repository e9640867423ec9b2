"""A line with everything, and faults of every kind: what arrived is what is in the journal and in the bucket."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.core.environment import CLOCK, clock_mover
from edgeloop_tools.demo.plan import INGEST, UPLOAD
from edgeloop_tools.harness import soak
from edgeloop_tools.harness.broker import BINARY, Broker
from edgeloop_tools.harness.line import Line

CHECKOUT = Path(__file__).resolve().parents[2]
SHORT = {f"kill {name.rpartition('.')[2]}" for name in (INGEST, UPLOAD)} | {
    "kill the bus", "kill Stream Manager", "network away", "clock -1d"
}  # fmt: skip
pytestmark = pytest.mark.skipif(
    BINARY is None and "EDGELOOP_ALL_PEERS" not in os.environ, reason="there is no mosquitto"
)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="EDGELOOP_LONG is not set: it takes three minutes")
def test_a_quarter_of_a_minute_of_kills_loses_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = root.parent / "clock"
    clock.write_text("+0\n")
    monkeypatch.setenv(CLOCK, str(clock))
    assert clock_mover() or "EDGELOOP_ALL_PEERS" not in os.environ, "there is no faketime"
    with Broker(tmp_path / "broker") as broker, Line(root) as line:
        plan = soak.plan(broker, 3)
        deployment = line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", plan.roots, soak.merge(plan))
        line.core.wait(deployment, timeout=400)
        soaked = soak.Soak(line, broker, 3, clock=clock if clock_mover() else None, only=SHORT)
        verdict = soaked.run(15.0, 0.5, tmp_path / "bucket")
    assert verdict.arrived > 1000
    assert _wrong(verdict) == []
    assert [line for line in verdict.untrue if "ok all through" in line] == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif("EDGELOOP_LONG" not in os.environ, reason="EDGELOOP_LONG is not set: it takes eight minutes")
def test_five_minutes_with_faults_of_every_kind() -> None:
    path = CHECKOUT / "tests" / "benchmarks" / "soak-long.py"
    spec = importlib.util.spec_from_file_location("soak_long", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures = module.run(minutes=5.0, hours=2.0)
    assert [goal for goal in figures["goals"] if goal["figure"] > goal["at_most"]] == []


def _wrong(verdict: soak.Verdict) -> list[Any]:
    """Of what was lost or doubled: how fast a health is true again depends on the machine."""
    kept = [goal for goal in soak.goals(verdict) if "growth" not in goal["goal"] and "healths" not in goal["goal"]]
    return [goal for goal in kept if goal["figure"] > goal["at_most"]]
