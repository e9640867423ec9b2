"""Against a pseudo-terminal: the test is the device at its other end."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.wire.batch import Channel
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.serial import SOURCE
from sensor_ingest.sources.serial.lines import LONGEST, Lines


class Device:
    """The far end of a line, reached by a link whose name stays."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "usb-Scale_1234-if00"
        self._fds: list[int] = []
        self.plug()

    def plug(self) -> None:
        self._master, slave = pty.openpty()
        self._fds = [self._master, slave]
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(slave))

    def say(self, content: bytes) -> None:
        os.write(self._master, content)

    def hear(self) -> bytes:
        return os.read(self._master, 4096)

    def unplug(self) -> None:
        self.port.unlink(missing_ok=True)
        for fd in self._fds:
            os.close(fd)
        self._fds = []


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path)
    yield made
    made.unplug()


def running(outlet: Rehearsal, device: Device, **options: object) -> Running:
    return Running(SOURCE, outlet, type="serial", port=str(device.port), **options)


def opened(source: Running) -> None:
    source.until(lambda: any("is open" in line for line in source.outlet.lines))


def test_lines_become_samples(tmp_path: Path, device: Device) -> None:
    outlet = Rehearsal("scale", tmp_path)
    with running(outlet, device, baud=115200, lines={"channels": {"mass": "1 kg", "tare": "3 kg *0.001"}}) as source:
        opened(source)
        device.say(b"7;half of a li")
        device.say(b"ne\r\n")
        for i in range(200):
            device.say(b"%d,5; S; 12\r\n" % i)
        source.until(lambda: len(outlet.samples()) == 200)
    assert (outlet.samples() == [[i + 0.5, 12] for i in range(200)]).all()
    assert outlet.streams["scale"].channels == (Channel("mass", "kg"), Channel("tare", "kg", 0.001))
    assert not outlet.problems
