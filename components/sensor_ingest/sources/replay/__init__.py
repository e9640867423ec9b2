"""A recording, played as if it came from sensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeloop import clock, files
from edgeloop.clock import NS
from edgeloop.config.quantities import Rate
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Samples, Stream
from edgeloop.tables import BadRow, Row, Table
from edgeloop.wire.batch import Channel, Clock
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration

ROWS = 512
"""Most rows handed over at once."""
SAID = 10
"""Bad rows that are logged one by one; the rest is counted."""
Multiple = Annotated[float, Meta(gt=0, le=1e6)]


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="replay"):
    path: Annotated[str, Meta(title="Path", description="a CSV file; its separator is found out", min_length=1)]
    speed: Annotated[
        Multiple | Literal["max"],
        Meta(title="Speed", description="against the recording's own; max: as fast as it goes"),
    ] = 1.0
    time: Annotated[str, Meta(title="Time", description="name of the time column; empty: found by its looks")] = ""
    form: Annotated[str, Meta(title="Form", description="how a time is written, as strptime has it")] = ""
    rate: Annotated[Rate | None, Meta(title="Rate", description="rows a second, for a file without a time column")] = (
        None
    )
    ignore: Annotated[tuple[str, ...], Meta(title="Ignore", description="columns left out, such as labels")] = ()
    units: Annotated[dict[str, str], Meta(title="Units", description="unit (UCUM) by column")] = {}  # noqa: RUF012
    stamp: Annotated[
        Literal["file", "now"],
        Meta(title="Stamp", description="samples carry the file's times, or those of the replay"),
    ] = "file"
    repeat: Annotated[bool, Meta(title="Repeat", description="from the start again after the end")] = False


class State(msgspec.Struct):
    """A replay that is under way. began: ns UTC at which the first row was due."""

    path: str
    size: int
    began: int


class Replay(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._table: Table | None = None
        self._bad = 0

    @classmethod
    def live(cls, configuration: Configuration) -> bool:
        return False

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return {id: None}

    def setup(self) -> None:
        c = self.configuration
        self._table = Table(Path(c.path), time=c.time, ignore=c.ignore, form=c.form)
        if not self._table.has_time and c.rate is None:
            raise EdgeloopError(
                "cannot play the file",
                where=c.path,
                why="no column is a time",
                mend="name it in `time`, or give a `rate`",
            )
        for names, why in ((self._table.text, "has no numbers"), (self._table.unknown, "is not in the file")):
            for name in names:
                self.outlet.log(f"{c.path}: the column {name!r} {why}; ignored")
        channels = tuple(Channel(name, c.units.get(name, "1")) for name in self._table.channels)
        self.outlet.declare(Stream(self.outlet.id, channels))

    def run(self) -> None:
        began = self._began()
        while True:
            shift = self._play(began)
            if shift is None:
                return
            if not self.configuration.repeat:
                break
            began += shift
        self.outlet.state.unlink(missing_ok=True)
        self.outlet.log(f"the replay of {self.configuration.path} has ended")

    def _play(self, began: int) -> int | None:
        """Once through the file: how long that took in ns, or None where it has to end."""
        speed = self.configuration.speed
        pace = 1.0 if speed == "max" else speed
        skipping = speed != "max"
        first: int | None = None
        due, last_step = began, 0
        rows: list[tuple[int, list[float]]] = []
        newest = 0
        for row, time in self._timed():
            if first is None:
                first = newest = time
            if time < newest:
                self._skip(BadRow(row.line, "its time is before that of the row above"))
                continue
            step, newest = time - newest, time
            due = began + int((time - first) / pace)
            now = clock.now()
            if skipping and due < now - NS:
                continue
            skipping = False
            if rows and (len(rows) >= ROWS or (speed != "max" and due > now)):
                if not self._hand_over(rows):
                    return None
                rows = []
            if speed != "max":
                while (wait := (due - clock.now()) / NS) > 0:
                    if self.outlet.stop.wait(wait + self.outlet.period / 2):
                        return None
            stamp = time if self.configuration.stamp == "file" else due
            rows.append((stamp, row.values))
            last_step = step
        if rows and not self._hand_over(rows):
            return None
        if first is None:
            raise EdgeloopError("cannot play the file", where=self.configuration.path, why="no row is good")
        return due - began + max(int(last_step / pace), 1)

    def _timed(self) -> Iterator[tuple[Row, int]]:
        """Good rows and their times in ns."""
        assert self._table is not None
        rate, count = self.configuration.rate, 0
        for row in self._table.rows():
            if isinstance(row, BadRow):
                self._skip(row)
            elif row.time is not None:
                yield row, row.time
            else:
                assert rate is not None
                yield row, int(count * NS / rate)
                count += 1

    def _hand_over(self, rows: list[tuple[int, list[float]]]) -> bool:
        times = np.array([time for time, _ in rows], dtype=np.int64)
        samples = np.array([values for _, values in rows], dtype=np.float64)
        device = None if self.configuration.stamp == "now" else Clock("device")
        return self.outlet.put(Samples(self.outlet.id, samples, times=times, clock=device))

    def _skip(self, bad: BadRow) -> None:
        self._bad += 1
        self.outlet.count("bad_rows")
        line = f"{self.configuration.path} line {bad.line}: {bad.why}; the row is skipped"
        if self._bad <= SAID:
            self.outlet.log(line)
        if self._bad == 1:
            self.outlet.problem(line, "rows")

    def _began(self) -> int:
        """Now, or where a replay under way began: after a restart it goes on where the sensor would be."""
        c = self.configuration
        size = Path(c.path).stat().st_size
        if c.speed == "max":
            return clock.now()
        try:
            kept = msgspec.json.decode(self.outlet.state.read_bytes(), type=State)
            if (kept.path, kept.size) == (c.path, size) and kept.began <= clock.now():
                return kept.began
        except (OSError, msgspec.MsgspecError):
            pass
        state = State(c.path, size, clock.now())
        files.replace(self.outlet.state, msgspec.json.encode(state))
        return state.began

    def close(self) -> None:
        if self._table is not None:
            self._table.close()


SOURCE = Replay
