"""Any program that writes frames of numbers to its standard output: vendors' tools, sound cards, one's own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import IO, Annotated, Literal

import numpy as np
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Rate
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Samples, Stream
from sensor_ingest.pace import Pace
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.process import orphan
from sensor_ingest.sources.process.header import LONGEST, Header

READ = 1 << 18
F_SETPIPE_SZ = 1031
GRACE = 2.0
"""s: between SIGTERM and SIGKILL."""
LINES = 20
"""Lines of standard error that are logged in a second; the rest is counted."""


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="process"):
    command: Annotated[str, Meta(title="Command", description="program and arguments; no shell", min_length=1)]
    header: Annotated[
        str,
        Meta(
            title="Header",
            description="the header line, for a program that does not write one",
            extra_json_schema={"contentMediaType": "application/json"},
        ),
    ] = ""
    rate: Annotated[Rate | None, Meta(title="Rate", description="without a header line: samples a second")] = None
    dtype: Annotated[
        str, Meta(title="Type", description="without a header line: of the values, as numpy writes it")
    ] = ""
    channels: Annotated[
        dict[str, str] | str,
        Meta(title="Channels", description="without a header line: unit, scale, offset by name: `m/s2 *0.01`"),
    ] = {}  # noqa: RUF012
    folder: Annotated[str, Meta(title="Folder", description="working directory")] = ""
    live: Annotated[
        bool, Meta(title="Live", description="true: time of arrival, drops when full; false: by count, waits when full")
    ] = True
    restart: Annotated[
        Literal["always", "on_failure"], Meta(title="Restart", description="on_failure: exit code 0 is the end")
    ] = "always"

    def __post_init__(self) -> None:
        if not shlex.split(self.command):
            raise ValueError("the command is empty")
        given = (self.rate is not None, bool(self.dtype), bool(self.channels))
        if any(given) and (self.header or not all(given)):
            raise ValueError("either `header`, or all of `rate`, `dtype` and `channels`, or none")
        try:
            said(self, "header")
        except EdgeloopError as error:
            raise ValueError(str(error)) from None


def said(configuration: Configuration, where: str) -> Header | None:
    """The header that the configuration gives. Raises EdgeloopError."""
    if configuration.header:
        return Header.parse(configuration.header, where)
    if configuration.rate is None:
        return None
    return Header.made(Fraction(configuration.rate), configuration.dtype, configuration.channels, where)


class Process(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._arguments = shlex.split(configuration.command)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: threading.Thread | None = None
        self._last_word: threading.Timer | None = None

    @classmethod
    def live(cls, configuration: Configuration) -> bool:
        return configuration.live

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        header = said(configuration, id)
        return {id: tuple(channel.name for channel in header.channels) if header else None}

    def setup(self) -> None:
        if orphan.end(self.outlet.state):
            self.outlet.log("a program left over from before was ended")
        try:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.configuration.folder or None,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise EdgeloopError(
                f"the program of the source {self.outlet.id} cannot be started",
                where=self._arguments[0],
                why=error.strerror or str(error),
                mend="correct its command",
            ) from None
        orphan.remember(self.outlet.state, self._process.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdout, F_SETPIPE_SZ, 1 << 20)
        self._errors = threading.Thread(target=self._log_errors, args=(self._process.stderr,), daemon=True)
        self._errors.start()
        if self.outlet.stop.is_set():
            self.interrupt()

    def run(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        rest = b""
        header = said(self.configuration, self.outlet.id)
        if header is None:
            line, rest = self._first_line(process.stdout)
            header = Header.parse(line, f"{self.outlet.id}: {self._arguments[0]}") if line else None
        if header is not None:
            self._frames(process.stdout, header, rest)
        self._ended(process)

    def _first_line(self, output: IO[bytes]) -> tuple[bytes, bytes]:
        """(line, bytes behind it); both empty where the program ended before."""
        buffer = b""
        while b"\n" not in buffer:
            if len(buffer) > LONGEST:
                raise EdgeloopError(
                    "the program wrote no header line",
                    where=self.outlet.id,
                    mend="let it write one, or configure `header`",
                )
            more = output.read(4096)
            if not more:
                return b"", b""
            buffer += more
        line, _, rest = buffer.partition(b"\n")
        return line, rest

    def _frames(self, output: IO[bytes], header: Header, rest: bytes) -> None:
        self.outlet.declare(Stream(self.outlet.id, header.channels, header.rate, header.calibration))
        pace = Pace(header.rate, live=self.configuration.live)
        size, columns = header.frame, len(header.channels)
        buffer = bytearray(max(READ, len(rest)) // size * size + 2 * size)
        view = memoryview(buffer)
        held = len(rest)
        view[:held] = rest
        while True:
            whole = held // size
            if whole:
                samples = np.frombuffer(buffer, header.dtype, whole * columns).reshape(whole, columns)
                samples = samples.astype(header.kept, copy=True)
                if not self.outlet.put(Samples(self.outlet.id, samples, time=pace.first(whole, clock.now()))):
                    return
                held -= whole * size
                view[:held] = view[whole * size : whole * size + held]
                if whole * size < READ:
                    self.outlet.stop.wait(self.outlet.period / 2)
            read = output.readinto(view[held:])  # type: ignore[attr-defined]
            if not read:
                break
            held += read
        if held:
            self.outlet.count("partial_frames")

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if self.outlet.stop.is_set():
            return
        try:
            code = process.wait(GRACE)
        except subprocess.TimeoutExpired:
            raise EdgeloopError(
                f"the program of the source {self.outlet.id} closed its output but runs on", mend="it is started again"
            ) from None
        if code == 0 and self.configuration.restart == "on_failure":
            self.outlet.log("the program has ended")
            return
        why = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        raise EdgeloopError(f"the program of the source {self.outlet.id} ended", why=why, mend="it is started again")

    def _log_errors(self, errors: IO[bytes]) -> None:
        """Standard error to the log, at most 20 lines a second."""
        second, lines = 0.0, 0
        with contextlib.suppress(ValueError, OSError):
            for line in iter(lambda: errors.readline(2000), b""):
                now = time.monotonic()
                if now - second >= 1.0:
                    second, lines = now, 0
                lines += 1
                if lines <= LINES:
                    self.outlet.log(line.decode("utf-8", "replace").rstrip(), program=Path(self._arguments[0]).name)
                else:
                    self.outlet.count("log_lines_dropped")

    def interrupt(self) -> None:
        self._signal(signal.SIGTERM)
        self._last_word = threading.Timer(GRACE, self._signal, (signal.SIGKILL,))
        self._last_word.daemon = True
        self._last_word.start()

    def _signal(self, number: int) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)

    def close(self) -> None:
        """Ends the whole group of the program."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        self._signal(signal.SIGKILL)
        if self._last_word is not None:
            self._last_word.cancel()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        self._process = None
        orphan.forget(self.outlet.state)


SOURCE = Process
