"""The way to AnomalyInference and back: the local core's bus, or a program that publishes and the file of alarms."""

from __future__ import annotations

import queue
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgeloop import topics
from edgeloop.alarms import Acknowledge, Alarm, Command, Shelve
from edgeloop.bus import Bus
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError

CONSOLE = "io.edgeloop.Console"
SOCKET = "operator.sock"
LOOK = 0.2
"""s: between two looks at a file that another program writes."""


class Channel(Protocol):
    def send(self, command: Command, payload: bytes, wait: float) -> Alarm:
        """The alarm after the command; EdgeloopError where no such thing was heard within `wait` s."""
        ...


@contextmanager
def opened(root: Path, program: str, read: Callable[[], list[Alarm]]) -> Iterator[Channel]:
    """program: that publishes, with {topic} and {payload}; empty: the Console of the line, else the classic
    nucleus's own, or the bus of the local core at `root`."""
    if program:
        yield Program(program, read)
        return
    operators = root / "work" / CONSOLE / SOCKET
    if operators.is_socket():
        yield ByConsole(operators)
        return
    own = root / "bin" / "greengrass-cli"
    if own.exists():
        yield Program(f"{shlex.quote(str(own))} pubsub pub --topic {{topic}} --message {{payload}}", read)
        return
    if (root / "config.db").exists():
        raise EdgeloopError(
            "cannot send a command", where=str(root), why="nucleus lite lets no program publish",
            mend="give the line a console:, or name a program that publishes with --publish-with",
        )  # fmt: skip
    core = CoreClient(root)
    try:
        address, token = core.observer()
    except ControlError as error:
        core.close()
        raise EdgeloopError(
            "cannot send a command", where=str(root), why=str(error),
            mend="start the core (edgeloop core start), give the line a console:, or say --publish-with",
        ) from None  # fmt: skip
    with Bus(address, token) as bus:
        if not bus.wait_connected(15):
            raise EdgeloopError("cannot send a command", where=str(address), why="the bus does not answer")
        yield OnBus(bus)
    core.close()


class OnBus:
    """Hears what becomes of a command."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heard: queue.SimpleQueue[Alarm] = queue.SimpleQueue()
        bus.subscribe(topics.ALARMS, self._take)

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            self._heard.put(msgspec.json.decode(payload, type=Alarm))
        except msgspec.DecodeError as error:
            raise EdgeloopError("not an alarm", where=topic, why=str(error)) from None

    def send(self, command: Command, payload: bytes, wait: float) -> Alarm:
        self._bus.publish(topics.ALARM_COMMANDS, payload)
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            try:
                alarm = self._heard.get(timeout=left)
            except queue.Empty:
                break
            if alarm.id == command.id and confirms(command, alarm):
                return alarm
        raise _unheard(command, wait)


class ByConsole:
    """The Console's socket for operators: on a device, with no internet and no access to the bus."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, command: Command, payload: bytes, wait: float) -> Alarm:
        request = msgspec.json.decode(payload)
        if isinstance(command, Shelve):
            request["until"] = command.until
        answer = self._asked(msgspec.json.encode(request), wait)
        if "error" in answer:
            raise EdgeloopError("the command was refused", where=command.id, why=str(answer["error"]))
        return msgspec.convert(answer["ok"], Alarm)

    def _asked(self, request: bytes, wait: float) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.settimeout(max(wait, 1.0))
                caller.connect(str(self._path))
                caller.sendall(request + b"\n")
                with caller.makefile("rb") as answers:
                    return msgspec.json.decode(answers.readline(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            mend = "is io.edgeloop.Console running, and are you in its user's group?"
            raise EdgeloopError("cannot reach the console", where=str(self._path), why=str(error), mend=mend) from None


class Program:
    """Without a shell; `{topic}` and `{payload}` are replaced in each argument."""

    def __init__(self, program: str, read: Callable[[], list[Alarm]]) -> None:
        try:
            self._arguments = shlex.split(program)
        except ValueError as error:
            raise EdgeloopError("--publish-with has another shape", where=program, why=str(error)) from None
        if not any("{payload}" in word for word in self._arguments):
            raise EdgeloopError(
                "--publish-with has no {payload}", where=program,
                mend='such as "aws iot-data publish --topic {topic} --payload {payload}"',
            )  # fmt: skip
        self._read = read

    def send(self, command: Command, payload: bytes, wait: float) -> Alarm:
        words = [
            w.replace("{topic}", topics.ALARM_COMMANDS).replace("{payload}", payload.decode()) for w in self._arguments
        ]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=max(wait, 1.0))
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EdgeloopError("cannot publish the command", where=words[0], why=str(error)) from None
        if done.returncode:
            why = (done.stderr or done.stdout).strip()[-300:]
            mend = ""
            if "nauthorized" in why:
                mend = "after a deployment the classic nucleus refuses its own program until it is restarted: "
                mend += "restart it, or acknowledge on the console"
            why = why or f"exit code {done.returncode}"
            raise EdgeloopError("cannot publish the command", where=words[0], why=why, mend=mend)
        end, pause = time.monotonic() + wait, threading.Event()
        while True:
            for alarm in self._read():
                if alarm.id == command.id and confirms(command, alarm):
                    return alarm
            if time.monotonic() >= end:
                raise _unheard(command, wait)
            pause.wait(LOOK)


def confirms(command: Command, alarm: Alarm) -> bool:
    """Whether an alarm is as the command wanted it."""
    if isinstance(command, Acknowledge):
        return alarm.reason == command.reason and alarm.state != "raised"
    if isinstance(command, Shelve):
        return alarm.state == "shelved" and alarm.shelved_until == command.until
    return alarm.state != "shelved"


def _unheard(command: Command, wait: float) -> EdgeloopError:
    return EdgeloopError(
        "the command was not confirmed", where=command.id, why=f"no word of it within {wait:g} s",
        mend="look whether io.edgeloop.AnomalyInference runs, and at its health",
    )  # fmt: skip
