"""A recording, played as if it came from sensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgeloop import clock, durable
from edgeloop.clock import NS
from edgeloop.config import units
from edgeloop.config.quantities import Rate
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Samples, Stream
from edgeloop.supervise.handling import Handling
from edgeloop.tables import Block, Options, Table
from edgeloop.wire.batch import Clock
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.replay.stretches import stretches

ROWS = 4096
"""Most rows handed over at once."""
SAID = 10
"""Bad rows that are logged one by one; the rest is counted."""
Lines = Annotated[int, Meta(ge=0, le=1000)]
Multiple = Annotated[float, Meta(gt=0, le=1e6)]


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="replay"):
    path: Annotated[
        str, Meta(title="Path", description="a table: CSV and its relatives, Parquet, Feather, …", min_length=1)
    ]
    speed: Annotated[
        Multiple | Literal["max"],
        Meta(title="Speed", description="against the recording's own; max: as fast as it goes"),
    ] = 1.0
    time: Annotated[
        str, Meta(title="Time", description="name of the time column, or `date + time`; empty: found by its looks")
    ] = ""
    form: Annotated[
        str, Meta(title="Form", description="how a time is written, as strptime has it, or s, ms, us, ns, excel, …")
    ] = ""
    dayfirst: Annotated[bool | None, Meta(title="Day first", description="of dates such as 03/10/2024")] = None
    zone: Annotated[
        str, Meta(title="Zone", description="of times that name none, such as Europe/Berlin; empty: UTC")
    ] = ""
    decimal: Annotated[Literal["", ".", ","], Meta(title="Decimal", description="mark; empty: found out")] = ""
    thousands: Annotated[
        Literal["", ".", ",", " ", "'"], Meta(title="Thousands", description="mark; empty: found out")
    ] = ""
    skip: Annotated[Lines | None, Meta(title="Skip", description="lines above the header; empty: found out")] = None
    by: Annotated[str, Meta(title="By", description="column of tags, of a table with a row for each")] = ""
    value: Annotated[str, Meta(title="Value", description="column of values beside `by`")] = ""
    sheet: Annotated[str, Meta(title="Sheet", description="of a workbook")] = ""
    missing: Annotated[
        tuple[str, ...], Meta(title="Missing", description="words or numbers that mean that there is no value")
    ] = ()
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

    def __post_init__(self) -> None:
        for name, unit in self.units.items():
            try:
                units.unit(unit)
            except ValueError as error:
                raise ValueError(f"units.{name}: {error}") from None


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
        self._hand: Handling | None = None
        self._regular: Fraction | None = None
        self._bad = 0
        self._clock, self._set = clock.Steady(), 0

    @classmethod
    def live(cls, configuration: Configuration) -> bool:
        return False

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return {id: None}

    def setup(self) -> None:
        c = self.configuration
        options = Options(
            time=c.time, form=c.form, dayfirst=c.dayfirst, zone=c.zone, decimal=c.decimal, thousands=c.thousands,
            skip=c.skip, by=c.by, value=c.value, sheet=c.sheet, ignore=c.ignore, missing=c.missing,
            paced=c.rate is not None,
        )  # fmt: skip
        self._hand = Handling.of_source(self.outlet, "a recording")
        with self._held():
            self._table = Table(Path(c.path), options)
        table = self._table
        self.outlet.log(f"{c.path}: {table.understood}")
        if not table.has_time and c.rate is None:
            raise EdgeloopError(
                "cannot play the file",
                where=c.path,
                why="no column is a time",
                mend="name it in `time`, or give a `rate`",
            )
        for names, why in ((table.text, "has no numbers"), (table.unknown, "is not in the file")):
            for name in names:
                self.outlet.log(f"{c.path}: the column {name!r} {why}; ignored")
        said = {name: units.unit(text) for name, text in c.units.items()}
        channels = tuple(replace(one, unit=said.get(one.name, one.unit)) for one in table.channels)
        self._regular = table.rate
        if table.rate is not None and c.stamp == "now":
            self._regular = table.rate * self._speed
        self.outlet.declare(Stream(self.outlet.id, channels, self._regular))

    @property
    def _speed(self) -> Fraction:
        speed = self.configuration.speed
        return Fraction(1) if speed == "max" else Fraction(str(speed))

    def run(self) -> None:
        began = self._began()
        while True:
            shift = self._play(began)
            if shift is None:
                return
            if not self.configuration.repeat:
                break
            began += shift + self._set
            self._set = 0
        self.outlet.state.unlink(missing_ok=True)
        self.outlet.log(f"the replay of {self.configuration.path} has ended")

    def _play(self, began: int) -> int | None:
        """Once through the file: how long that took in ns, or None where it has to end."""
        speed = self._speed
        waits = self.configuration.speed != "max"
        skipping = waits
        first: int | None = None
        newest = step = 0
        for stamps, values in self._timed():
            if first is None:
                first = newest = int(stamps[0])
            step = int(stamps[-1] - (stamps[-2] if len(stamps) > 1 else newest))
            newest = int(stamps[-1])
            due = _due(stamps, first, began + self._set, speed)
            at = 0
            if skipping:
                at = int(np.searchsorted(due, self._clock.now() - NS))
                skipping = at == len(due)
            while at < len(due):
                if waits and (step := self._clock.stepped()):
                    self._set, due = self._set + step, due + step
                    self._keep(began + self._set)
                end = int(np.searchsorted(due, self._clock.now(), "right")) if waits else len(due)
                if end <= at:
                    wait = (int(due[at]) - self._clock.now()) / NS
                    if self.outlet.stop.wait(max(0.0, wait) + self.outlet.period / 2):
                        return None
                    continue
                end = min(end, at + ROWS)
                said = stamps if self.configuration.stamp == "file" else due
                if not self._hand_over(said[at:end], values[at:end]):
                    return None
                at = end
        if first is None:
            raise EdgeloopError("cannot play the file", where=self.configuration.path, why="no row is good")
        return _span(newest - first, speed) + max(_span(step, speed), 1)

    def _timed(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Blocks of good rows, their times in ns never going back."""
        rate, count, newest = self.configuration.rate, 0, None
        for block in self._blocks():
            for line, why in block.bad:
                self._skip(line, why)
            stamps, values = block.times, block.values
            if stamps is None:
                assert rate is not None
                stamps = np.array([int(i * NS / rate) for i in range(count, count + len(values))], dtype=np.int64)
                count += len(values)
            if not len(stamps):
                continue
            highest = np.maximum.accumulate(stamps if newest is None else np.maximum(stamps, newest))
            late = stamps < highest
            for row in np.flatnonzero(late):
                self._skip(block.line(int(row)), "its time is before that of the row above")
            newest = int(highest[-1])
            if late.any():
                stamps, values = stamps[~late], values[~late]
            if len(stamps):
                yield stamps, values

    def _blocks(self) -> Iterator[Block]:
        assert self._table is not None
        blocks = iter(self._table.blocks())
        while True:
            with self._held():
                block = next(blocks, None)
            if block is None:
                return
            yield block

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Around what reads the file, with code of others: one that ends the process is not read for ever."""
        assert self._hand is not None
        path = self.configuration.path
        try:
            stamp = Path(path).stat().st_mtime_ns
        except OSError:
            stamp = 0
        if self._hand.deadly(path, stamp):
            raise EdgeloopError("the recording is set aside", where=path, why="the process died with it in hand")
        with self._hand.of(path, stamp):
            yield

    def _hand_over(self, stamps: NDArray[np.int64], values: NDArray[np.float64]) -> bool:
        device = None if self.configuration.stamp == "now" else Clock("device")
        if self._regular is None:
            return self.outlet.put(Samples(self.outlet.id, values, times=stamps, clock=device))
        return all(
            self.outlet.put(Samples(self.outlet.id, values[a:b], time=int(stamps[a]), clock=device))
            for a, b in stretches(stamps, self._regular)
        )

    def _skip(self, row: int, why: str) -> None:
        self._bad += 1
        self.outlet.count("bad_rows")
        what = self._table.place if self._table else "row"
        line = f"{self.configuration.path} {what} {row}: {why}; the row is skipped"
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
            kept = durable.read(self.outlet.state, State)
            if kept and (kept.path, kept.size) == (c.path, size) and kept.began <= clock.now():
                return kept.began
        except (OSError, durable.Damaged):
            pass
        return self._keep(clock.now())

    def _keep(self, began: int) -> int:
        state = State(self.configuration.path, Path(self.configuration.path).stat().st_size, began)
        durable.write(self.outlet.state, state)
        return began

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
        if self._hand is not None:
            self._hand.close()


def _due(stamps: NDArray[np.int64], first: int, began: int, speed: Fraction) -> NDArray[np.int64]:
    """When rows are due, exact to the ns."""
    start = began + (int(stamps[0]) - first) * speed.denominator // speed.numerator
    after = stamps - stamps[0]
    if int(after[-1]) * speed.denominator >= 1 << 62:
        after = after.astype(object)
    return np.asarray(start + after * speed.denominator // speed.numerator, dtype=np.int64)


def _span(ns: int, speed: Fraction) -> int:
    return ns * speed.denominator // speed.numerator


SOURCE = Replay
