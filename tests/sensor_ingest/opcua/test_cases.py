"""The field's servers that misbehave, as the cases describe them: from EDGELOOP_CASES, or the few beside this file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgeloop import clock
from edgeloop.clock import NS
from edgeloop.sequence import Records, Samples
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.opcua import SOURCE

SERVER = Path(__file__).parent / "misbehaving.py"
CASES = Path(os.environ.get("EDGELOOP_CASES") or Path(__file__).parent / "cases")
Make = Callable[..., Any]


def case(number: str) -> dict[str, Any]:
    path = next(iter(sorted(CASES.glob(f"{number}_*.yaml"))), None)
    if path is None:
        pytest.skip(f"no case {number}")
    found: dict[str, Any] = {}
    for line in path.read_text().splitlines():
        key, _, text = line.partition(":")
        found[key] = yaml.safe_load(text) if key == "source" else text.strip()
    return found


def number(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return float(match[1].replace(",", ""))


def running(outlet: Rehearsal, said: dict[str, Any], port: str, **more: Any) -> Running:
    options = {key: value for key, value in said.items() if key not in ("type", "url")} | more
    return Running(SOURCE, outlet, type="opcua", url=f"opc.tcp://127.0.0.1:{port}", **options)


def rows(outlet: Rehearsal) -> np.ndarray[Any, Any]:
    found = [c.samples for c in list(outlet.chunks) if isinstance(c, Samples)]
    return np.concatenate(found) if found else np.empty((0, 0))


def test_u01_nodes_that_come_late_are_asked_for_again(make_peer: Make, tmp_path: Path) -> None:
    said = case("u01")
    peer = make_peer(SERVER, "{port}", "late=1")
    outlet = Rehearsal("a", tmp_path)
    with running(outlet, said["source"], peer.port, publish="100 ms") as run:
        run.until(lambda: "urn:plant" in outlet.problems.get("nodes", ""))
        (peer.folder / "go").touch()
        run.until(lambda: len(rows(outlet)) and np.isfinite(rows(outlet)[-1]).all(), 40)
        run.until(lambda: "nodes" not in outlet.problems)
    assert outlet.connections == 1


@pytest.mark.long
def test_u02_a_server_takes_so_many_nodes_of_a_call(make_peer: Make, tmp_path: Path) -> None:
    said = case("u02")
    most = int(number(said["peer"], r"more than ([\d,]+)"))
    count = int(number(str(said["source"]["nodes"]), r"([\d,]+) nodes")) // 5
    peer = make_peer(SERVER, "{port}", f"most={most // 5}", f"nodes={count}")
    outlet = Rehearsal("a", tmp_path)
    nodes = "\n".join(f"n{i}: nsu=urn:plant;s=N{i}" for i in range(count))
    with running(outlet, {}, peer.port, nodes=nodes, timeout="20 s") as run:
        run.until(lambda: len(rows(outlet)) > 0, 60)
        assert rows(outlet)[0].tolist() == [float(i) for i in range(count)]
        run.until(lambda: len(rows(outlet)) > 1, 60)
    assert outlet.problems == {}


def test_u03_a_time_that_cannot_be_is_the_servers(make_peer: Make, tmp_path: Path) -> None:
    said = case("u03")
    peer = make_peer(SERVER, "{port}", f"odd_time={1.0}")
    outlet = Rehearsal("a", tmp_path)
    with running(outlet, said["source"], peer.port, publish="100 ms") as run:
        run.until(lambda: outlet.counts.get("odd_times", 0) > 5)
        before = len(rows(outlet))
        run.until(lambda: len(rows(outlet)) > before + 10)
    times = outlet.times()
    assert times == sorted(times)
    assert times[-1] < clock.now() + 5 * NS
    assert np.isfinite(rows(outlet)).all()
    assert sum("has a time that cannot be" in line for line in outlet.lines) == 1


def test_u04_a_subscription_that_is_gone_ends_the_run(make_peer: Make, tmp_path: Path) -> None:
    said = case("u04")
    drop = number(said["peer"], r"after (\d+) s")
    peer = make_peer(SERVER, "{port}", f"drop={drop / 2}")
    outlet = Rehearsal("a", tmp_path)
    nodes = {"temp": "nsu=urn:plant;s=Temp"}
    began = time.monotonic()
    with running(outlet, said["source"] | {"nodes": nodes}, peer.port, publish="100 ms") as run:
        with pytest.raises(TimeoutError, match="the subscription says nothing"):
            run.until(lambda: False, 40)
        assert time.monotonic() - began < drop + 15
    assert np.isnan(rows(outlet)[-1]).all()


def test_u05_elements_times_and_texts_with_numbers(make_peer: Make, tmp_path: Path) -> None:
    peer = make_peer(SERVER, "{port}")
    outlet = Rehearsal("a", tmp_path)
    rows_of = {
        "first": "Arr [0]", "last": "Arr [2] *10", "none": "Arr [9]",
        "one": "One", "text": "Text Cel", "when": "When s",
    }  # fmt: skip
    nodes = {name: f"nsu=urn:plant;s={row}" for name, row in rows_of.items()}
    with running(outlet, {}, peer.port, nodes=nodes) as run:
        run.until(lambda: len(rows(outlet)) > 0)
        run.until(lambda: "none" in outlet.problems.get("nodes", ""))
    np.testing.assert_array_equal(rows(outlet)[0], [1.0, 30.0, np.nan, 7.0, 21.5, 1_769_940_000.0])


def test_fields_of_structures(make_peer: Make, tmp_path: Path) -> None:
    peer = make_peer(SERVER, "{port}", "structures=1")
    outlet = Rehearsal("a", tmp_path)
    rows_of = {"rpm": "Spindle .rpm rpm", "temp": "Spindle .front.temp Cel", "hours": "Spindle .front.hours h *0.1",
               "second": "Spindles [1] .front.temp", "gone": "Spindle .rear.temp",
               "named": "Spindle .name string"}  # fmt: skip
    nodes = {name: f"nsu=urn:plant;s={row}" for name, row in rows_of.items()}
    with running(outlet, {}, peer.port, nodes=nodes) as run:
        run.until(lambda: len(rows(outlet)) > 0)
        run.until(lambda: "gone" in outlet.problems.get("nodes", ""))
    np.testing.assert_array_equal(rows(outlet)[0], [1200.5, 61.5, 123.4, 61.5, np.nan])
    named = [c for c in list(outlet.chunks) if isinstance(c, Records) and c.stream == "a_state"]
    assert "named" in named[0].columns
