"""Sparkplug B, encoded here by hand: the specification's field numbers are the other side's word."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sequence import Samples
from sensor_ingest.payload import Feed
from sensor_ingest.payload.sparkplug import Sparkplug
from sensor_ingest.payload.topics import Router, Topic, shortened
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.mqtt import SOURCE

pytest.importorskip("google.protobuf")
NOW = 1_700_000_000 * NS
PRESS = shortened("s_e1/press")
MS = 1_700_000_000_000
INT8, INT16, INT32, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = 1, 2, 3, 8, 9, 10, 11, 12


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def block(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def value_of(datatype: int, value: Any) -> bytes:
    if datatype == FLOAT:
        return varint(12 << 3 | 5) + struct.pack("<f", value)
    if datatype == DOUBLE:
        return varint(13 << 3 | 1) + struct.pack("<d", value)
    if datatype == BOOLEAN:
        return number(14, int(value))
    if datatype == STRING:
        return block(15, str(value).encode())
    if datatype == UINT64:
        return number(11, value)
    return number(10, value & 0xFFFFFFFF)


def metric(
    datatype: int, value: Any, *, name: str = "", alias: int | None = None, at: int = MS, null: bool = False,
    typed: bool = True, unit: str = "", quality: int | None = None,
) -> bytes:  # fmt: skip
    content = (block(1, name.encode()) if name else b"") + (b"" if alias is None else number(2, alias)) + number(3, at)
    content += number(4, datatype) if typed else b""
    if unit:
        content += block(9, block(1, b"engUnit") + block(2, number(1, STRING) + block(8, unit.encode())))
    if quality is not None:
        content += block(9, block(1, b"Quality") + block(2, number(1, INT32) + number(3, quality)))
    return block(2, content + (number(7, 1) if null else value_of(datatype, value)))


def message(*metrics: bytes, seq: int | None = None, at: int = MS) -> bytes:
    return number(1, at) + b"".join(metrics) + (b"" if seq is None else number(3, seq))


class Host:
    """A source's side of it, without a broker."""

    def __init__(self, folder: Path, **topic: Any) -> None:
        self.outlet = Rehearsal("s", folder)
        self.feed = Feed(self.outlet)
        self.asked: list[tuple[str, bytes]] = []
        self.form = convert({"filter": "spBv1.0/#", "payload": "sparkplug", **topic}, Topic)
        router = Router("s", {"a": self.form})
        self.sparkplug = Sparkplug(self.feed, router.name, lambda topic, payload: self.asked.append((topic, payload)))

    def hear(self, what: str, content: bytes, edge: str = "e1", device: str = "") -> None:
        topic = f"spBv1.0/plant/{what}/{edge}" + (f"/{device}" if device else "")
        self.sparkplug.take(topic, self.form, content, NOW)

    def end(self) -> Rehearsal:
        self.outlet.stop.set()
        self.feed.run()
        return self.outlet


def births(host: Host) -> None:
    host.hear("NBIRTH", message(metric(UINT64, 7, name="bdSeq"), metric(BOOLEAN, False, name="Node Control/Rebirth"),
                                metric(INT16, -5, name="load", alias=1), seq=0))  # fmt: skip
    host.hear("DBIRTH", message(metric(DOUBLE, 20.5, name="Inputs/temp", alias=2, unit="Cel"),
                                metric(INT8, -3, name="Inputs/tilt", alias=3),
                                metric(STRING, "x", name="serial", alias=4),
                                seq=1), device="press")  # fmt: skip


