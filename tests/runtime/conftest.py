from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.bus import Bus

COMPONENT = "io.edgeloop.Tested"
PUBSUB = "aws.greengrass.ipc.pubsub"


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    """Waits for a condition of another thread or process."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


class Nucleus:
    """An IPC server in a process of its own, that can be killed, stopped and started again."""

    def __init__(self, folder: Path, nucleus: str) -> None:
        self.socket = folder / "ipc.socket"
        self.nucleus = nucleus
        self.components: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None

    def add(
        self,
        token: str,
        name: str = COMPONENT,
        policy: dict[str, Any] | None = None,
        configuration: dict[str, Any] | None = None,
    ) -> str:
        """A component known from the next start on; without a policy it may do everything."""
        component = {"token": token, "name": name, "policy": policy or {}, "configuration": configuration or {}}
        self.components.append(component)
        return token

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nucleus_process.py")), str(self.socket), self.nucleus],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        self.say(self.components)

    def say(self, command: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def fault(self, kind: str, **arguments: Any) -> Any:
        return self.say({"fault": kind, "arguments": arguments})

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process = None


class Problems:
    """What a bus or a configuration reports; `now` is what is wrong at present."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.ever: list[str] = []

    def __call__(self, key: str, line: str | None) -> None:
        if line is None:
            self.now.pop(key, None)
        else:
            self.now[key] = line
            self.ever.append(line)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets and open to every user."""
    with tempfile.TemporaryDirectory(prefix="el") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def stopped_nucleus(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Nucleus]:
    nucleus = Nucleus(short_folder, getattr(request, "param", "classic"))
    yield nucleus
    nucleus.kill()


@pytest.fixture
def nucleus(stopped_nucleus: Nucleus) -> Nucleus:
    """Running, with the component `io.edgeloop.Tested` that may do everything, its token being `token`."""
    stopped_nucleus.add("token", configuration={"site": "plant"})
    stopped_nucleus.start()
    return stopped_nucleus


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def make_bus(problems: Problems, stopped_nucleus: Nucleus) -> Iterator[Callable[..., Bus]]:
    """Makes connected buses, and closes them."""
    made: list[Bus] = []

    def make(token: str = "token", name: str = COMPONENT, *, connected: bool = True, **options: Any) -> Bus:
        bus = Bus(stopped_nucleus.socket, token, name, on_problem=problems, **options)
        made.append(bus)
        bus.__enter__()
        assert not connected or bus.wait_connected(10)
        return bus

    yield make
    for bus in made:
        bus.close()
