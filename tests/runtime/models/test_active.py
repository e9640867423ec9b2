from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models import ModelError, report, store
from edgeloop.models.active import ActiveModel, Loaded
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf

USER = "io.edgeloop.CameraInference"
ONE = np.ones((1, 4), np.float32)


class Line:
    """A store with versions of the linear model, told apart by their bias."""

    def __init__(self, root: Path, make: Any) -> None:
        self.root, self._make = root, make
        self.shelf = Shelf(store.directory(root, "linear"), "linear")
        self.problems: dict[str, str] = {}
        self.changes: list[Loaded | None] = []

    def add(self, bias: float, **changes: Any) -> Ref:
        path, digest = self._make(bias, version=f"{int(bias)}.0.0", **changes)
        unpack(path, self.shelf.folder, digest)
        return Ref(digest=digest, version=f"{int(bias)}.0.0")

    def activate(self, ref: Ref | None, *, commit: bool = False) -> None:
        self.shelf.activate(ref, time.time_ns())
        if commit:
            self.shelf.commit(time.time_ns())

    def user(self, **options: Any) -> ActiveModel:
        def problem(key: str, line: str | None) -> None:
            if line is None:
                self.problems.pop(key, None)
            else:
                self.problems[key] = line

        options = {"on_problem": problem, "on_change": self.changes.append, "period": 0.2, **options}
        return ActiveModel("linear", USER, self.root, **options)

    def process(self, *how: str) -> subprocess.Popen[str]:
        script = str(Path(__file__).with_name("loading_process.py"))
        command = [sys.executable, script, str(self.root), "linear", USER, *how]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def line(tmp_path: Path, make: Any) -> Line:
    return Line(tmp_path / "root", make)


def bias(active: ActiveModel) -> float | None:
    """Which version serves."""
    loaded = active.current
    if loaded is None:
        return None
    return float(loaded.runner.run(ONE)[0][0, 0] - 12)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


def test_a_swap_loses_no_run(line: Line) -> None:
    first, second = line.add(1), line.add(2)
    line.activate(first, commit=True)
    seen: list[float] = []
    stop = threading.Event()
    with line.user(period=30) as active:

        def infer() -> None:
            while not stop.is_set():
                loaded = active.current
                assert loaded is not None
                seen.append(float(loaded.runner.run(ONE)[0][0, 0] - 12))
                active.used(loaded)

        threads = [threading.Thread(target=infer) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: len(seen) > 20)
        line.activate(second)
        active.notice()
        until(lambda: seen[-1] == 2)
        count = len(seen)
        until(lambda: len(seen) > count + 20)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(seen) == {1, 2}
        assert active.report.generation == 2
        assert 20 <= active.report.inferences <= len(seen) - 20, "those of this generation"
    last = report.read(report.path(line.root / "work" / USER, "linear"))
    assert last is not None
    assert (last.fate, last.origin, last.clean, last.serving) == ("loaded", "active", True, second.digest)
    assert line.problems == {}


def test_without_a_notice_the_store_is_looked_at(line: Line) -> None:
    line.activate(line.add(1))
    with line.user() as active:
        assert bias(active) == 1
        line.activate(line.add(2))
        until(lambda: bias(active) == 2)
        line.shelf.commit(time.time_ns())
        time.sleep(0.5)
        assert [loaded.origin for loaded in line.changes if loaded] == ["active", "active"], "a commit reloads nothing"


def test_a_model_that_cannot_be_loaded_makes_way(line: Line) -> None:
    good, bad = line.add(1), line.add(2, model=b"no model")
    line.activate(good, commit=True)
    with line.user() as active:
        line.activate(bad)
        until(lambda: active.report.fate == "rejected")
        assert bias(active) == 1
        assert active.report.origin == "previous"
        assert "onnxruntime cannot load the model" in active.report.reason
        assert line.problems["model.linear"].endswith("1.0.0 (previous) serves")
        assert active.report.inferences == 0
        loaded = active.current
        assert loaded is not None
        active.used(loaded)
        assert active.report.inferences == 0, "only the active one's count"
        line.shelf.roll_back(time.time_ns())
        until(lambda: active.report.generation == 3)
        until(lambda: line.problems == {})
        assert (active.report.fate, active.report.origin) == ("loaded", "active")


