from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeloop import clock, topics
from edgeloop.clock import NS
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Records, Samples
from edgeloop.sim.machine import Machine
from edgeloop.sim.spec import Spec
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.simulator import SOURCE, Simulator, State


def run(outlet: Rehearsal, **options: Any) -> Running:
    return Running(SOURCE, outlet, type="simulator", **options)


def began(outlet: Rehearsal) -> int:
    return msgspec.json.decode(outlet.state.read_bytes(), type=State).began


def test_what_comes_is_the_machine_by_the_wall_clock(tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    with run(outlet, seed="7", speed="20") as running:
        running.until(lambda: len(outlet.samples("press1_vib")) > 40_000 and len(outlet.samples("press1_slow")) > 10)
    assert set(outlet.streams) == {"press1_vib", "press1_slow", "press1_plc"}
    machine = Machine(Spec("press1"), 7)
    start = began(outlet)
    first = next(c for c in outlet.chunks if c.stream == "press1_vib")
    assert isinstance(first, Samples)
    index = machine.count("vib", first.time - start)
    vibration = outlet.samples("press1_vib")
    assert (vibration == machine.vibration(index, len(vibration))).all()
    records = next(c for c in outlet.chunks if isinstance(c, Records))
    assert set(records.columns) == {"running", "product", "tool"}


def test_after_a_restart_it_goes_on_by_the_wall_clock(tmp_path: Path) -> None:
    first = Rehearsal("press1", tmp_path)
    with run(first, seed=7) as running:
        running.until(lambda: len(first.chunks) > 3)
    second = Rehearsal("press1", tmp_path)
    with run(second, seed=7) as running:
        running.until(lambda: len(second.chunks) > 3)
    assert began(first) == began(second)
    old, new = (next(c for c in o.chunks if isinstance(c, Samples)) for o in (first, second))
    machine = Machine(Spec("press1"), 7)
    index = machine.count("vib", new.time - began(first))
    assert new.time > old.time
    assert (new.samples == machine.vibration(index, len(new.samples))).all()


@pytest.mark.parametrize(
    "text", ["", "{", '{"seed":7,"speed":1,"began":99999999999999999999}', '{"seed":8,"speed":1,"began":1}']
)
def test_a_state_of_no_use_begins_anew(tmp_path: Path, text: str) -> None:
    outlet = Rehearsal("press1", tmp_path)
    outlet.state.write_text(text)
    now = clock.now()
    with run(outlet, seed=7) as running:
        running.until(lambda: len(outlet.chunks) > 0)
    assert began(outlet) >= now


def test_the_truth_is_published_at_start_and_end_once_also_over_a_restart(tmp_path: Path) -> None:
    faults = {"first": "1 s", "every": "2 s", "hold": "1 s"}
    outlet = Rehearsal("press1", tmp_path)
    with run(outlet, seed=7, speed=20, faults=faults) as running:
        running.until(lambda: len(outlet.published) >= 6)
    outlet.reachable = False
    with run(outlet2 := Rehearsal("press1", tmp_path), seed=7, speed=20, faults=faults) as running:
        outlet2.reachable = False
        running.until(lambda: len(outlet2.chunks) > 20)
    with run(outlet3 := Rehearsal("press1", tmp_path), seed=7, speed=20, faults=faults) as running:
        running.until(lambda: len(outlet3.published) >= 4)
    told = [(d["id"], d["state"]) for o in (outlet, outlet2, outlet3) for t, d in o.published if t == topics.TRUTH]
    assert len(told) == len(set(told))
    numbers = [int(id.split("-")[1]) for id, state in told if state == "started"]
    assert numbers == list(range(len(numbers)))
    document = outlet.published[0][1]
    assert document["end"] - document["start"] == NS
    assert document["machine"] == "press1"
    assert document["start"] >= began(outlet) + NS


def test_stop_stops_the_machine_until_it_restarts(tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    with run(outlet, seed=7, speed=10, restart="5 s") as running:
        running.until(lambda: len(outlet.chunks) > 5)
        assert isinstance(running.source, Simulator)
        running.source.write("stop", 1)
        running.until(lambda: _running(outlet)[-20:].all() and not _running(outlet).all())
        with pytest.raises(EdgeloopError, match="its target is stop"):
            running.source.write("explode", 1)
    state = msgspec.json.decode(outlet.state.read_bytes(), type=State)
    assert [until - since for since, until in state.stops if until] == [8 * NS]
    with run(again := Rehearsal("press1", tmp_path), seed=7, speed=10, restart="0") as running:
        running.until(lambda: len(again.chunks) > 5)
        assert isinstance(running.source, Simulator)
        running.source.write("stop", 1)
        running.until(lambda: not _running(again)[-10:].any())
        running.source.write("stop", 0)
        running.until(lambda: _running(again)[-10:].all())


def _running(outlet: Rehearsal) -> Any:
    found = [np.asarray(c.columns["running"].values) for c in outlet.chunks if isinstance(c, Records)]
    return np.concatenate(found) if found else np.zeros(1, np.uint8)


def test_faults_that_overlap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hold must be shorter"):
        run(Rehearsal("press1", tmp_path), faults={"every": "1 s", "hold": "2 s"})
    with pytest.raises(ConfigurationError, match="kinds"):
        run(Rehearsal("press1", tmp_path), faults={"kinds": "outer_race fire"})


@pytest.mark.parametrize("step", [-86_400 * NS, 86_400 * NS])
def test_a_clock_that_is_set_neither_stops_nor_hurries_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    outlet, real = Rehearsal("press1", tmp_path), clock.now
    with run(outlet, seed=7) as running:
        running.until(lambda: len(outlet.samples("press1_vib")) > 1000)
        before = began(outlet)
        monkeypatch.setattr(clock, "now", lambda: real() + step)
        running.until(lambda: began(outlet) != before)
        known, at = len(outlet.samples("press1_vib")), clock.elapsed()
        running.until(lambda: len(outlet.samples("press1_vib")) > known + 1000)
        late = (clock.elapsed() - at) / NS
    assert abs(began(outlet) - before - step) < NS, "time stamps go by the clock"
    machine, vibration = Machine(Spec("press1"), 7), outlet.samples("press1_vib")
    assert len(vibration) < known + 1000 + 25_600 * (late + 1), "what a day would have brought is not made up"
    first = next(c for c in outlet.chunks if c.stream == "press1_vib")
    index = machine.count("vib", first.time - before)
    assert (vibration == machine.vibration(index, len(vibration))).all(), "it goes on where it was"
