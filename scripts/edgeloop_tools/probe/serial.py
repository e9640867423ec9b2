"""Lines that come at a serial port. Nothing is sent, and no device is asked."""

from __future__ import annotations

import errno
import os
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from edgeloop import clock, optional
from edgeloop.errors import EdgeloopError
from edgeloop_tools.probe.payloads import form
from edgeloop_tools.probe.section import Proposal
from sensor_ingest.sources.serial.lines import Lines

PURPOSE = "probing a serial port"
BAUDS: Final = (9600, 115200, 19200, 38400, 57600, 4800, 2400)
ENOUGH: Final = 3
"""Lines that decide."""
MOST: Final = 20
FRAMES: Final[tuple[dict[str, str], ...]] = ({}, {"start": "STX", "end": "ETX"})
_FORMS: Final = tuple({"payload": payload} for payload in ("json", "senml", "pairs", "text"))


def probe(id: str, port: str, baud: int, seconds: float, say: Callable[[str], None]) -> Proposal:
    """Raises EdgeloopError."""
    made = Proposal(id, {"type": "serial", "port": port}, "lines")
    last = b""
    for rate in (baud,) if baud else BAUDS:
        for parity, bits in (("none", 8), ("even", 7)):
            say(f"{port}: {rate} baud, {bits} bits, parity {parity}")
            content = _listen(port, rate, parity, bits, seconds)
            last = content or last
            if found := _understood(content):
                frame, settings, shown = found
                made.entry |= {"baud": rate, **({} if bits == 8 else {"bits": bits, "parity": parity}), **frame}
                made.entry["lines"] = settings
                made.notes.append(f"read: {shown}"[:160])
                return made
            if not content:
                break
    if not last:
        mend = "a device that speaks when it is asked needs a source of type process"
        raise EdgeloopError("nothing comes", where=port, why=f"in {seconds:g} s at each baud", mend=mend)
    raise EdgeloopError("what comes makes no lines of numbers", where=port, why=f"the last bytes are "
                        f"{last[-16:].hex(' ')}", mend="name --baud, or set `start`, `end` or `length`")  # fmt: skip


def _listen(port: str, baud: int, parity: str, bits: int, seconds: float) -> bytes:
    """What comes within a time, or until some lines have."""
    serial = optional.load("serial", PURPOSE)
    try:
        line: Any = serial.serial_for_url(
            port, baudrate=baud, bytesize=bits, parity=parity[0].upper(), timeout=0.1, exclusive=True
        )
    except termios.error:
        return b""  # this port does not have such characters
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error)
        mend = "add yourself to the group dialout" if number in (errno.EACCES, errno.EPERM) else ""
        raise EdgeloopError("the port cannot be opened", where=port, why=why, mend=mend) from None
    content = b""
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(content) < 1 << 16:
            content += line.read(max(1, line.in_waiting))
            if _understood(content):
                break
    except OSError as error:
        raise EdgeloopError("the port is gone", where=port, why=str(error)) from None
    finally:
        line.close()
    return content


def _understood(content: bytes) -> tuple[dict[str, str], dict[str, Any], str] | None:
    """Framing, form and what was read, where some whole lines are of numbers."""
    for frame in FRAMES:
        lines = list(_lines(content, frame))
        if len(lines) < ENOUGH or not all(_plain(line) for line in lines):
            continue
        if found := form(lines, _FORMS):
            return frame, *found
    return None


def _lines(content: bytes, frame: dict[str, str]) -> Iterator[bytes]:
    """The last whole lines; the first one that came may be half of a line."""
    if frame and b"\x02" not in content:
        return
    cut = Lines(b"\x02", b"\x03") if frame else Lines()
    cut.begin(clock.now())
    found = [line for line in cut.take(content, clock.now()) if line.strip()]
    yield from (found if frame else found[1:])[-MOST:]


def _plain(line: bytes) -> bool:
    try:
        return all(c.isprintable() or c == "\t" for c in line.decode())
    except UnicodeDecodeError:
        return False
