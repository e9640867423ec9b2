"""Streams as JSON, each on a topic of its own, for programs that read no CBOR."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from edgeloop import topics
from edgeloop.clock import rfc3339
from edgeloop.wire.batch import Batch, Column, Item, RecordBatch

Publish = Callable[[str, Mapping[str, Any]], object]


class Mirror:
    """The newest sample of a stream, so and so often at most; what lies between is left out."""

    def __init__(self, publish: Publish, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._publish, self._monotonic = publish, monotonic
        self._due: dict[str, float] = {}

    def offer(self, items: Iterable[Item], rates: Mapping[str, Fraction]) -> None:
        """What was journalled in a tick. rates: Hz by stream."""
        newest: dict[str, Batch | RecordBatch] = {}
        for item in items:
            if item.stream in rates and isinstance(item, (Batch, RecordBatch)) and len(item):
                newest[item.stream] = item
        if not newest:
            return
        now = self._monotonic()
        for stream, item in newest.items():
            due = self._due.get(stream, now)
            if rates[stream] > 0 and now >= due:
                period = float(1 / rates[stream])
                self._due[stream] = max(due + period, now)
                self._publish(topics.mirror(stream), document(item))


def document(item: Batch | RecordBatch) -> dict[str, Any]:
    """The newest sample, in physical units."""
    last = len(item) - 1
    if isinstance(item, Batch):
        at = item.time_of(last)
        row = item.values()[last]
        values: dict[str, Any] = {channel.name: float(v) for channel, v in zip(item.channels, row, strict=True)}
        units = {channel.name: channel.unit for channel in item.channels}
    else:
        at = int(item.times[last])
        values = {name: _cell(column, last) for name, column in item.columns.items()}
        units = {name: column.unit for name, column in item.columns.items() if column.type == "float"}
    return {
        "schema": 1,
        "stream": item.stream,
        "epoch": item.epoch,
        "index": item.index + last,
        "time": at,
        "time_rfc3339": rfc3339(at),
        "clock": item.clock.source,
        "values": values,
        "units": units,
    }


def _cell(column: Column, row: int) -> Any:
    value = column.values[row]
    if column.type == "bool":
        return bool(value)
    if column.type == "enum":
        code = int(value)
        return column.labels[code] if 0 <= code < len(column.labels) else code
    return value
