"""One row of messages that bring one channel each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from sensor_ingest.payload.decoder import Decoder, Rows
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.form import Form
from sensor_ingest.payload.topics import Route, Topic, places


@dataclass(slots=True, eq=False)
class _Row:
    topic: Topic
    columns: dict[str, int]
    decoder: Decoder
    values: dict[int, float] = field(default_factory=dict)
    time: int | None = None
    arrival: int = 0
    until: float = 0.0


class Gather:
    """A row is complete when every channel came, when one comes again, or after `gather`; what lacks is missing."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()

    def take(self, route: Route, payload: bytes, arrival: int) -> None:
        with self._lock:
            row = self._rows.get(route.stream)
            if row is None:
                row = self._rows[route.stream] = _Row(route.topic, places(route.topic), Decoder(_single(route.topic)))
            column = row.columns.get(route.channel)
            if column is None:
                self._feed.bad(f"{route.stream}: {route.channel[:64]!r} is none of its channels", "channel")
                return
            try:
                rows = row.decoder.decode(payload, arrival)
            except BadPayload as error:
                self._feed.refused(route.stream, payload, f"of {route.channel}: {error}")
                return
            for i, (value,) in enumerate(rows.values.tolist()):
                self._put(route.stream, row, column, value, None if rows.times is None else int(rows.times[i]), arrival)

    def _put(self, stream: str, row: _Row, column: int, value: float, time_: int | None, arrival: int) -> None:
        if column in row.values:
            self._close(stream, row)
        if not row.values:
            row.until = time.monotonic() + row.topic.gather.seconds
        row.values[column], row.arrival = value, arrival
        if time_ is not None:
            row.time = max(time_, row.time or 0)
        if len(row.values) == len(row.columns):
            self._close(stream, row)
        elif len(row.values) == 1:
            self._feed.wake()

    def _close(self, stream: str, row: _Row) -> None:
        values = np.full((1, len(row.columns)), np.nan)
        for column, value in row.values.items():
            values[0, column] = value
        times = None if row.time is None else np.array([row.time], dtype=np.int64)
        row.values, row.time = {}, None
        self._feed.put(stream, row.topic, Rows(values, times), row.arrival)

    def due(self) -> float | None:
        """Closes rows that waited long enough; s until the next one has."""
        now = time.monotonic()
        with self._lock:
            for stream, row in self._rows.items():
                if row.values and row.until <= now:
                    self._close(stream, row)
            waiting = [row.until for row in self._rows.values() if row.values]
        return max(0.0, min(waiting) - now) if waiting else None


def _single(topic: Topic) -> Form:
    """What the payload of one channel is."""
    kept = {name: getattr(topic, name) for name in Form.__struct_fields__}
    whole = {"json": ".", "text": "1"}.get(topic.payload)
    value = topic.value or whole
    return Form(**kept | {"channels": {"value": value} if value else {}, "value": ""})
