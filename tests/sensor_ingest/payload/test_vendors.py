"""What gateways of many makers send, in any order, any tag missing: a tag is its channel, or the line says how."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from sensor_ingest.payload import BadPayload, Decoder, Form

AT = 1_769_940_000_000
ISO = "2026-02-01T10:00:00Z"
NOW = (AT + 5_000) * 1_000_000
Tag = tuple[str, float, bool]
Vendor = Callable[[list[Tag]], Any]


def listed(
    name: str, value: str, good: str = "", words: tuple[Any, Any] = (True, False), **more: Any
) -> Callable[[Tag], Any]:
    def item(tag: Tag) -> dict[str, Any]:
        return {name: tag[0], value: tag[1], **({good: words[not tag[2]]} if good else {}), **more}

    return item


VENDORS: dict[str, tuple[Vendor, bool]] = {
    "a driver's gateway": (lambda t: {"timestamp": AT, "values": [listed("id", "v", "q", t=AT)(x) for x in t]}, True),
    "an edge framework": (
        lambda t: {"apiVersion": "v3", "event": {"origin": AT * 10**6, "readings": [
            {"resourceName": n, "value": str(v), "origin": AT * 10**6} for n, v, _ in t]}}, False),
    "a SCADA": (lambda t: {"tags": [listed("name", "value", "quality", (192, 24), timestamp=AT)(x) for x in t]}, True),
    "a maker's hub": (
        lambda t: {"seq": 7, "vals": [listed("id", "val", "qc", (3, 0), ts=ISO)(x) for x in t]}, True),
    "a publisher of OPC UA": (
        lambda t: [{"NodeId": n, "ApplicationUri": "u", "Value": {
            "Value": v, "SourceTimestamp": ISO, "StatusCode": 0 if g else 0x80000000}} for n, v, g in t], True),
    "a cloud's alias": (
        lambda t: {"entries": [
            listed("propertyAlias", "value", "quality", ("GOOD", "BAD"), timestamp=AT)(x) for x in t]}, True),
    "metrics in JSON": (
        lambda t: {"timestamp": AT, "seq": 3, "metrics": [
            {"name": n, "timestamp": AT, "dataType": "Float", "value": v, "is_null": not g} for n, v, g in t]}, True),
    "deep": (
        lambda t: {"header": {"seq": 3}, "payload": {"data": [listed("tag", "val", "q", t=AT)(x) for x in t]}}, True),
    "a bare list": (lambda t: [listed("tagName", "value", "status", ("Good", "Bad"), ts=AT)(x) for x in t], True),
    "a line a tag": (
        lambda t: "\n".join(json.dumps({"values": [listed("n", "v", "q", t=AT)(x)]}) for x in t), True),
    "a collector": (
        lambda t: {"metrics": [
            {"name": n, "tags": {}, "fields": {"value": v}, "timestamp": AT // 1000} for n, v, _ in t]}, False),
}  # fmt: skip


def rows(decoder: Decoder, document: Any) -> dict[str, float]:
    payload = document if isinstance(document, str) else json.dumps(document)
    found = decoder.decode(payload.encode(), NOW)
    names = [c.name for c in decoder.channels]
    newest: dict[str, float] = {}
    for row in found.values.tolist():
        newest |= {name: value for name, value in zip(names, row, strict=True) if not math.isnan(value)}
    return newest


@given(st.data(), st.sampled_from(sorted(VENDORS)))
def test_a_tag_is_its_channel_in_any_order(data: st.DataObject, vendor: str) -> None:
    send, heard = VENDORS[vendor]
    names = ["Ch.Dev.Temp", "press 1/oil", "ns=2;s=Speed", "7"]
    decoder = Decoder(convert({}, Form))
    first = True
    for _ in range(4):
        order = data.draw(st.permutations(names))
        some = order if first else order[: data.draw(st.integers(1, len(order)))]
        first = False
        said = [(n, data.draw(st.floats(-1e6, 1e6).map(lambda x: round(x, 3))), data.draw(st.booleans())) for n in some]
        found = rows(decoder, send(said))
        expected = {n: v for n, v, good in said if good or not heard}
        assert {k.removesuffix(".value"): v for k, v in found.items()} == expected


@pytest.mark.parametrize(
    ("payloads", "line"),
    [
        ([{"name": "a", "value": 1}, {"name": "b", "value": 2}], "say `name: name`"),
        ([[{"NodeId": "a", "Value": {"Value": 1}}], [{"NodeId": "b", "Value": {"Value": 2}}]], ""),
        ([{"NodeId": "a", "Value": {"Value": 1}}, {"NodeId": "b", "Value": {"Value": 2}}], "say `name: NodeId`"),
        ([{"seq": 1, "points": [{"path": "a", "x": 1}, {"path": "b", "x": 2}]}], "say `records: points`"),
        ([{"MessageId": "1", "Messages": [{"Payload": {"a": {"Value": 1.5}}}]}], "say `records: Messages`"),
        ([[[AT, 1, 2], [AT + 1, 3, 4]]], "say `records: .`"),
        ([[{"a": 1}, {"b": 2}]], "`rate`"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(payloads: list[Any], line: str) -> None:
    decoder = Decoder(convert({}, Form))
    said = []
    for payload in payloads:
        try:
            decoder.decode(json.dumps(payload).encode(), NOW)
        except BadPayload as error:
            said.append(str(error))
    assert (line in " ".join(said)) if line else not said


def test_lists_beside_a_list_of_times_are_samples() -> None:
    decoder = Decoder(convert({}, Form))
    found = decoder.decode(json.dumps({"ts": [AT, AT + 1, AT + 2], "temp": [1, 2, 3]}).encode(), NOW)
    assert [c.name for c in decoder.channels] == ["temp"]
    assert found.times is not None
    assert found.times.tolist() == [(AT + i) * 1_000_000 for i in range(3)]
    assert found.values.tolist() == [[1], [2], [3]]


def test_what_has_no_end_is_missing() -> None:
    decoder = Decoder(convert({}, Form))
    for text in ("Infinity", "-Infinity", "NaN", '"inf"'):
        found = decoder.decode(f'{{"a":{text},"b":1}}'.encode(), NOW)
        np.testing.assert_array_equal(found.values[0, -1], 1)
        assert not np.isinf(found.values).any()


def test_two_machines_of_a_collector_are_two_channels() -> None:
    decoder = Decoder(convert({}, Form))
    for host, value in (("g", 1.0), ("h", 2.0), ("g", 3.0)):
        document = {"name": "cpu", "tags": {"host": host}, "fields": {"load": value}, "timestamp": AT // NS * NS or AT}
        decoder.decode(json.dumps(document).encode(), NOW)
    assert [c.name for c in decoder.channels] == ["cpu.g.load", "cpu.h.load"]


@pytest.mark.parametrize("options", [{}, {"channels": {"t": "t"}, "time": "ts"}])
def test_a_time_of_a_wall_clock_is_of_its_zone(options: dict[str, Any]) -> None:
    made = Decoder(convert({"zone": "Europe/Berlin", **options}, Form))
    now = 1_793_000_000 * NS
    said = ["2026-07-01T12:00:00", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00+05:00", 1_782_900_000]
    meant = [1_782_900_000, 1_782_907_200, 1_782_889_200, 1_782_900_000]
    for stamp, wanted in zip(said, meant, strict=True):
        found = made.decode(json.dumps({"t": 1, "ts": stamp}).encode(), now)
        assert found.times is not None
        assert found.times.tolist() == [wanted * NS]
    twice = made.decode(b'{"t":1,"ts":"2026-10-25T02:30:00"}', now)
    assert twice.unset
    with pytest.raises(ConfigurationError, match="no such zone"):
        convert({"zone": "Middle/Earth"}, Form)
