"""Units and registers that answer: by ever smaller requests where a device refuses, with reading functions alone."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.probe.pace import Pace
from edgeloop_tools.probe.section import Proposal
from sensor_ingest.sources.modbus.link import AWAY, Address, Link, Lost, Refused, Silent
from sensor_ingest.sources.modbus.plan import Request
from sensor_ingest.sources.modbus.tags import TABLES, Table

Say = Callable[[str], None]
REGISTERS, BITS = 125, 1000
"""Asked for in one request."""
MOST: Final = 200
"""Rows of a proposal; what has no value but 0 is left out first."""
AGAIN: Final = 3
"""Connections that may break at one request before that is taken for a refusal."""
SMALL: Final = 8
"""Registers that are taken for a hole where they are refused together and neither the first nor the last answers."""
_ILLEGAL_FUNCTION = 1


@dataclass(slots=True)
class Unit:
    """values: by table and address, as read last."""

    number: int
    values: dict[Table, dict[int, int]] = field(default_factory=dict)
    changed: set[tuple[Table, int]] = field(default_factory=set)


class Reader:
    def __init__(self, address: Address, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self.pace = Pace()
        self._link = self._opened()

    def _opened(self) -> Link:
        link = Link(self._address, self._timeout, 0)
        link.open()
        return link

    def close(self) -> None:
        self._link.close()

    def read(self, unit: int, table: Table, start: int, count: int) -> list[int]:
        """Raises Silent, Refused, EdgeloopError."""
        for attempt in range(AGAIN):
            self.pace.wait()
            try:
                octets = self._link.read(Request(unit, table, start, count, ()), patient=False)
            except Lost:
                self._link.close()
                if attempt == AGAIN - 1:
                    self._link = self._opened()
                    raise Refused(f"{table} {start} @{unit}", 0, "the device hangs up") from None
                self._link = self._opened()
                continue
            return list(octets) if table in ("co", "di") else list(struct.unpack(f">{count}H", octets))
        raise AssertionError

    def there(self, unit: int, start: int) -> bool:
        """Whether a unit answers at all, be it with a refusal."""
        tables: tuple[Table, ...] = ("hr", "ir")
        for table in tables:
            try:
                self.read(unit, table, start, 1)
                return True
            except Refused as error:
                return error.code not in AWAY
            except Silent:
                continue
        return False

    def table(self, unit: int, table: Table, first: int, last: int) -> dict[int, int]:
        """What can be read of a table. A request that is refused is asked in halves."""
        size = BITS if table in ("co", "di") else REGISTERS
        waiting = [(start, min(size, last - start + 1)) for start in range(first, last + 1, size)]
        found: dict[int, int] = {}
        silent = 0
        while waiting:
            start, count = waiting.pop(0)
            try:
                values = self.read(unit, table, start, count)
                found |= {start + i: value for i, value in enumerate(values)}
                silent = 0
            except Refused as error:
                if error.code == _ILLEGAL_FUNCTION or error.code in AWAY:
                    return found
                if count > SMALL or (count > 1 and self._ends(unit, table, start, count, found)):
                    waiting[:0] = [(start, count // 2), (start + count // 2, count - count // 2)]
            except Silent:
                silent += 1
                if silent >= AGAIN:
                    return found
                waiting.insert(0, (start, count))
        return found

    def _ends(self, unit: int, table: Table, start: int, count: int, found: dict[int, int]) -> bool:
        """Whether the first or the last of a few answers alone, or one beside them has."""
        if start - 1 in found or count < SMALL // 2:
            return True
        for address in (start, start + count - 1):
            try:
                found[address] = self.read(unit, table, address, 1)[0]
                return True
            except (Refused, Silent):
                continue
        return False


def probe(id: str, url: str, units: tuple[int, int], span: tuple[int, int], timeout: float, say: Say) -> Proposal:
    """Raises EdgeloopError where nobody can be reached; ValueError where the address is none."""
    if units[1] > 255:
        raise ValueError(f"{units[1]} is no unit id from 0 to 255")
    reader = Reader(Address.parse(url), timeout)
    found: list[Unit] = []
    cut = False
    try:
        for number in range(units[0], units[1] + 1):
            if reader.there(number, span[0]):
                found.append(Unit(number))
                _read(reader, found[-1], span, say)
            else:
                say(f"unit {number}: no answer")
    except KeyboardInterrupt:
        cut = True
    finally:
        reader.close()
    if not found:
        shown = f"{units[0]}" if units[0] == units[1] else f"{units[0]} to {units[1]}"
        mend = "other --unit ids, `baud` and `parity` of a serial line"
        raise EdgeloopError("no unit answers", where=url, why=f"asked: {shown}", mend=mend)
    made = _proposal(id, url, found)
    made.notes.append(f"{reader.pace.requests} requests, reading only{'; interrupted: not all was asked' * cut}")
    return made


def _read(reader: Reader, unit: Unit, span: tuple[int, int], say: Say) -> None:
    for table in TABLES:
        say(f"unit {unit.number}: {TABLES[table]}s {span[0]} to {span[1]}")
        unit.values[table] = reader.table(unit.number, table, *span)
    for table, values in unit.values.items():
        for start, count in list(_runs(values, BITS if table in ("co", "di") else REGISTERS)):
            try:
                again = reader.read(unit.number, table, start, count)
            except (Refused, Silent):
                continue
            unit.changed |= {(table, start + i) for i, value in enumerate(again) if values[start + i] != value}
            values.update({start + i: value for i, value in enumerate(again)})


def _runs(values: dict[int, int], size: int) -> Iterator[tuple[int, int]]:
    """Addresses without holes, (start, count), of at most `size`."""
    start = count = 0
    for address in sorted(values):
        if count and (address != start + count or count == size):
            yield start, count
            count = 0
        start = start if count else address
        count += 1
    if count:
        yield start, count


def _proposal(id: str, url: str, units: list[Unit]) -> Proposal:
    first = units[0].number
    made = Proposal(id, {"type": "modbus", "url": url, "unit": first, "tags": {}}, "tags")
    made.notes.append("A register does not say what it is: set type, unit and scale by the device's manual.")
    tags = made.entry["tags"]
    left = 0
    for unit in units:
        for table, values in unit.values.items():
            runs = ", ".join(f"{s}..{s + n - 1}" if n > 1 else str(s) for s, n in _runs(values, 1 << 16))
            made.notes.append(f"unit {unit.number}: {TABLES[table]}s {_short(runs) or 'none'}")
            for address in sorted(values, key=lambda a, t=table, u=unit: ((t, a) not in u.changed, a)):  # type: ignore[misc]
                value, changes = values[address], (table, address) in unit.changed
                if not value and not changes:
                    continue
                if len(tags) >= MOST:
                    left += 1
                    continue
                name = f"{table}_{address}" if unit.number == first else f"u{unit.number}_{table}_{address}"
                kind = "" if table in ("co", "di") else " uint16"
                tags[name] = f"{table} {address}{kind}" + ("" if unit.number == first else f" @{unit.number}")
                made.seen[name] = _seen(value, values.get(address + 1), table) + ("; it changes" if changes else "")
    if not tags:
        _zero(made, units)
    if left:
        made.notes.append(f"{left} more have a value: a smaller --range shows them")
    made.entry["poll"] = str(Duration("1 s"))
    return made


def _zero(made: Proposal, units: list[Unit]) -> None:
    """One row at least, where all that can be read is 0."""
    for unit in units:
        for table, values in unit.values.items():
            if values:
                made.notes.append("all that can be read is 0")
                address = min(values)
                device = "" if unit is units[0] else f" @{unit.number}"
                made.entry["tags"][f"{table}_{address}"] = f"{table} {address}{device}"
                return


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117].rpartition(',')[0]}, …"


def _seen(value: int, behind: int | None, table: Table) -> str:
    """A register, and what it is with the next one, where that looks like a number that people use."""
    if table in ("co", "di"):
        return str(value)
    said = str(value) if value < 0x8000 else f"{value} or {value - 0x10000}"
    for order, words in (("", (value, behind)), (" little", (behind, value))):
        if None not in words:
            number = struct.unpack(">f", struct.pack(">2H", *words))[0]
            if math.isfinite(number) and 1e-3 <= abs(number) <= 1e6:
                said += f"; as float32{order} {number:.6g}"
    return said
