"""The run script of the recipes, and a process that loses its parent, its nucleus or its folder's lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeloop.supervise import Alone, Parent, parent
from edgeloop_tools.build.recipe import INTERPRETER, RUN


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


class Unit:
    """The run script, as a nucleus runs it, with a child that says its process id and does what `code` says."""

    def __init__(self, root: Path, child: str) -> None:
        self.said = root / "said"
        self.said.touch()
        python = Path(INTERPRETER.replace("{kernel:rootPath}", str(root)))
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho $$ $EDGELOOP_PARENT $PPID >>{self.said}\n{child}\n")
        python.chmod(0o755)
        script = RUN.replace("{package}", "x").replace("{kernel:rootPath}", str(root)).replace("{artifacts:path}", "a")
        assert "{" not in script
        self.process = subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def children(self) -> list[int]:
        return [int(line.split()[0]) for line in self.said.read_text().splitlines()]

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def test_what_the_world_kills_is_started_again_in_the_same_unit(tmp_path: Path) -> None:
    unit = Unit(tmp_path, "exec sleep 100")
    for number in range(1, 4):
        until(lambda n=number: len(unit.children) == n)
        os.kill(unit.children[-1], signal.SIGKILL)
    until(lambda: len(unit.children) == 4)
    assert len(set(unit.children)) == 4
    assert {tuple(line.split()[1:]) for line in unit.said.read_text().splitlines()} == {
        (str(unit.process.pid), str(unit.process.pid))
    }
    unit.process.terminate()
    code, said = unit.end()
    assert code == 0
    assert said.count("the process was ended from outside (code 137): starting it again") == 3
    assert not Path("/proc", str(unit.children[-1])).exists()


@pytest.mark.parametrize("code", [1, 2, 69, 139])
def test_a_fault_of_ours_is_the_nucleus_s_to_count(tmp_path: Path, code: int) -> None:
    unit = Unit(tmp_path, f"exit {code}" if code < 128 else f"kill -{code - 128} $$")
    assert unit.end()[0] == code
    assert len(unit.children) == 1


def test_an_end_that_nobody_here_asked_for_is_none(tmp_path: Path) -> None:
    unit = Unit(tmp_path, "trap 'kill $!; exit 0' TERM; sleep 100 & wait $!")
    until(lambda: unit.children)
    time.sleep(0.2)
    os.kill(unit.children[0], signal.SIGTERM)
    until(lambda: len(unit.children) == 2)
    unit.process.terminate()
    assert unit.end()[0] == 0


def test_the_child_has_the_units_standard_input(tmp_path: Path) -> None:
    unit = Unit(tmp_path, f"[ -p /dev/stdin ] && echo pipe >>{tmp_path}/input; exec cat")
    until((tmp_path / "input").exists)
    assert unit.process.stdin is not None
    unit.process.terminate()
    assert unit.end()[0] == 0


def test_it_takes_little(tmp_path: Path) -> None:
    unit = Unit(tmp_path, "exec sleep 100")
    until(lambda: unit.children)
    rollup = Path(f"/proc/{unit.process.pid}/smaps_rollup").read_text()
    (private,) = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty")]
    assert private < 1024
    unit.process.terminate()
    unit.end()


def test_a_nucleus_that_hangs_up_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGELOOP_PARENT", raising=False)
    reading, writing = os.pipe()
    gone, why = threading.Event(), list[str]()

    def say(reason: str) -> None:
        why.append(reason)
        gone.set()

    Parent(say, reading).start()
    assert not gone.wait(0.3)
    os.close(writing)
    assert gone.wait(30)
    assert why == ["the nucleus is gone"]
    os.close(reading)


def test_who_senses_goes_on_until_its_successor_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGELOOP_PARENT", raising=False)
    reading, writing = os.pipe()
    older, newer, stop, gone = Alone(tmp_path), Alone(tmp_path), threading.Event(), threading.Event()
    assert older.take(stop, print)
    assert not older.asked()

    def leave(why: str) -> None:
        assert watch.hung_up.is_set()
        older.release()
        gone.set()

    watch = Parent(leave, reading, older.asked)
    watch.start()
    os.close(writing)
    assert watch.hung_up.wait(30)
    assert not gone.wait(0.3)
    said: list[int] = []
    assert newer.take(stop, said.append)
    assert gone.wait(30)
    assert said == [os.getpid()]
    assert not newer.asked()
    newer.release()
    os.close(reading)


def test_who_waits_no_more_asks_no_more(tmp_path: Path) -> None:
    older, newer, stop = Alone(tmp_path), Alone(tmp_path), threading.Event()
    assert older.take(stop, print)
    waiting = threading.Thread(target=newer.take, args=(stop, lambda pid: None))
    waiting.start()
    until(older.asked)
    stop.set()
    waiting.join(60)
    assert not older.asked()
    older.release()


def test_no_successor_is_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGELOOP_PARENT", raising=False)
    monkeypatch.setattr(parent, "HEIR", 0.1)
    reading, writing = os.pipe()
    gone = threading.Event()
    Parent(lambda why: gone.set(), reading, lambda: False).start()
    os.close(writing)
    assert gone.wait(30)
    os.close(reading)


def test_a_socket_or_a_file_is_no_nucleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGELOOP_PARENT", raising=False)
    before = threading.active_count()
    with Path("/dev/null").open() as file:
        Parent(lambda why: None, file.fileno()).start()
    Parent(lambda why: None, 10_000).start()
    assert threading.active_count() == before


def test_a_child_without_its_run_script_belongs_to_nobody() -> None:
    code = (
        "import os, sys, threading\nfrom edgeloop.supervise import Parent\n"
        "Parent(lambda why: (print(why), os._exit(69))).start()\n"
        "print(os.getpid(), flush=True)\nthreading.Event().wait()"
    )
    script = f"EDGELOOP_PARENT=$$ PYTHONPATH={os.pathsep.join(sys.path)} {sys.executable} -c '{code}' & wait $!"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 1
        parent.kill()
        assert parent.stdout.readline() == "the run script is gone\n"


def test_the_second_process_waits_says_so_once_and_comes_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom edgeloop.supervise import Alone\n"
        "print(Alone(Path(sys.argv[1])).take(threading.Event(), print), flush=True)\nthreading.Event().wait()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        said: list[int] = []
        mine, stop = Alone(tmp_path), threading.Event()
        threading.Timer(0.3, stop.set).start()
        assert not mine.take(stop, said.append)
        assert said == [other.pid]
        threading.Timer(0.3, other.kill).start()
        assert mine.take(threading.Event(), said.append)
        assert said == [other.pid, other.pid]
    mine.release()
    assert Alone(tmp_path).take(threading.Event(), said.append)
