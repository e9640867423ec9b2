"""Detectors that live outside the tree, in the engine, in a real AnomalyInference, in a line and in a backtest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop import clock
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect.registry import registry
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, Channel
from edgeloop_tools.cli import main
from edgeloop_tools.config.checks import check as check_line
from edgeloop_tools.config.line import load
from edgeloop_tools.plugin.cases import check
from edgeloop_tools.plugin.scaffold import make

BEGAN = 1_790_000_000 * NS
BROKEN = """
from edgeloop.detect.protocol import DetectorType, Scores

class Broken:
    learned = 1.0
    def __init__(self, setup): self.rows = 0
    def update(self, rows, context):
        self.rows += len(rows)
        if self.rows > 100: raise RuntimeError("the sky fell")
        return Scores.none(len(rows))
    def interrupt(self): ...
    def calm(self): ...
    def accept(self): ...
    def relearn(self): ...
    def words(self, at): return "", ()
    def state(self): return {}
    def restore(self, state): return False

DETECTOR = DetectorType("broken", "condition", Broken, 1, "none", "this test")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of plug-ins, with a detector `twins`, where its owner alone may write."""
    made = Path(tempfile.mkdtemp(prefix="plugins-"))
    make("detector", "twins", made)
    yield made
    shutil.rmtree(made)


def values() -> np.ndarray[Any, np.dtype[np.float64]]:
    """400 rows of two channels that go together, and part from row 300 on by no more than each moves anyway."""
    rng = np.random.default_rng(11)
    both = 180 + np.cumsum(rng.normal(0, 0.5, 400))
    found = np.stack([both, both - 2], axis=1) + rng.normal(0, 0.2, (400, 2))
    found[300:340, 0] += 2
    return found


def batch(rows: np.ndarray[Any, np.dtype[np.float64]], at: int, epoch: int = 1, began: int = BEGAN) -> Batch:
    channels = (Channel("front"), Channel("back"))
    return Batch("oven", epoch, at, began + at * NS, channels, rows, rate=Fraction(1))


def configured(detect: str) -> Configuration:
    monitor = {"asset": "oven", "input": "oven", "learn": "1 min", "detect": detect, "budget": "1 alarm/day"}
    return convert({"monitors": {"m": monitor}}, Configuration)


def run(engine: Engine, rows: np.ndarray[Any, np.dtype[np.float64]], first: int = 0) -> list[tuple[str, str]]:
    told = []
    for at in range(first, len(rows), 10):
        told += engine.process(batch(rows[at : at + 10], at)).alarms
    return [(alarm.state, alarm.text) for alarm in told if alarm.kind == "process"]


def test_it_raises_with_its_words_and_goes_on_after_a_restart(folder: Path) -> None:
    detectors, rows = registry(folder), values()
    assert run(Engine(configured("events conditions"), detectors=detectors), rows) == []
    whole = run(Engine(configured("events conditions twins"), detectors=detectors), rows)
    assert [state for state, _ in whole] == ["raised", "cleared"]
    assert "where it is beside back" in whole[0][1]
    first = Engine(configured("events conditions twins"), detectors=detectors)
    run(first, rows[:250])
    second = Engine(configured("events conditions twins"), detectors=registry(folder))
    second.restore(first.state())
    assert run(second, rows, first=250) == whole


def test_one_that_fails_is_a_line_and_the_others_go_on(folder: Path) -> None:
    (folder / "detectors" / "broken").mkdir()
    (folder / "detectors" / "broken" / "__init__.py").write_text(BROKEN)
    told: dict[str, str] = {}
    engine = Engine(configured("events conditions broken"), detectors=registry(folder), problem=told.__setitem__)
    rows = values()
    rows[350:] += 200
    assert [state for state, _ in run(engine, rows)][:1] == ["raised"]
    assert "the detector broken failed and is not asked any more: RuntimeError: the sky fell" in told["m"]
    again = Engine(configured("events conditions broken"), detectors=registry(folder))
    again.restore(engine.state())
    learned = again.process(batch(rows[-10:], 400)).results[0]
    assert learned.state != "learning"


def test_what_cannot_be_used_costs_only_those_who_name_it(folder: Path) -> None:
    for name, code in (("events", "DETECTOR = 1"), ("none", "DETECTOR = 1"), ("syntax", "def")):
        (folder / "detectors" / name).mkdir()
        (folder / "detectors" / name / "__init__.py").write_text(code)
    said: list[str] = []
    found = registry(folder, said.append)
    assert set(found.names) == {*registry().names, "twins"}
    assert [line.partition(" is not used: ")[2][:10] for line in said] == ["ValueError", "TypeError:", "SyntaxErro"]
    with pytest.raises(EdgeloopError, match="DETECTOR is no"):
        found["none"]
    told: dict[str, str] = {}
    both = configured("twins").monitors | {"n": configured("none").monitors["m"]}
    engine = Engine(Configuration(monitors=both), detectors=found, problem=told.__setitem__)
    assert [state for state, _ in run(engine, values())] == ["raised", "cleared"]
    assert "no such detector (detect: none)" in told["n"]


def test_its_cases_pass_and_say_what_does_not(folder: Path, tmp_path: Path) -> None:
    twins = folder / "detectors" / "twins"
    assert check(twins, tmp_path) == 2
    text = (twins / "__init__.py").read_text()
    (twins / "__init__.py").write_text(text.replace("n, self._mean, self._squares, active", "n, self._mean, _, active"))
    with pytest.raises(AssertionError, match="depends on how rows are split over calls, or on a restart"):
        check(make_other(folder, twins), tmp_path)


def make_other(folder: Path, like: Path) -> Path:
    """The same code under another name: what was imported stays as it was."""
    return Path(shutil.copytree(like, folder / "detectors" / "other"))


def line(tmp_path: Path, folder: Path, detect: str) -> Any:
    path = tmp_path / "line.yaml"
    path.write_text(
        f"site: home\nline: desk\nplugins: {folder}\n"
        "sources:\n  load: {type: process, command: cat /dev/null}\n"
        f"monitors:\n  m: {{asset: oven, input: load, detect: {detect}}}\n"
    )
    found = load(path)
    check_line(found)
    return found


def test_a_line_is_checked_with_its_plug_ins(folder: Path, tmp_path: Path) -> None:
    right = line(tmp_path, folder, "conditions twins")
    assert [str(p) for p in right.problems if "detect" in p.where] == []
    assert right.components()["io.edgeloop.AnomalyInference"]["plugins"] == str(folder)
    (wrong,) = [p for p in line(tmp_path, folder, "twin").problems if "detect" in p.where]
    assert (wrong.where, wrong.note, wrong.mend) == ("monitors.m.detect", False, "did you mean 'twins'?")
    (unseen,) = [p for p in line(tmp_path, Path("/opt/not/on/this/machine"), "twins").problems if "detect" in p.where]
    assert unseen.note


def test_a_backtest_asks_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"2026-11-01T00:{i // 60:02}:{i % 60:02}Z,{a:.3f},{b:.3f}" for i, (a, b) in enumerate(values().tolist())]
    (tmp_path / "oven.csv").write_text("\n".join(["time,front,back", *lines]))
    asked = ["backtest", "--input", str(tmp_path / "oven.csv"), "--output", str(tmp_path / "out"), "--learn-rows", "60"]
    more = ["--detect", "conditions twins", "--plugins", str(folder), "--budget", "1 alarm/day"]
    assert main([*asked, *more]) == 0
    assert "where it is beside back" in capsys.readouterr().out
    assert main([*asked, "--detect", "twins"]) == 1
    assert "no such detector" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that the user of a process may not write")
def test_in_a_real_component_from_a_folder_that_it_may_not_write(site: Any, folder: Path) -> None:
    rows = values()
    monitor = {"asset": "oven", "input": "oven", "learn": "1 min", "detect": "twins", "gap": "0 s"}
    site.start({"site": "home", "plugins": str(folder), "monitors": {"m": monitor}, "save": "100 ms"})
    site.wait(lambda topic, d: "health" in topic)
    for at in range(0, len(rows), 20):
        site.samples.tick([batch(rows[at : at + 20], at, site.journal.epoch, clock.now() - 400 * NS)])
    raised = site.wait(lambda topic, d: topic.startswith("edgeloop/alarms/") and d["kind"] == "process")
    assert "beside back" in raised["text"]
