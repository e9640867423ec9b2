from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import pytest

from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.component import App, user
from edgeloop.config.declaration import Declaration
from edgeloop.documents import decode
from edgeloop.errors import EdgeloopError
from edgeloop.supervise import Alone

NAME = "io.edgeloop.Tested"
SOURCE = Path(__file__).with_name("tested_component.py")


class Process:
    """A component's process and the lines it logs."""

    def __init__(self, root: Path, socket: Path, token: str = "token", *arguments: str) -> None:
        environment = {
            **os.environ,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(socket),
            "SVCUID": token,
            "AWS_IOT_THING_NAME": "thing",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(SOURCE), "--root", str(root), *arguments],
            env={key: value for key, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self._queue: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(json.loads(line))

    def line(self, part: str, timeout: float = 60) -> dict[str, Any]:
        """The next line whose message has `part`."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.lines.append(self._queue.get(timeout=left))
            except Empty:
                break
            if part in self.lines[-1]["message"]:
                return self.lines[-1]
        raise AssertionError(f"no line with {part!r} in {[line['message'] for line in self.lines]}")

    def end(self, timeout: float = 60) -> tuple[int, str]:
        """Exit code and standard error."""
        assert self.process.stderr is not None
        code = self.process.wait(timeout)
        self._reader.join(60)
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        return code, self.process.stderr.read()


@pytest.fixture
def run(short_folder: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*arguments: str, token: str = "token", root: Path = short_folder) -> Process:
        process = Process(root, short_folder / "ipc.socket", token, *arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        process.process.kill()
        process.process.wait()
        for pipe in (process.process.stdout, process.process.stderr):
            assert pipe is not None
            pipe.close()


Run = Callable[..., Process]


def test_it_starts_is_healthy_follows_its_configuration_and_stops_at_once(
    nucleus: Any, run: Run, make_bus: Callable[..., Bus], short_folder: Path
) -> None:
    observer = make_bus(name="")
    health: list[dict[str, Any]] = []
    observer.subscribe(topics.health(NAME), lambda _, payload: health.append(decode(payload)))
    process = run()
    assert "running at plant" in process.line("running at")["message"]
    nucleus.say({"component": NAME, "configure": {"site": "mill", "password": "hunter2"}})
    process.line("site is now mill")
    process.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code, errors = process.end()
    assert time.monotonic() - began < 12
    assert (code, errors) == (0, "")
    assert "hunter2" not in json.dumps(process.lines)
    deadline = time.monotonic() + 60
    while not any(document["counters"].get("ends") for document in health):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert health[-1]["state"] == "ok"
    (metrics,) = (short_folder / "work" / NAME / "metrics").iterdir()
    assert json.loads(metrics.read_text().splitlines()[-1])["Thing"] == "thing"


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("debug", [False, True])
def test_the_unexpected_is_one_line_and_exit_code_1(stopped_nucleus: Any, run: Run, where: str, debug: bool) -> None:
    stopped_nucleus.add("token", configuration={"crash": where})
    stopped_nucleus.start()
    process = run(*(["--debug"] if debug else []))
    code, errors = process.end()
    assert (code, errors) == (1, "")
    (line,) = [line for line in process.lines if line["level"] == "error"]
    assert line["message"].startswith("RuntimeError: a bug, token=*** (in tested_component.py line ")
    assert ("traceback" in line) is debug


def test_without_a_nucleus_it_runs_on_its_last_good_configuration(nucleus: Any, run: Run) -> None:
    nucleus.say({"component": NAME, "configure": {"site": "mill"}})
    process = run()
    process.line("running at mill")
    process.process.kill()
    nucleus.kill()
    process = run()
    process.line("cannot connect to the nucleus")
    assert "running at mill" in process.line("running at")["message"]
    nucleus.start()
    process.line("over: bus")
    process.line("site is now plant")
    process.process.send_signal(signal.SIGINT)
    assert process.end() == (0, "")


def test_an_invalid_configuration_is_one_line_and_no_end(stopped_nucleus: Any, run: Run) -> None:
    stopped_nucleus.add("token", configuration={"tik": "1 s"})
    stopped_nucleus.start()
    process = run()
    assert process.line("unknown key (tik); did you mean 'tick'?")["problem"] == "configuration.tik"
    process.line("running at plant")
    process.process.send_signal(signal.SIGTERM)
    assert process.end() == (0, "")


@pytest.mark.parametrize("stopped_nucleus", ["lite"], indirect=True)
def test_a_dead_token_ends_the_process_once_in_20_minutes(nucleus: Any, run: Run, short_folder: Path) -> None:
    process = run()
    process.line("running at")
    nucleus.kill()
    nucleus.components.clear()
    nucleus.add("new token", configuration={"site": "plant"})
    nucleus.start()
    process.line("exiting to be started anew", 30)
    assert process.end() == (1, "")
    marker = short_folder / "work" / NAME / "last-exit"
    assert marker.exists()
    again = run()
    time.sleep(3)
    assert again.process.poll() is None
    os.utime(marker, (time.time() - 1201, time.time() - 1201))
    again.line("exiting to be started anew", 30)
    assert again.end()[0] == 1


def test_a_nucleus_killed_for_good_ends_nobody_and_does_not_delay_the_end(nucleus: Any, run: Run) -> None:
    process = run()
    process.line("running at")
    nucleus.kill()
    process.line("the connection to the nucleus is lost")
    process.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.end() == (0, "")
    assert time.monotonic() - began < 12


def test_it_ends_at_once_while_it_still_waits_for_its_nucleus(run: Run) -> None:
    process = run()
    process.line("cannot connect to the nucleus")
    process.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.end() == (0, "")
    assert time.monotonic() - began < 12


def test_a_process_that_hangs_with_its_nucleus_still_ends(nucleus: Any, run: Run) -> None:
    process = run()
    process.line("running at")
    nucleus.signal(signal.SIGSTOP)
    process.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.end() == (0, "")
    assert time.monotonic() - began < 12
    nucleus.signal(signal.SIGCONT)


def test_who_waits_for_the_work_folder_is_connected_by_then(nucleus: Any, run: Run, short_folder: Path) -> None:
    """Its predecessor senses until it is asked: what takes long comes before."""
    work = short_folder / "work" / NAME
    work.mkdir(parents=True)
    before = Alone(work)
    assert before.take(threading.Event(), print)
    process = run()
    process.line("still runs on this folder")
    deadline = time.monotonic() + 60
    while not before.asked():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    nucleus.fault("drop_connections", component=NAME)
    process.line("the connection to the nucleus is lost")
    before.release()
    process.line("running at plant")
    process.process.send_signal(signal.SIGTERM)
    assert process.end() == (0, "")


def test_started_by_hand_it_says_what_is_missing(run: Run) -> None:
    process = run(token="")
    code, errors = process.end()
    assert (code, errors) == (1, "")
    assert "this process was not started by a nucleus: SVCUID is not set" in process.lines[0]["message"]


def test_wrong_arguments_are_wrong_use(run: Run) -> None:
    code, errors = run("--nonsense").end()
    assert code == 2
    assert "--nonsense" in errors


def test_a_work_folder_it_may_not_use_is_named_with_the_user(run: Run, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("in the way")
    process = run(root=tmp_path)
    assert process.end() == (1, "")
    message = process.lines[0]["message"]
    assert message.startswith("cannot make the work folder (")
    assert f"user {user()}" in message
    assert str(tmp_path / "work" / NAME) in message


def test_what_a_component_needs_is_checked_by_name(tmp_path: Path) -> None:
    app: App[Any] = App(Declaration("io.edgeloop.Tested", "", "tested", dict), tmp_path, False)
    assert app.work_of("io.edgeloop.Other") == tmp_path / "work" / "io.edgeloop.Other"
    app.require(tmp_path, "rwx")
    with pytest.raises(EdgeloopError, match=f"a path is missing .*absent.*user {user()}"):
        app.require(tmp_path / "absent")


@pytest.fixture
def _nobody() -> Iterator[None]:
    """Not root for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("_nobody")
def test_a_user_without_rights_is_named() -> None:
    app: App[Any] = App(Declaration("io.edgeloop.Tested", "", "tested", dict), Path("/"), False)
    app.require(Path("/etc"), "rx")
    expected = f"no access (/etc): user {user()} may not write it; change its owner, mode or group"
    with pytest.raises(EdgeloopError) as caught:
        app.require(Path("/etc"), "rw")
    assert str(caught.value) == expected