def test_wrong_answers_here_are_seen_here(line: Line) -> None:
    good, wrong = line.add(1), line.add(2, says=2.5)
    line.activate(good, commit=True)
    line.activate(wrong)
    with line.user() as active:
        assert bias(active) == 1
        assert "other results here than its golden set says" in active.report.reason


def test_the_default_serves_where_nothing_else_can(line: Line, make: Any) -> None:
    default, _ = make(9.0)
    with line.user(default=default) as active:
        assert bias(active) == 9
        assert (active.report.origin, active.report.fate, line.problems) == ("default", "absent", {})
        line.activate(line.add(1))
        until(lambda: bias(active) == 1)
        line.activate(None)
        until(lambda: bias(active) == 9)
        shutil.rmtree(line.shelf.folder)
        time.sleep(0.5)
        assert bias(active) == 9


def test_nothing_at_all_is_one_line(line: Line) -> None:
    with line.user() as active:
        assert active.current is None
        assert line.problems["model.linear"] == "no model is active and none came with the component; nothing serves"
        line.activate(line.add(1))
        until(lambda: bias(active) == 1)
        until(lambda: line.problems == {})


def test_what_is_not_there_yet_is_tried_again(line: Line) -> None:
    ref = line.add(1)
    away = line.root / "away"
    (line.shelf.folder / ref.digest).rename(away)
    line.activate(ref)
    with line.user() as active:
        assert active.report.fate == "waiting"
        away.rename(line.shelf.folder / ref.digest)
        until(lambda: bias(active) == 1)
        (line.shelf.folder / store.POINTER).write_text("{")
        until(lambda: "damaged" in line.problems.get("model.linear.store", ""))
        assert bias(active) == 1


def ended(process: subprocess.Popen[str], say: str = "close") -> list[str]:
    out, _ = process.communicate(say + "\n", timeout=20)
    return out.split()


def test_a_model_on_probation_that_kills_the_process_is_not_tried_twice(line: Line) -> None:
    good, bad = line.add(1), line.add(2)
    line.activate(good, commit=True)
    line.activate(bad)
    assert ended(line.process("die")) == []
    assert ended(line.process()) == [good.digest, "previous", "crashed"]
    (said,) = report.all_of(line.root, "linear")
    assert (said.fate, said.strikes) == ("crashed", {bad.digest: 1})
    line.shelf.roll_back(time.time_ns())
    line.activate(bad)
    assert ended(line.process()) == [bad.digest, "active", "loaded"], "activated anew, it is tried anew"


def test_a_proven_model_has_two_lives(line: Line) -> None:
    line.activate(line.add(1), commit=True)
    for _ in range(2):
        assert ended(line.process("die")) == []
    assert ended(line.process()) == ["none", "crashed"], "no digest serves"
    line.shelf.activate(line.add(2), time.time_ns())
    assert ended(line.process())[1:] == ["active", "loaded"]


def test_deaths_on_probation_count_but_clean_ends_do_not(line: Line) -> None:
    good, bad = line.add(1), line.add(2)
    line.activate(good, commit=True)
    line.activate(bad)
    for _ in range(3):
        assert ended(line.process())[1] == "active"
    for _ in range(2):
        process = line.process()
        assert process.stdout is not None
        assert process.stdout.readline().split()[1] == "active"
        process.kill()
        ended(process, "")
    assert ended(line.process())[1:] == ["previous", "crashed"]


def test_a_full_disk_is_one_line_and_no_end(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.activate(line.add(1))

    def full(path: Path, report: Any) -> None:
        raise ModelError("cannot say what became of a model", where=str(path), why="No space left on device")

    monkeypatch.setattr(report, "write", full)
    with line.user() as active:
        assert bias(active) == 1
        assert "No space left" in line.problems["model.linear.report"]


def test_an_old_default_is_not_kept(line: Line, make: Any) -> None:
    for bias_of_default in (8.0, 9.0):
        with line.user(default=make(bias_of_default)[0]) as active:
            assert bias(active) == bias_of_default
    (kept,) = (line.root / "work" / USER / "models" / "default" / "linear").iterdir()
    assert kept.name == active.report.serving