def test_births_aliases_and_deaths(tmp_path: Path) -> None:
    host = Host(tmp_path)
    births(host)
    host.hear("DDATA", message(metric(DOUBLE, 21.5, alias=2, at=MS + 100, typed=False),
                               metric(INT8, -128, alias=3, at=MS + 100, typed=False), seq=2),
              device="press")  # fmt: skip
    host.hear("DDATA", message(metric(DOUBLE, 0, alias=2, at=MS + 200, typed=False, null=True), seq=3), device="press")
    host.hear("DDATA", message(metric(DOUBLE, 9, alias=2, at=MS + 300, quality=0), seq=4), device="press")
    host.hear("NDATA", message(metric(INT16, -300, alias=1, at=MS + 100), seq=5))
    host.hear("NDEATH", message(metric(UINT64, 6, name="bdSeq")))
    assert not any("gap" in part for part in host.outlet.problems)
    host.hear("NDEATH", message(metric(UINT64, 7, name="bdSeq")))
    assert "e1/press has died" in host.outlet.problems[f"gap.{PRESS}"]
    host.hear("DDATA", message(metric(DOUBLE, 9, alias=2)), device="press")
    births(host)
    outlet = host.end()
    stream = outlet.streams[PRESS]
    assert [(c.name, c.unit) for c in stream.channels] == [("Inputs/temp", "Cel"), ("Inputs/tilt", "1")]
    assert stream.title == "s_e1/press"
    nan = np.nan
    expected = [[20.5, -3], [21.5, -128], [nan, nan], [nan, nan], [20.5, -3]]
    np.testing.assert_array_equal(outlet.samples(stream.name), expected)
    np.testing.assert_array_equal(outlet.samples("s_e1"), [[-5], [-300], [-5]])
    assert outlet.times("s_e1")[:2] == [NOW, NOW + NS // 10]
    assert outlet.counts["bad_births"] == 1
    assert not any("gap" in part for part in outlet.problems)


def test_what_was_missed_is_asked_for_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.hear("DDATA", message(metric(DOUBLE, 1, alias=2), seq=8), device="press")
    host.hear("DDATA", message(metric(DOUBLE, 1, alias=2), seq=9), device="press")
    assert [topic for topic, _ in host.asked] == ["spBv1.0/plant/NCMD/e1"]
    assert b"Node Control/Rebirth" in host.asked[0][1]
    births(host)
    host.hear("DDATA", message(metric(DOUBLE, 1, alias=2, typed=False), seq=4), device="press")
    outlet = host.end()
    assert outlet.counts["lost_messages"] == 1
    assert "missing between 1 and 4" in outlet.problems["lost"]


def test_two_devices_never_share_an_alias_by_accident(tmp_path: Path) -> None:
    host = Host(tmp_path, names={"e1/press": "press1"})
    births(host)
    host.hear("DBIRTH", message(metric(DOUBLE, 1, name="temp", alias=9), seq=2), device="other")
    host.hear("DDATA", message(metric(DOUBLE, 5, alias=2, typed=False), seq=3), device="other")
    outlet = host.end()
    assert len(outlet.samples("s_press1")) == 1
    assert outlet.counts["bad_values"] == 1


@given(st.binary(max_size=80))
def test_no_bytes_end_it(tmp_path_factory: Any, content: bytes) -> None:
    host = Host(tmp_path_factory.getbasetemp())
    births(host)
    for what in ("NDATA", "NBIRTH", "NDEATH", "NDATA"):
        host.hear(what, content)
        host.hear(what, message(seq=3) + content)
    for chunk in host.end().chunks:
        assert isinstance(chunk, Samples)


def test_a_broker_brings_it(tmp_path: Path, broker: Any, make_device: Any) -> None:
    edge = make_device(broker, hears="spBv1.0/plant/NCMD/#")
    outlet = Rehearsal("s", tmp_path)
    topics = {"a": {"filter": "spBv1.0/plant/#", "payload": "sparkplug"}}
    with Running(SOURCE, outlet, type="mqtt", broker=broker.url, topics=topics) as source:
        source.until(lambda: any("subscribed" in line for line in outlet.lines))
        edge.publish("spBv1.0/plant/NDATA/e1", message(metric(FLOAT, 2, alias=1), seq=4))
        edge.wait(1)
        edge.publish("spBv1.0/plant/NBIRTH/e1", message(metric(FLOAT, 1.5, name="t", alias=1), seq=0))
        edge.publish("spBv1.0/plant/NDATA/e1", message(metric(FLOAT, 2.5, alias=1, typed=False), seq=1))
        edge.publish("spBv1.0/STATE/host", json.dumps({"online": True}))
        source.until(lambda: len(outlet.samples("s_e1")) == 2)
    assert outlet.samples("s_e1").tolist() == [[1.5], [2.5]]
