"""Against a pseudo-terminal: the test is the device at its other end."""

from __future__ import annotations

import grp
import os
import pty
import pwd
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.config.load import convert
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


def test_the_first_line_counts_where_the_port_was_quiet() -> None:
    lines = Lines()
    lines.begin(1)
    assert list(lines.take(b"1;2\n", NS)) == [b"1;2"]
    lines = Lines()
    lines.begin(1)
    assert list(lines.take(b"1;2\n3;4\r5;6\r\n\0", NS // 4)) == [b"3;4", b"5;6"]


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(1, 50))
def test_lines_do_not_depend_on_how_bytes_are_cut(texts: list[bytes], cut: int) -> None:
    stream = b"\n" + b"\r\n".join(texts) + b"\n"
    lines = Lines()
    found = [line for i in range(0, len(stream), cut) for line in lines.take(stream[i : i + cut], 1)]
    whole = Lines()
    assert found == list(whole.take(stream, 1))
    assert all(line and not set(line) & set(b"\r\n\0") for line in found)


def test_a_line_without_end_is_dropped_and_bounded() -> None:
    lines = Lines()
    assert not list(lines.take(b"\n", 1))
    for _ in range(10):
        assert not list(lines.take(b"x" * 1000, 1))
    assert lines.lost > LONGEST
    assert list(lines.take(b"rest\n5\n", 1)) == [b"5"]


def test_garbage_between_lines_is_counted_and_ends_nothing(tmp_path: Path, device: Device) -> None:
    outlet = Rehearsal("scale", tmp_path)
    with running(outlet, device, lines={"payload": "pairs"}) as source:
        opened(source)
        device.say(b"\nT=1 H=2\n\xff\xfe\x00garbage\nnot a pair\nT=3 H=4\n")
        source.until(lambda: len(outlet.samples()) == 2)
        source.until(lambda: outlet.counts.get("bad_payloads", 0) >= 2)
        assert "scale: a payload is dropped" in outlet.problems["payload"]
        device.say(b"x" * (LONGEST + 10))
        source.until(lambda: outlet.counts.get("bad_lines"))
        device.say(b"\nT=5 H=6\n")
        source.until(lambda: len(outlet.samples()) == 3)
    assert outlet.samples().tolist() == [[1, 2], [3, 4], [5, 6]]


def test_unplugging_is_one_line_and_a_new_run_goes_on(tmp_path: Path, device: Device) -> None:
    outlet = Rehearsal("scale", tmp_path)
    with running(outlet, device) as source:
        opened(source)
        device.say(b"\n1\n2\n")
        source.until(lambda: len(outlet.samples()) == 2)
        device.unplug()
        with pytest.raises(TimeoutError, match=r"the port of the source scale is gone .*plug it in"):
            source.until(lambda: False)
    with pytest.raises(EdgeloopError, match=r"cannot be opened .*No such file or directory; plug it in"):
        play(SOURCE, outlet, type="serial", port=str(device.port))
    device.plug()
    again = Rehearsal("scale", tmp_path)
    with running(again, device) as source:
        opened(source)
        device.say(b"\n3\n")
        source.until(lambda: len(again.samples()) == 1)


def test_a_port_that_another_program_has_is_one_line(tmp_path: Path, device: Device) -> None:
    outlet = Rehearsal("scale", tmp_path)
    with running(outlet, device) as source:
        opened(source)
        with pytest.raises(EdgeloopError, match="another program has it"):
            play(SOURCE, Rehearsal("two", tmp_path), type="serial", port=str(device.port))


def test_a_refusal_names_user_and_group(tmp_path: Path, device: Device) -> None:
    target = device.port.resolve()
    os.chmod(target, 0o600)
    root = os.geteuid() == 0
    if not root:
        os.chmod(target, 0)
    group = grp.getgrgid(os.stat(target).st_gid).gr_name
    source = SOURCE(convert({"type": "serial", "port": str(target)}, SOURCE.options), Rehearsal("scale", tmp_path))
    optional.load("serial", "the test")
    me = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
    if root:
        os.seteuid(me.pw_uid)
    try:
        with pytest.raises(EdgeloopError, match=f"user {me.pw_name} may not; .*group {group}: .* {me.pw_name}"):
            source.setup()
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize(
    "options", [{"port": "ttyUSB0"}, {"port": ""}, {"port": "/dev/x", "baud": 1}, {"port": "/dev/x", "parity": "maybe"},
                {"port": "/dev/x", "lines": {"payload": "binary"}}, {"port": "/dev/x", "lines": {"pattern": "("}}],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        convert({"type": "serial", **options}, SOURCE.options)


def test_the_streams_are_known_ahead() -> None:
    options = convert({"type": "serial", "port": "/dev/x", "lines": {"channels": {"a": "1", "b": "2"}}}, SOURCE.options)
    assert SOURCE.foresee("s", options) == {"s": ("a", "b")}
    assert SOURCE.foresee("s", convert({"type": "serial", "port": "/dev/x"}, SOURCE.options)) == {"s": None}
