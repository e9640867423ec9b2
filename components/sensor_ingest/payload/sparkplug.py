"""Sparkplug B: births say what there is, data says it by alias, deaths end it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeloop.wire.batch import Channel
from sensor_ingest.payload import sparkproto
from sensor_ingest.payload.decoder import Rows
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.form import MOST, channel
from sensor_ingest.payload.stamps import UNSET

NAMESPACE = "spBv1.0"
_TOPIC = re.compile(r"spBv1\.0/([^/]+)/([ND](?:BIRTH|DATA|DEATH))/([^/]+)(?:/([^/]+))?")
_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
"""Int8 … Int64, UInt8 … UInt64, Float, Double, Boolean."""
ASK = 60.0
"""s between two requests for a birth."""
BAD = (0, 500)
"""Qualities that are not good: bad and stale."""


@dataclass(slots=True, eq=False)
class _Metric:
    name: str
    datatype: int
    column: int = -1


@dataclass(slots=True, eq=False)
class _Device:
    """stream: its name. columns: what came of births, in the order seen."""

    stream: str
    channels: list[Channel] = field(default_factory=list)
    metrics: dict[str, _Metric] = field(default_factory=dict)
    born: bool = False


@dataclass(slots=True, eq=False)
class _Node:
    group: str
    name: str
    aliases: dict[int, tuple[_Device, _Metric]] = field(default_factory=dict)
    devices: dict[str, _Device] = field(default_factory=dict)
    seq: int | None = None
    bd: int | None = None
    asked: float = -math.inf


class Sparkplug:
    """Messages of edge nodes to rows. ask(topic, payload): publishes a request for a birth, where that is wanted."""

    def __init__(
        self,
        feed: Feed,
        name: Callable[[str, Mapping[str, str]], tuple[str, str]],
        ask: Callable[[str, bytes], None] | None,
    ) -> None:
        self._feed, self._name, self._ask = feed, name, ask
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._kind = sparkproto.payload()
        self._broken = sparkproto.broken()

    def take(self, topic: str, form: Any, content: bytes, arrival: int) -> None:
        match = _TOPIC.fullmatch(topic)
        if match is None:
            if not topic.startswith(f"{NAMESPACE}/STATE/") and "CMD/" not in topic:
                self._feed.bad(f"{topic[:64]!r} is no topic of Sparkplug B", "topic")
            return
        group, what, edge, device = match.groups()
        try:
            payload = self._kind.FromString(content)
        except (self._broken, ValueError):
            self._feed.refused(edge, content, f"of {what}: it is no Sparkplug B")
            return
        node = self._nodes.setdefault((group, edge), _Node(group, edge))
        known = node.devices.get(device or "")
        if known is None:
            stream, title = self._name(f"{edge}/{device}" if device else edge, form.names)
            known = node.devices[device or ""] = _Device(stream)
            self._feed.title(stream, title)
        try:
            if what.endswith("DEATH"):
                self._death(node, known, what, payload)
                return
            self._sequence(node, what, payload)
            if what.endswith("BIRTH"):
                self._birth(node, known, what, payload)
            elif not known.born:
                self._unborn(node, known, "nobody has said yet what it sends")
                return
            self._rows(node, known, form, payload, arrival)
        except BadPayload as error:
            self._feed.refused(known.stream, content, str(error))

    def _sequence(self, node: _Node, what: str, payload: Any) -> None:
        seq = payload.seq % 256 if payload.HasField("seq") else None
        if what != "NBIRTH" and seq is not None and node.seq is not None and seq != (node.seq + 1) % 256:
            self._feed.lost(f"{node.name}: messages are missing between {node.seq} and {seq}")
            self._rebirth(node)
        if seq is not None:
            node.seq = seq

    def _birth(self, node: _Node, device: _Device, what: str, payload: Any) -> None:
        if what == "NBIRTH":
            node.aliases.clear()
            for other in node.devices.values():
                other.born = False
            node.bd = next((int(m.long_value or m.int_value) for m in payload.metrics if m.name == "bdSeq"), None)
        device.born = True
        for said in payload.metrics:
            if said.datatype not in _NUMBERS or said.name in ("bdSeq",) or said.name.startswith("Node Control/"):
                continue
            metric = device.metrics.get(said.name)
            if metric is None:
                if len(device.channels) >= MOST:
                    self._feed.bad(f"{device.stream}: more than {MOST} metrics; the others are left out", "channel")
                    break
                metric = device.metrics[said.name] = _Metric(said.name, said.datatype, len(device.channels))
                device.channels.append(_channel(said))
            metric.datatype = said.datatype
            if said.HasField("alias"):
                node.aliases[said.alias] = device, metric
        self._feed.back(device.stream)

    def _rows(self, node: _Node, device: _Device, form: Any, payload: Any, arrival: int) -> None:
        rows: dict[int, dict[int, float]] = {}
        unknown = 0
        for said in payload.metrics:
            metric = device.metrics.get(said.name) if said.name else None
            if metric is None and said.HasField("alias"):
                owner, metric = node.aliases.get(said.alias, (device, None))
                if owner is not device:
                    metric = None
            if metric is None:
                unknown += not said.name
                continue
            at = said.timestamp if said.HasField("timestamp") else payload.timestamp
            rows.setdefault(at, {})[metric.column] = _value(said, metric.datatype)
        if unknown:
            self._feed.bad(f"{device.stream}: {unknown} values have an alias that no birth has named", "value")
            self._rebirth(node)
        if not rows or not device.channels:
            return
        values = np.full((len(rows), len(device.channels)), np.nan)
        times = np.array(sorted(rows), dtype=np.uint64).astype(np.float64) * 1e6
        stamps = np.array([min(at, 4_000_000_000_000) * 1_000_000 for at in sorted(rows)], dtype=np.int64)
        for n, at in enumerate(sorted(rows)):
            for column, value in rows[at].items():
                values[n, column] = value
        unset = bool((times < UNSET).any())
        stamps = np.where(stamps < UNSET, arrival, stamps)
        self._feed.put(device.stream, form, Rows(values, stamps, unset), arrival, tuple(device.channels))

    def _death(self, node: _Node, device: _Device, what: str, payload: Any) -> None:
        if what == "NDEATH":
            bd = next((int(m.long_value or m.int_value) for m in payload.metrics if m.name == "bdSeq"), None)
            if node.bd is not None and bd is not None and bd != node.bd:
                return
            node.seq = None
        for name, each in node.devices.items():
            if what == "NDEATH" or each is device:
                each.born = False
                self._feed.gone(each.stream, f"{node.name}{'/' + name if name else ''} has died")

    def _unborn(self, node: _Node, device: _Device, why: str) -> None:
        self._feed.bad(f"{device.stream}: values without a birth are dropped: {why}", "birth")
        self._rebirth(node)

    def _rebirth(self, node: _Node) -> None:
        now = time.monotonic()
        if self._ask is not None and now - node.asked >= ASK:
            node.asked = now
            self._ask(f"{NAMESPACE}/{node.group}/NCMD/{node.name}", sparkproto.refreshing())


def _properties(said: Any) -> dict[str, Any]:
    found = said.properties
    return {
        key: getattr(value, which)
        for key, value in zip(found.keys, found.values, strict=False)
        if (which := value.WhichOneof("value"))
    }


def _channel(said: Any) -> Channel:
    unit = str(_properties(said).get("engUnit", "")).strip()
    try:
        return channel(said.name, [unit] if unit and " " not in unit else [])
    except ValueError:
        return Channel(said.name)


def _value(said: Any, datatype: int) -> float:
    which = said.WhichOneof("value")
    if said.is_null or which is None:
        return math.nan
    quality = _properties(said).get("Quality")
    if quality is not None and not isinstance(quality, str) and int(quality) in BAD:
        return math.nan
    value = getattr(said, which)
    if isinstance(value, (str, bytes)):
        return math.nan
    bits = _BITS.get(datatype)
    if bits and isinstance(value, int) and not isinstance(value, bool):
        value &= (1 << bits) - 1
        value -= (1 << bits) if value >> (bits - 1) else 0
    return float(value)
