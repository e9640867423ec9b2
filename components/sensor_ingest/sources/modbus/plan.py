"""Which requests read a set of tags: as few as the protocol allows, and fewer merged where a device objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sensor_ingest.sources.modbus.tags import Table, Tag

REGISTERS, BITS = 125, 2000
"""Most of one request (Modbus Application Protocol V1.1b3, sections 6.1 to 6.4)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One read. device: unit id; start: address from 0; tags: what it brings."""

    device: int
    table: Table
    start: int
    count: int
    tags: tuple[Tag, ...]

    @property
    def where(self) -> str:
        last = f"..{self.start + self.count - 1}" if self.count > 1 else ""
        return f"{self.table} {self.start}{last} @{self.device}"


def merge(tags: Iterable[Tag], device: int, *, gap: int, registers: int = REGISTERS) -> list[Request]:
    """Requests that read all tags, over holes of at most `gap` addresses (16 times that for bits).

    device: unit id of tags without one. registers: most of one request.
    """
    groups: dict[tuple[int, Table], list[Tag]] = {}
    for tag in tags:
        groups.setdefault((device if tag.device is None else tag.device, tag.table), []).append(tag)
    requests = []
    for (unit, table), members in groups.items():
        bits = table in ("co", "di")
        most, hole = (16 * registers, 16 * gap) if bits else (registers, gap)
        held: list[Tag] = []
        end = 0
        for tag in sorted(members, key=lambda tag: (tag.address, tag.end)):
            if held and (tag.address > end + hole or max(end, tag.end) - held[0].address > most):
                requests.append(_request(unit, table, held, end))
                held = []
            end = max(end, tag.end) if held else tag.end
            held.append(tag)
        requests.append(_request(unit, table, held, end))
    return requests


def _request(device: int, table: Table, tags: list[Tag], end: int) -> Request:
    return Request(device, table, tags[0].address, end - tags[0].address, tuple(tags))


def split(request: Request) -> list[Request]:
    """What to ask instead of a request that the device refused: its halves, cut between tags and at the widest hole.

    One that cannot be split comes back as it is.

    >>> from sensor_ingest.sources.modbus.tags import parse
    >>> tags = [parse(f"t{i}", f"hr {i}") for i in (0, 1, 2, 8, 9)]
    >>> [r.where for r in split(merge(tags, 1, gap=16)[0])]
    ['hr 0..2 @1', 'hr 8..9 @1']
    """
    tags = sorted(request.tags, key=lambda tag: (tag.address, tag.end))
    cuts = []
    end = tags[0].end if tags else 0
    middle = request.start + request.count / 2
    for i in range(1, len(tags)):
        if tags[i].address >= end:
            cuts.append((-(tags[i].address - end), abs(tags[i].address - middle), i))
        end = max(end, tags[i].end)
    if not cuts:
        return [request]
    _, _, at = min(cuts)
    parts = (tags[:at], tags[at:])
    return [_request(request.device, request.table, part, max(tag.end for tag in part)) for part in parts]
