"""`runtime.pyz run`: stays, small, and has the environment follow the configuration."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ipc
import watch
from edgeloop.errors import BusError
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server

RUNTIME = Path(watch.__file__).parent
Wheel = Callable[..., str]


@contextmanager
def served(socket: Path, backend: MemoryBackend, nucleus: str) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(socket, backend, nucleus)  # type: ignore[arg-type]
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    serving = asyncio.run_coroutine_threadsafe(server.serve(), loop)
    try:
        yield
    finally:
        serving.cancel()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_configuration_is_read_with_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nucleus: str
) -> None:
    backend = MemoryBackend()
    token = backend.add("io.edgeloop.Runtime", {}, {"profiles": "core vision", "nested": {"ü": [1, None]}})
    monkeypatch.setenv(ipc.SOCKET, str(tmp_path / "s"))
    monkeypatch.setenv(ipc.TOKEN, token)
    with served(tmp_path / "s", backend, nucleus):
        assert ipc.configuration(10) == {"profiles": "core vision", "nested": {"ü": [1, None]}}
        monkeypatch.setenv(ipc.TOKEN, "another's")
        with pytest.raises(BusError, match="refuses this component's token|closed the connection"):
            ipc.configuration(1)
    with pytest.raises(BusError, match="does not give the configuration"):
        ipc.configuration(0.2)


@pytest.fixture(params=["classic", "lite"])
def nucleus(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_profiles_that_are_asked_for_later_are_built_beside(
    tmp_path: Path, make_wheel: Wheel, nucleus: str
) -> None:
    program = tmp_path / "program"
    shutil.copytree(RUNTIME, program, ignore=shutil.ignore_patterns("__pycache__"))
    core, vision = make_wheel("alpha"), make_wheel("beta")
    for profile, text in (("core", core), ("vision", core + vision)):
        (program / "locks" / f"{profile}.txt").write_text(text)
    (tmp_path / "wheels").rename(program / "wheelhouse")
    source = (program / "watch.py").read_text()
    (program / "watch.py").write_text(source.replace("EVERY = 10.0", "EVERY = 0.2"))
    defaults: dict[str, Any] = {"profiles": "core", "wheelhouse": ""}
    backend = MemoryBackend()
    token = backend.add("io.edgeloop.Runtime", {}, defaults)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environ |= {ipc.TOKEN: token, ipc.SOCKET: str(tmp_path / "s")}
    root = tmp_path / "root"
    with served(tmp_path / "s", backend, nucleus):
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", "-B", str(program / "__main__.py"), "run", "--root", str(root)],
            stderr=subprocess.PIPE, text=True, env=environ,
        )  # fmt: skip
        venv = root / "work" / "io.edgeloop.Runtime" / "venv"
        try:
            until(lambda: (venv / "edgeloop.profiles").exists())
            before = venv.resolve()
            backend.configuration["io.edgeloop.Runtime"]["profiles"] = "core, vision"
            until(lambda: venv.resolve() != before)
            assert (venv / "edgeloop.profiles").read_text() == "core vision"
            assert private(process.pid) < 10e6
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def private(pid: int) -> float:
    """Bytes that a process holds for itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024.0 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def test_what_fails_is_tried_again_later_and_what_is_done_is_not_done_again() -> None:
    asked, codes, said, calls = {"profiles": "core"}, [1, 1, 0], list[str](), list[str]()

    def install() -> int:
        calls.append(asked["profiles"])
        return codes.pop(0)

    watched = watch.Watch(install, lambda: dict(asked), said.append)
    for now in (0.0, 10.0, watch.SOONEST, watch.SOONEST + 10, 3 * watch.SOONEST + 1, 9 * watch.SOONEST):
        watched.look(now)
    assert len(calls) == 3
    assert said == ["trying again in 60 s", "trying again in 120 s"]


def test_a_nucleus_that_is_gone_is_said_once_and_nothing_is_installed() -> None:
    said = list[str]()

    def gone() -> dict[str, Any]:
        raise BusError("the nucleus does not give the configuration")

    watched = watch.Watch(lambda: pytest.fail("installed"), gone, said.append)
    watched.look(0.0)
    watched.look(10.0)
    assert said == ["the nucleus does not give the configuration"]
