"""Alarms and what people said of them, from files of JSON lines, to tables over all sites."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from edgeloop.decode import document
from edgeloop.errors import DecodeError
from edgeloop_tools.lake import names
from edgeloop_tools.lake.listing import Object

ALARMS, LABELS = "alarms", "labels"
TABLES: Final = (ALARMS, LABELS)
COLUMNS: Final = {
    ALARMS: (("time", "time"), ("device", ""), ("asset", ""), ("type", ""), ("id", ""), ("monitor", ""), ("kind", ""),
             ("severity", ""), ("state", ""), ("reason", ""), ("by", ""), ("text", ""), ("group", ""),
             ("raised_at", "time"), ("count", "int")),
    LABELS: (("time", "time"), ("device", ""), ("asset", ""), ("type", ""), ("alarm", ""), ("monitor", ""),
             ("kind", ""), ("stream", ""), ("reason", ""), ("by", ""), ("start", "time"), ("end", "time")),
}  # fmt: skip
"""Name and form of each: a time is ns in the record and µs in the table, "" is text."""
_KEY: Final = {ALARMS: ("device", "id", "time", "state"), LABELS: ("device", "alarm", "time", "reason")}


class Records:
    """Of one site and date. bad: lines that are none."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem
        self._rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in TABLES}
        self.bad = 0

    def add(self, objects: Sequence[Object]) -> None:
        """What came twice counts once."""
        for item in objects:
            for line in self._lines(item):
                try:
                    envelope = document(line, dict[str, Any], what="a record")
                    kind = str(envelope.get("kind", item.parts.get("kind", "")))
                    if kind in TABLES:
                        row = _row(kind, str(envelope["device"]), envelope["document"])
                        self._rows[kind][tuple(row[name] for name in _KEY[kind])] = row
                except (DecodeError, KeyError, TypeError, ValueError):
                    self.bad += 1

    def table(self, pa: Any, kind: str) -> Any:
        """By time."""
        types = {"time": pa.timestamp("us", "UTC"), "int": pa.int64(), "": pa.string()}
        schema = pa.schema([(name, types[form]) for name, form in COLUMNS[kind]])
        rows = [self._rows[kind][key] for key in sorted(self._rows[kind])]
        rows.sort(key=lambda row: row["time"])
        columns = {name: [row[name] for row in rows] for name, _ in COLUMNS[kind]}
        return pa.table(columns, schema=schema)

    def _lines(self, item: Object) -> Iterator[bytes]:
        with self._filesystem.open_input_stream(item.path, compression=None) as opened:
            content = opened.read()
        if content[:2] == b"\x1f\x8b":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error):
                self.bad += 1
                return
        yield from (line for line in content.split(b"\n") if line.strip())


def _row(kind: str, device: str, said: dict[str, Any]) -> dict[str, Any]:
    """Raises KeyError, TypeError or ValueError where it is none."""
    asset = str(said["asset"])
    own = {"device": device, "asset": asset, "type": names.asset_type(asset)}
    row: dict[str, Any] = {}
    for name, form in COLUMNS[kind]:
        if name in own:
            row[name] = own[name]
        elif form == "time":
            row[name] = int(said[name]) // 1000
        elif form == "int":
            row[name] = int(said.get(name, 1))
        else:
            row[name] = str(said.get(name, ""))
    if not row["alarm" if kind == LABELS else "id"]:
        raise ValueError("it has no id")
    return row


