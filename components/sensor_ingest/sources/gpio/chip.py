"""Lines of a GPIO chip, by the kernel's own interface (include/uapi/linux/gpio.h, version 2), as libgpiod uses it."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Sequence
from typing import Final

from edgeloop.component import user
from edgeloop.errors import EdgeloopError

ACTIVE_LOW, INPUT, OUTPUT, PULL_UP, PULL_DOWN, OPEN_DRAIN = 1 << 1, 1 << 2, 1 << 3, 1 << 8, 1 << 9, 1 << 6
MOST: Final = 64
"""Lines of one request."""


class _Attribute(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("padding", ctypes.c_uint32), ("values", ctypes.c_uint64))


class _Configured(ctypes.Structure):
    _fields_ = (("attribute", _Attribute), ("mask", ctypes.c_uint64))


class _Config(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64), ("count", ctypes.c_uint32), ("padding", ctypes.c_uint32 * 5),
        ("attributes", _Configured * 10),
    )  # fmt: skip


class LineRequest(ctypes.Structure):
    _fields_ = (
        ("offsets", ctypes.c_uint32 * MOST), ("consumer", ctypes.c_char * 32), ("config", _Config),
        ("count", ctypes.c_uint32), ("events", ctypes.c_uint32), ("padding", ctypes.c_uint32 * 5),
        ("fd", ctypes.c_int32),
    )  # fmt: skip


class LineValues(ctypes.Structure):
    _fields_ = (("bits", ctypes.c_uint64), ("mask", ctypes.c_uint64))


def _both(number: int, kind: type[ctypes.Structure]) -> int:
    return 3 << 30 | ctypes.sizeof(kind) << 16 | 0xB4 << 8 | number


GET_LINE, GET_VALUES, SET_VALUES = _both(0x07, LineRequest), _both(0x0E, LineValues), _both(0x0F, LineValues)
_FLAGS_ID, _VALUES_ID = 1, 2


class Lines:
    """Lines that are held until they are closed; others cannot have them meanwhile. Raises EdgeloopError."""

    def __init__(self, chip: str, offsets: Sequence[int], flags: Sequence[int], values: Sequence[int] = ()) -> None:
        """flags: of each line; values: what outputs show from the beginning."""
        self._where = f"{chip} {', '.join(map(str, offsets))}"
        request = LineRequest()
        request.offsets[: len(offsets)] = list(offsets)
        request.consumer, request.count = b"edgeloop", len(offsets)
        config = request.config
        config.flags = flags[0]
        attributes: list[tuple[int, int, int]] = []
        for kind in sorted(set(flags[1:]) - {flags[0]}):
            attributes.append((_FLAGS_ID, kind, sum(1 << i for i, own in enumerate(flags) if own == kind)))
        if values:
            attributes.append((_VALUES_ID, sum(bool(v) << i for i, v in enumerate(values)), (1 << len(offsets)) - 1))
        for i, (id, content, mask) in enumerate(attributes):
            config.attributes[i].attribute.id, config.attributes[i].attribute.values = id, content
            config.attributes[i].mask = mask
        config.count = len(attributes)
        try:
            opened = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(opened, GET_LINE, request)
            finally:
                os.close(opened)
        except OSError as error:
            raise self._error(error, "cannot have lines of a GPIO chip") from None
        self.fd, self._count = int(request.fd), len(offsets)

    def read(self) -> list[int]:
        """0 or 1 of each."""
        values = LineValues(0, (1 << self._count) - 1)
        try:
            fcntl.ioctl(self.fd, GET_VALUES, values)
        except OSError as error:
            raise self._error(error, "cannot read lines of a GPIO chip") from None
        return [values.bits >> i & 1 for i in range(self._count)]

    def write(self, values: Sequence[int]) -> None:
        bits = sum(bool(v) << i for i, v in enumerate(values))
        try:
            fcntl.ioctl(self.fd, SET_VALUES, LineValues(bits, (1 << self._count) - 1))
        except OSError as error:
            raise self._error(error, "cannot write lines of a GPIO chip") from None

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _error(self, error: OSError, what: str) -> EdgeloopError:
        mend = "it is tried again"
        if isinstance(error, PermissionError):
            mend = f"add user {user()} to the group of the chip (gpio): sudo usermod -aG gpio {user()}"
        elif isinstance(error, FileNotFoundError):
            mend = "correct `chip`: the chips are /dev/gpiochip0, /dev/gpiochip1 …"
        why = "another program has a line" if error.errno == 16 else error.strerror or str(error)
        return EdgeloopError(what, where=self._where, why=why, mend=mend)
