"""Lines from a serial port: scales, loggers, microcontrollers."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import re
import threading
from typing import Annotated, Any, Literal

from msgspec import Meta

from edgeloop import clock, optional
from edgeloop.component import user
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.form import Form, fields
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.serial.lines import Lines, checked, mark

PURPOSE = "a serial source"
_PARITIES = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}


class LineForm(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: Annotated[
        Literal["text", "pairs", "json", "senml"],
        Meta(title="Payload", description="text: cells, or what `pattern` finds; pairs: `key=value`"),
    ] = "text"


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="serial"):
    port: Annotated[str, Meta(title="Port", description="device, best below /dev/serial/by-id", min_length=1)]
    lines: Annotated[LineForm, Meta(title="Lines", description="what a line is")] = LineForm()
    baud: Annotated[int, Meta(title="Baud", description="bits a second", ge=50, le=4_000_000)] = 9600
    bits: Annotated[Literal[7, 8], Meta(title="Bits", description="of a character")] = 8
    parity: Annotated[Literal["none", "even", "odd", "mark", "space"], Meta(title="Parity", description="bit")] = "none"
    stop: Annotated[Literal[1, 2], Meta(title="Stop", description="bits")] = 1
    flow: Annotated[
        Literal["none", "rtscts", "xonxoff"], Meta(title="Flow", description="how the device is held back")
    ] = "none"
    start: Annotated[str, Meta(title="Start", description="mark that a line begins with, such as STX")] = ""
    end: Annotated[
        str, Meta(title="End", description="mark that a line ends with: ETX, 0x03, `;`, …; empty: CR, LF or both")
    ] = ""
    length: Annotated[int, Meta(title="Length", description="bytes of a line; 0: by its end", ge=0, le=4096)] = 0
    encoding: Annotated[
        Literal["utf-8", "latin-1", "cp1252", "cp437", "cp850", "ascii"],
        Meta(title="Encoding", description="of the characters"),
    ] = "utf-8"
    expect: Annotated[Duration, Meta(title="Expect", description="silence that is a problem; 0: never")] = Duration(
        "0 s"
    )

    def __post_init__(self) -> None:
        if not re.match(r"/|\w+://", self.port):
            raise ValueError(f"{self.port!r} is no device, such as /dev/serial/by-id/…")
        for text in (self.start, self.end):
            if text:
                mark(text)
        if self.end and self.length:
            raise ValueError("a line ends with `end` or after `length` bytes, not both")


class Serial(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._feed = Feed(outlet, configuration.expect.seconds)
        c = configuration
        self._lines = Lines(mark(c.start) if c.start else b"", mark(c.end) if c.end else b"", c.length)
        self._stuck = False
        self._port: Any = None
        self._reader: threading.Thread | None = None

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return {id: tuple(f.channel.name for f in fields(configuration.lines)) or None}

    def setup(self) -> None:
        serial = optional.load("serial", PURPOSE)
        c = self.configuration
        try:
            self._port = serial.serial_for_url(
                c.port, baudrate=c.baud, bytesize=c.bits, parity=_PARITIES[c.parity], stopbits=c.stop, timeout=None,
                rtscts=c.flow == "rtscts", xonxoff=c.flow == "xonxoff", exclusive=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> EdgeloopError:
        port, number = self.configuration.port, getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error)
        mend = "it is tried again"
        if number in (errno.EACCES, errno.EPERM):
            why = f"user {user()} may not"
            mend = f"add the user to the group {_group(port)}: sudo usermod -aG {_group(port)} {user()}"
        elif number == errno.ENOENT:
            mend = "plug it in; it is tried again"
        elif "exclusively lock" in str(error) or number == errno.EBUSY:
            why = "another program has it"
        what = f"the port of the source {self.outlet.id} cannot be opened"
        return EdgeloopError(what, where=port, why=why, mend=mend)

    def run(self) -> None:
        self.outlet.clear()
        self._lines.begin(clock.now())
        self.outlet.log(f"{self.configuration.port} is open")
        self._reader = threading.Thread(target=self._read, name=f"serial-{self.outlet.id}", daemon=True)
        self._reader.start()
        self._feed.run()

    def _read(self) -> None:
        try:
            while not self.outlet.stop.is_set():
                content = self._port.read(max(1, min(self._port.in_waiting, 65_536)))
                arrival = clock.now()
                for line in self._lines.take(content, arrival):
                    self._take(line, arrival)
                self._look(arrival, content)
                if self._lines.lost:
                    self._feed.bad(f"{self.outlet.id}: {self._lines.lost} B without an end of line; dropped", "line")
                    self._lines.lost = 0
        except (OSError, TypeError) as error:
            if not self.outlet.stop.is_set():
                number = getattr(error, "errno", None)
                why = os.strerror(number) if number else "nothing can be read any more"
                what, mend = f"the port of the source {self.outlet.id} is gone", "plug it in; it is tried again"
                self._feed.fail(EdgeloopError(what, where=self.configuration.port, why=why, mend=mend))
        except Exception as error:
            self._feed.fail(error)

    def _take(self, line: bytes, arrival: int) -> None:
        whole = checked(line)
        if whole is None:
            self._feed.refused(self.outlet.id, line, "its checksum is wrong")
        else:
            self._feed.take(self.outlet.id, self.configuration.lines, self._text(whole), arrival)

    def _text(self, line: bytes) -> bytes:
        """In UTF-8."""
        encoding = self.configuration.encoding
        return line if encoding == "utf-8" else line.decode(encoding, "replace").encode()

    def _look(self, now: int, content: bytes) -> None:
        """Says so where bytes come and make no line."""
        held = self._lines.stuck(now)
        if held and not self._stuck:
            self._stuck = True
            self.outlet.count("bytes_without_line", held)
            self.outlet.problem(
                f"{held} B have come without an end of line, the last are {content[-8:].hex(' ')}: say how a line ends "
                "(`end: ETX`, `end: ;`, `length: 12`), or check `baud` and `parity`", "framing",
            )  # fmt: skip
        elif not held and self._stuck:
            self._stuck = False
            self.outlet.clear("framing")

    def interrupt(self) -> None:
        self._feed.wake()
        self._cancel()

    def _cancel(self) -> None:
        port = self._port
        if port is not None and hasattr(port, "cancel_read"):
            with contextlib.suppress(OSError):
                port.cancel_read()

    def close(self) -> None:
        port, self._port = self._port, None
        if port is None:
            return
        if self._reader is not None:
            with contextlib.suppress(OSError):
                port.cancel_read()
            self._reader.join(2.0)
        with contextlib.suppress(OSError):
            port.close()


def _group(port: str) -> str:
    try:
        return grp.getgrgid(os.stat(port).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


SOURCE = Serial
