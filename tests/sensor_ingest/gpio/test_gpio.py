"""GPIO without a chip: the kernel's structures, its calls answered by a stand-in, and real refusals."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Records
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.gpio import SOURCE, Configuration, chip

RANGE = {"range": "0..1"}
IOWR = {"GET_LINE": 0xC250B407, "GET_VALUES": 0xC010B40E, "SET_VALUES": 0xC010B40F}
"""Of include/uapi/linux/gpio.h on 64 bits."""


def test_structures_are_the_kernels() -> None:
    assert ctypes.sizeof(chip.LineRequest) == 592
    assert {name: getattr(chip, name) for name in IOWR} == IOWR
    at = {name: getattr(chip.LineRequest, name).offset for name in ("consumer", "config", "count", "events", "fd")}
    assert at == {"consumer": 256, "config": 288, "count": 560, "events": 564, "fd": 588}


class Kernel:
    """Answers the three calls by the bytes that the kernel would see."""

    def __init__(self) -> None:
        self.levels: dict[int, int] = {}
        self.lines: dict[int, tuple[list[int], int]] = {}
        self.asked: list[tuple[list[int], int, dict[int, tuple[int, int]]]] = []

    def __call__(self, fd: int, number: int, argument: Any) -> int:
        seen = bytes(argument)
        if number == IOWR["GET_LINE"]:
            (count,) = struct.unpack_from("<I", seen, 560)
            offsets = list(struct.unpack_from(f"<{count}I", seen, 0))
            flags, attributes = struct.unpack_from("<QI", seen, 288)
            found = {}
            for i in range(attributes):
                id, _, content, mask = struct.unpack_from("<IIQQ", seen, 288 + 32 + 24 * i)
                found[id] = (content, mask)
            self.asked.append((offsets, flags, found))
            if 2 in found:
                self.levels |= {offset: found[2][0] >> i & 1 for i, offset in enumerate(offsets)}
            argument.fd = os.open("/dev/null", os.O_RDWR)
            self.lines[argument.fd] = (offsets, flags)
        elif number == IOWR["GET_VALUES"]:
            argument.bits = sum(self.levels.get(o, 0) << i for i, o in enumerate(self.lines[fd][0]))
        elif number == IOWR["SET_VALUES"]:
            bits, mask = struct.unpack("<QQ", seen)
            self.levels |= {o: bits >> i & 1 for i, o in enumerate(self.lines[fd][0]) if mask >> i & 1}
        else:
            raise OSError(25, "Inappropriate ioctl")
        return 0


def test_inputs_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    monkeypatch.setattr(chip.fcntl, "ioctl", kernel)
    outlet = Rehearsal("panel", tmp_path)
    options = {"inputs": {"door": "17 active_low pull_up", "part": "27"}, "writes": {"lamp": "22"},
               "actions": {"lamp": RANGE}, "poll": "5 ms", "chip": "/dev/null"}  # fmt: skip

    def rows() -> list[dict[str, int]]:
        return [{n: int(c.values[0]) for n, c in chunk.columns.items()}  # type: ignore[union-attr]
                for chunk in list(outlet.chunks) if isinstance(chunk, Records)]  # fmt: skip

    with Running(SOURCE, outlet, type="gpio", **options) as run:
        run.until(lambda: rows() == [{"door": 0, "part": 0}] or len(rows()) > 1)
        kernel.levels[27] = 1
        run.until(lambda: rows()[-1] == {"door": 0, "part": 1})
        run.source.write("lamp", 1.0)
        assert kernel.levels[22] == 1
        run.source.write("lamp", 0.0)
        assert kernel.levels[22] == 0
        with pytest.raises(EdgeloopError, match="a line is 0 or 1"):
            run.source.write("lamp", 0.5)
    assert kernel.asked[0] == ([17, 27], chip.INPUT | chip.ACTIVE_LOW | chip.PULL_UP, {1: (chip.INPUT, 2)})
    assert kernel.asked[1] == ([22], chip.OUTPUT, {2: (1, 1)})


def test_a_chip_that_is_none_is_one_line(tmp_path: Path) -> None:
    for path, why in (("/dev/nowhere", "No such file"), ("/dev/null", "Inappropriate ioctl")):
        with pytest.raises(EdgeloopError, match=why):
            play(SOURCE, Rehearsal("panel", tmp_path), type="gpio", chip=path, inputs={"door": "17"})


@pytest.mark.parametrize(
    "options",
    [
        {}, {"inputs": {"a": "x"}}, {"inputs": {"a": "1 upside_down"}}, {"inputs": {"a": "1", "b": "1"}},
        {"inputs": {"a": "1 pull_up pull_down"}}, {"writes": {"a": "1"}},
        {"inputs": {"a": "1"}, "actions": {"a": RANGE}},
        {"writes": {"a": "1 pull_up"}, "actions": {"a": RANGE}}, {"inputs": {"a": "1"}, "chip": "/etc/passwd"},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        convert(options, Configuration, "panel")
