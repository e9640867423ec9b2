"""What devices refused, kept over a restart: where requests were cut."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgeloop.decode import document
from edgeloop.durable import replace
from edgeloop.errors import EdgeloopError
from sensor_ingest.sources.modbus.plan import Request


class Place(msgspec.Struct, frozen=True):
    device: int
    table: str
    start: int
    count: int


def write(path: Path, requests: Sequence[Request]) -> None:
    places = [Place(r.device, r.table, r.start, r.count) for r in requests]
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace(path, msgspec.json.encode(places))


def read(path: Path, planned: list[Request]) -> list[Request]:
    """The requests as they were cut, where they still read the same tags; else those planned."""
    try:
        places = document(path.read_bytes(), list[Place])
    except (OSError, EdgeloopError, ValueError):
        return planned
    found = []
    for request in planned:
        inside = [
            p for p in places
            if (p.device, p.table) == (request.device, request.table)
            and request.start <= p.start and p.start + p.count <= request.start + request.count
        ]  # fmt: skip
        parts = [
            (p, tuple(t for t in request.tags if p.start <= t.address and t.end <= p.start + p.count)) for p in inside
        ]
        if sum(len(tags) for _, tags in parts) != len(request.tags) or not all(tags for _, tags in parts):
            return planned
        found += [Request(p.device, request.table, p.start, p.count, tags) for p, tags in parts]
    return found
