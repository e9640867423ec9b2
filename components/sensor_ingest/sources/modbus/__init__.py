"""Modbus devices: a compact tag table, read with few requests on a schedule that does not drift."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Records, Samples, Stream
from edgeloop.wire.batch import Channel, Column
from sensor_ingest.sources import entries
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.modbus import learned, plan, registers, tagfile
from sensor_ingest.sources.modbus.link import AWAY, REFUSED, Address, Late, Link, Lost, Refused, Silent
from sensor_ingest.sources.modbus.tags import Tag, parse

AGAIN = 3600.0
"""s after which what a device refused is asked whole again."""
PATIENCE = 10.0
"""s without any answer after which a connection is given up; at least five time-outs."""
SHOWN = 3
"""Tags that a line names; the rest is counted."""
FIRST_REST, LONGEST_REST = 1.0, 60.0
"""s: how long a unit that does not answer is left alone; each time twice as long."""
Value = float | int | str


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="modbus"):
    url: Annotated[
        str,
        Meta(
            title="Address", description="tcp://host:502, tls://…, rtu:///dev/…?baud=19200&parity=E&stop=1, rtu+tcp://…"
        ),
    ]
    ca: Annotated[str, Meta(title="CA", description="certificates that tls:// trusts; empty: the system's")] = ""
    cert: Annotated[str, Meta(title="Certificate", description="file of the client's own, of tls://")] = ""
    key: Annotated[str, Meta(title="Key", description="file of its key")] = ""
    unit: Annotated[int, Meta(title="Unit", description="unit id of tags without one", ge=0, le=255)] = 1
    poll: Annotated[
        Duration, Meta(title="Poll", description="how often all tags are read", extra={"ge": "5 ms", "le": "1 d"})
    ] = Duration("1 s")
    tags: Annotated[
        dict[str, str] | str,
        Meta(title="Tags", description="what is read, by name: `hr 104 int16 Cel *0.1`; or one text, a row a line"),
    ] = {}  # noqa: RUF012
    tags_file: Annotated[str, Meta(title="Tags file", description="a file with more rows")] = ""
    writes: Annotated[
        dict[str, str] | str,
        Meta(title="Writes", description="rows of targets of `actions` that are not among the tags"),
    ] = {}  # noqa: RUF012
    verify: Annotated[bool, Meta(title="Verify", description="read back what was written")] = False
    word_order: Annotated[
        Literal["big", "little"],
        Meta(title="Word order", description="of values of several registers: which word comes first"),
    ] = "big"
    gap: Annotated[
        int, Meta(title="Gap", description="registers read in vain rather than with two requests", ge=0, le=124)
    ] = 16
    largest: Annotated[int, Meta(title="Largest", description="registers of one request", ge=4, le=125)] = 125
    timeout: Annotated[
        Duration, Meta(title="Timeout", description="for an answer", extra={"ge": "10 ms", "le": "30 s"})
    ] = Duration("1 s")
    settle: Annotated[
        Duration, Meta(title="Settle", description="pause after connecting, for slow devices", extra={"le": "1 min"})
    ] = Duration("0 s")
    retries: Annotated[int, Meta(title="Retries", description="of a request without answer", ge=0, le=5)] = 1

    def __post_init__(self) -> None:
        address = Address.parse(self.url)
        if (self.ca or self.cert or self.key) and address.scheme != "tls":
            raise ValueError("`ca`, `cert` and `key` are for tls://")
        tags = entries.parse(self.tags, parse, "tags")
        writes = entries.parse(self.writes, parse, "writes")
        if not tags and not self.tags_file:
            raise ValueError("there are no tags: give `tags` or a `tags_file`")
        if not self.tags_file:
            targets(self.actions, tags, writes)
        serial = address.scheme in ("rtu", "rtu+tcp")
        if serial and max([self.unit, *(t.device or 0 for t in (*tags.values(), *writes.values()))]) > 247:
            raise ValueError("a unit id on a serial line is 0 to 247")
        for tag in (*tags.values(), *writes.values()):
            if tag.words > self.largest:
                raise ValueError(f"{tag.name} has {tag.words} registers, `largest` is {self.largest}")


def targets(actions: Mapping[str, object], tags: Mapping[str, Tag], writes: Mapping[str, Tag]) -> dict[str, Tag]:
    """Where each target of the allow-list is. Raises ValueError."""
    found = {}
    for name in actions:
        tag = writes.get(name) or tags.get(name)
        if tag is None:
            raise ValueError(f"actions.{name}: no row of `writes` or `tags` has this name")
        if tag.table not in ("co", "hr") or tag.kind == "string":
            raise ValueError(f"actions.{name}: {tag.where} cannot be written; a number or bit of co or hr can")
        found[name] = tag
    for name in writes:
        if name not in actions:
            raise ValueError(f"writes.{name}: `actions` does not have it")
    return found


class Modbus(Source[Configuration]):
    """Streams `<id>` (numbers, float64, NaN where a tag could not be read) and `<id>_state` (bits, enumerations,
    strings; a column that could not be read is absent). A row is a poll, its time the middle of it."""

    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._tags: dict[str, Tag] = {}
        self._targets: dict[str, Tag] = {}
        self._requests: list[plan.Request] = []
        self._units: set[int] = set()
        self._link: Link | None = None
        self._resting: dict[int, tuple[float, float]] = {}
        self._failed: dict[str, str] = {}
        self._heard = 0.0
        self._late = 0
        self._again = 0.0

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        if configuration.tags_file:
            return None
        rows = entries.parse(configuration.tags, parse, "tags").values()
        names = {
            id: tuple(t.name for t in rows if t.numeric),
            f"{id}_state": tuple(t.name for t in rows if not t.numeric),
        }
        return {stream: columns for stream, columns in names.items() if columns}

    def setup(self) -> None:
        c = self.configuration
        try:
            rows = entries.parse(c.tags, parse, "tags")
            if c.tags_file:
                text = entries.read(c.tags_file)
                given = tagfile.rows(text) if c.tags_file.lower().endswith((".csv", ".tsv")) else text
                rows |= entries.parse(given, parse, c.tags_file)
            self._targets = targets(c.actions, rows, entries.parse(c.writes, parse, "writes"))
        except ValueError as error:
            raise EdgeloopError(f"the tags of {self.outlet.id} are wrong", why=str(error)) from None
        self._tags = rows
        self._requests = learned.read(self.outlet.state, self._planned())
        self._again = time.monotonic() + AGAIN
        self._units = {request.device for request in self._requests}
        self._numbers = [tag for tag in rows.values() if tag.numeric]
        self._states = [tag for tag in rows.values() if not tag.numeric]
        streams = []
        if self._numbers:
            streams.append(Stream(self.outlet.id, tuple(Channel(tag.name, tag.unit) for tag in self._numbers)))
        if self._states:
            streams.append(Stream(f"{self.outlet.id}_state"))
        self.outlet.declare(*streams)
        address = Address.parse(c.url)
        link = Link(
            address, c.timeout.seconds, c.retries, tls=_tls(c) if address.scheme == "tls" else None,
            settle=c.settle.seconds, renewed=self._renewed,
        )  # fmt: skip
        self._link = link
        link.open()
        if self.outlet.stop.is_set():
            link.interrupt()
        self._heard = time.monotonic()

    def _planned(self) -> list[plan.Request]:
        c = self.configuration
        return plan.merge(self._tags.values(), c.unit, gap=c.gap, registers=c.largest)

    def _renewed(self) -> None:
        """The other side closed a healthy connection, and it is open again."""
        self.outlet.count("reconnections")
        self.outlet.reconnected()

    def run(self) -> None:
        period = self.configuration.poll.seconds
        due = time.monotonic()
        while not self.outlet.stop.wait(max(0.0, due - time.monotonic())):
            try:
                began = clock.now()
                values = self._poll()
                at = (began + clock.now()) // 2
            except Lost:
                if not self.outlet.stop.is_set():
                    self._put({}, clock.now())
                    raise
                return
            if not self._put(values, at):
                return
            late = int((time.monotonic() - due) / period)
            if late:
                self.outlet.count("skipped_polls", late)
            due += (late + 1) * period

    def _poll(self) -> dict[str, Value]:
        """Values by tag. Raises Lost where the connection is gone or nobody answers."""
        values: dict[str, Value] = {}
        failed: dict[str, str] = {}
        if time.monotonic() > self._again:
            self._again = time.monotonic() + AGAIN
            self._requests = self._planned()
        before = self._requests
        pending, kept = deque(self._requests), []
        answered, silent = False, ""
        while pending:
            request = pending.popleft()
            why = "no answer"
            if not self._rests(request.device):
                try:
                    values |= self._read(request)
                    answered, why = True, ""
                    self._resting.pop(request.device, None)
                except Late as error:
                    answered, why = True, error.what
                except Silent as error:
                    silent = error.where
                    self._rest(request.device)
                except Refused as error:
                    answered, why = True, error.what
                    if error.code in AWAY:
                        self._rest(request.device)
                    smaller = plan.split(request) if error.code in REFUSED else [request]
                    if len(smaller) > 1:
                        pending.extendleft(reversed(smaller))
                        continue
            if why:
                failed |= dict.fromkeys((tag.name for tag in request.tags), why)
            kept.append(request)
        self._requests = kept
        if kept != before:
            learned.write(self.outlet.state, kept)
        self._listen(answered, silent)
        self._tell(failed)
        return values

    def _listen(self, answered: bool, silent: str) -> None:
        """Raises Lost where nobody has answered for long."""
        link = self._link
        assert link is not None
        if link.late > self._late:
            self.outlet.count("late_answers", link.late - self._late)
            self._late = link.late
        if answered:
            self._heard = time.monotonic()
            self.outlet.clear("silence")
            return
        waited = time.monotonic() - self._heard
        patience = max(PATIENCE, 5 * self.configuration.timeout.seconds)
        if silent and waited > patience:
            raise Lost("nobody answers", where=f"{self.configuration.url}: {silent}")
        if silent:
            self.outlet.problem(
                f"connected, but nobody answers ({silent}): set `settle: 5 s` where the device needs time after "
                "connecting, else look at `unit`, `timeout` and the table", "silence",
            )  # fmt: skip

    def _read(self, request: plan.Request) -> dict[str, Value]:
        assert self._link is not None
        octets = self._link.read(request, patient=request.device not in self._resting)
        values: dict[str, Value] = {}
        size = 1 if request.table in ("co", "di") else 2
        for tag in request.tags:
            start = (tag.address - request.start) * size
            values[tag.name] = self._value(tag, octets[start : start + tag.words * size])
        return values

    def _value(self, tag: Tag, octets: bytes) -> Value:
        if tag.numeric:
            value = registers.number(tag, octets, self._little(tag))
            if tag.none and value != value:
                self.outlet.count("no_values")
            return value
        if tag.kind == "string":
            return registers.text(tag, octets)
        return octets[0] if tag.table in ("co", "di") else registers.code(tag, octets)

    def _little(self, tag: Tag) -> bool:
        return tag.words > 1 and (self.configuration.word_order == "little" if tag.little is None else tag.little)

    def _rests(self, device: int) -> bool:
        return time.monotonic() < self._resting.get(device, (0.0, 0.0))[0]

    def _rest(self, device: int) -> None:
        pause = min(2 * self._resting[device][1], LONGEST_REST) if device in self._resting else FIRST_REST
        if len(self._units) < 2:
            pause = FIRST_REST
        self._resting[device] = (time.monotonic() + pause, pause)

    def _tell(self, failed: dict[str, str]) -> None:
        if failed:
            self.outlet.count("bad_values", len(failed))
        if failed == self._failed:
            return
        self._failed = failed
        if not failed:
            self.outlet.clear("tags")
            return
        shown = ", ".join(f"{name} ({self._tags[name].where}): {why}" for name, why in list(failed.items())[:SHOWN])
        more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        self.outlet.problem(f"{len(failed)} of {len(self._tags)} tags cannot be read: {shown}{more}", "tags")

    def _put(self, values: Mapping[str, Value], at: int) -> bool:
        """A row of what was read, at a time in ns UTC. False: the source has to end."""
        times = np.array([at], dtype=np.int64)
        going = True
        if self._numbers:
            row = np.array([[values.get(tag.name, np.nan) for tag in self._numbers]], dtype=np.float64)
            going = self.outlet.put(Samples(self.outlet.id, row, times=times))
        columns = {tag.name: _column(tag, values[tag.name]) for tag in self._states if tag.name in values}
        if columns:
            going = self.outlet.put(Records(f"{self.outlet.id}_state", times, columns))
        return going

    def write(self, target: str, value: float) -> None:
        link, tag = self._link, self._targets.get(target)
        if link is None or tag is None:
            raise EdgeloopError(f"{target} cannot be written", where=self.outlet.id, why="it is not connected")
        device = self.configuration.unit if tag.device is None else tag.device
        if tag.table == "co":
            on = registers.boolean(tag, value)
            link.write_coil(device, tag.address, on)
            wanted: bytes = bytes([on])
        elif tag.bit is not None:
            on = registers.boolean(tag, value)
            mask = int.from_bytes(registers.ordered((1 << tag.bit).to_bytes(2, "big"), False, tag.swapped), "big")
            link.set_bit(device, tag.address, mask, on)
            wanted = bytes([on])
        else:
            words = registers.encode(tag, value, self._little(tag))
            link.write_registers(device, tag.address, words)
            wanted = registers.pack(words)
        if self.configuration.verify:
            found = link.read(plan.Request(device, tag.table, tag.address, tag.words, (tag,)))
            if tag.bit is not None:
                found = bytes([registers.code(tag, found)])
            if found != wanted:
                raise EdgeloopError(
                    f"{tag.where} does not hold what was written",
                    where=self.outlet.id,
                    why=f"{value:g} was written, {self._value(tag, found) if tag.bit is None else found[0]} is there",
                )

    def interrupt(self) -> None:
        if self._link is not None:
            self._link.interrupt()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()


def _tls(c: Configuration) -> ssl.SSLContext:
    """Raises EdgeloopError."""
    try:
        context = ssl.create_default_context(cafile=c.ca or None)
        if c.cert:
            context.load_cert_chain(c.cert, c.key or None, password="")
    except (OSError, ssl.SSLError) as error:
        raise EdgeloopError(
            "the certificates cannot be used", where=c.ca or c.cert, why=error.strerror or str(error)
        ) from None
    return context


def _column(tag: Tag, value: Value) -> Column:
    if tag.kind == "bool":
        return Column("bool", np.array([value], dtype=np.uint8))
    return entries.column((str(value) if tag.kind == "string" else int(value),), tag.labels)


SOURCE = Modbus
