"""What devices and gateways really send: no value silently wrong."""

from __future__ import annotations

import gzip
import json
import math
import sys
import zlib
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.identifiers import is_id
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.sequence import Samples
from edgeloop.wire.batch import Clock
from edgeloop_tools.export.dead import show
from sensor_ingest.dead import DeadLetters
from sensor_ingest.payload import BadPayload, Decoder, Feed, Form
from sensor_ingest.payload.envelope import LONGEST
from sensor_ingest.payload.topics import Router, Topic, shortened
from sensor_ingest.rehearsal import Rehearsal
from sensor_ingest.sources.mqtt.address import client

NOW = 1_700_000_000 * NS


def decoder(**options: Any) -> Decoder:
    return Decoder(convert(options, Form))


def said(payloads: list[bytes | str], **options: Any) -> list[list[float] | str]:
    """Values of each payload, or why there are none."""
    made = decoder(**options)
    found: list[list[float] | str] = []
    for payload in payloads:
        try:
            rows = made.decode(payload.encode() if isinstance(payload, str) else payload, NOW)
            found += rows.values.tolist()
        except BadPayload as error:
            found.append(str(error))
    return found


def fed(folder: Path, payloads: list[str], **options: Any) -> Rehearsal:
    outlet = Rehearsal("hb", folder)
    feed = Feed(outlet)
    for payload in payloads:
        feed.take("hb", convert(options, Form), payload.encode(), NOW)
    outlet.stop.set()
    feed.run()
    return outlet


ONE = {"payload": "text", "channels": {"t": "1 Cel"}}


@pytest.mark.parametrize(
    ("payloads", "options", "expected"),
    [
        (["21,5", "1,234"], ONE, ["decimal", "decimal"]),
        (["21,5", "1,234"], {"payload": "text"}, ["decimal", "decimal"]),
        (["21,5", "1,234", "-0,25", "7"], ONE | {"decimal": ","}, [[21.5], [1.234], [-0.25], [7]]),
        (["21.5"], ONE | {"decimal": ","}, ["point"]),
        (["21,5"], ONE | {"decimal": "."}, [[21]]),
        (["21,5;3", "1,234;3"], {"payload": "text"}, [[21.5, 3], [1.234, 3]]),
        (["1,234;3"], {"payload": "text", "channels": {"a": "1"}}, ["thousand"]),
        (["21,5 40,2"], {"payload": "text"}, [[21.5, 40.2]]),
        (["21.5,40.2", "21,40"], {"payload": "text"}, [[21.5, 40.2], [21, 40]]),
        (["21,40"], {"payload": "text", "channels": {"a": "1", "b": "2"}}, [[21, 40]]),
        (["512,300,17"], {"payload": "text", "separator": ","}, [[512, 300, 17]]),
        (["512,300,17"], {"payload": "text"}, ["decimal"]),
        (["T=21,5 H=1,234", "T=1,2,3 H=2"], {"payload": "pairs"}, [[21.5, 1.234], [math.nan, 2]]),
        (["T=1.234,5 H=2"], {"payload": "pairs", "channels": {"t": "T", "h": "H"}}, [[math.nan, 2]]),
        (["mass = 21,5 kg"], {"payload": "text", "pattern": r"= *(\d+)"}, ["half"]),
        (["mass = 21,5 kg"], {"payload": "text", "pattern": r"= *(\d+,\d+)"}, [[21.5]]),
        (["21,40"], {"payload": "text", "pattern": r"(\d+),(\d+)"}, [[21, 40]]),
        (['{"t":"1,234"}'], {"channels": {"t": "t"}}, ["thousand"]),
        (['{"t":"1.234,5"}', '{"t":"1,234.5"}'], {"channels": {"t": "t"}}, ["no number", "no number"]),
        (['{"t":"ON"}', '{"t":"off"}', '{"t":"unavailable"}', '{"t":"Bad"}'],
         {"channels": {"t": "t"}, "words": "ON=1, OFF=0, unavailable=none"}, [[1], [0], [math.nan], "words"]),
    ],
)  # fmt: skip
def test_never_half_of_a_number(payloads: list[bytes | str], options: dict[str, Any], expected: list[Any]) -> None:
    for found, wanted in zip(said(payloads, **options), expected, strict=True):
        if isinstance(wanted, str):
            assert wanted in found
        else:
            np.testing.assert_array_equal(found, wanted)  # type: ignore[arg-type]


@given(st.integers(-99_999, 99_999), st.integers(0, 9_999), st.sampled_from(["text", "pairs", "json"]))
def test_a_number_with_a_comma_is_that_number_or_none(whole: int, part: int, payload: str) -> None:
    text = f"{whole},{part}"
    line = {"text": text, "pairs": f"t={text}", "json": json.dumps({"t": text})}[payload]
    options: dict[str, Any] = {"payload": payload, "channels": {"t": "1" if payload == "text" else "t"}}
    (found,) = said([line], **options)
    assert isinstance(found, str) or found == [float(f"{whole}.{part}")]
    assert said([line], **options, decimal=",") == [[float(f"{whole}.{part}")]]


def test_envelopes_of_a_payload() -> None:
    plain = b'{"t":1.5}'
    payloads = [
        b"\xef\xbb\xbf" + plain, gzip.compress(plain), zlib.compress(plain), b'{"t":3}\0', b'{"t":4}\n{"t":5}\r\n',
        '{"t":6}'.encode("utf-16"), gzip.compress(b"\xef\xbb\xbf{") + gzip.compress(b'"t":7}\0'),
    ]  # fmt: skip
    assert said(payloads) == [[1.5], [1.5], [1.5], [3], [4], [5], [6], [7]]
    assert said(payloads, channels={"t": "t"}) == [[1.5], [1.5], [1.5], [3], [4], [5], [6], [7]]
    bomb, torn = gzip.compress(b" " * (LONGEST + 1)), gzip.compress(plain)[:-9]
    assert [any(why in str(found) for why in ("more than", "cut off")) for found in said([bomb, torn])] == [True, True]
    assert said(["\ufeff21.5".encode("utf-16-le"), "21.5°C".encode("latin-1")], payload="pairs", encoding="latin-1")
    assert said(["T=21.5\xb0C".encode("latin-1")], payload="pairs", encoding="latin-1") == [[21.5]]


def test_zstd_is_known_by_its_first_bytes() -> None:
    library: Any = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    packed = library.compress(b'{"t":1.5}')
    assert said([packed]) == [[1.5]]
    assert "cut off" in str(said([packed[:-3]])) or "decompressed" in str(said([packed[:-3]]))
    assert "more than" in str(said([library.compress(b" " * (LONGEST + 1))]))


UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def test_names_of_the_plant_become_names_here() -> None:
    topic = {"filter": "u/+/state", "stream": "{1}", "names": {UUID: "press1"}}
    router = Router("s", {"a": convert(topic, Topic)})
    levels = (UUID, UUID[:-1] + "2", "p1", "P1", "Öl 7", "x" * 60)
    found = {level: router.route(f"u/{level}/state") for level in levels}
    streams = [route.stream for route in found.values() if route]
    assert streams[0] == "s_press1"
    assert found[UUID[:-1] + "2"].title == f"s_{UUID[:-1]}2"  # type: ignore[union-attr]
    assert streams[2] == "s_p1"
    assert len(set(streams)) == 6
    assert all(is_id(stream) for stream in streams)
    with pytest.raises(ConfigurationError, match="names"):
        convert({**topic, "names": {UUID: "Press 1"}}, Topic)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=8, unique=True))
def test_every_name_is_its_own(names: list[str]) -> None:
    short = [shortened(f"s_{name}") for name in names]
    assert all(is_id(name) for name in short)
    assert len(set(short)) == len(short)


def test_client_ids_are_never_cut_alike() -> None:
    thing = "factory-berlin-hall-3-line-12-gateway-3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    ids = {client(t, s) for t in (thing, thing[:-1] + "2", "x" * 128) for s in ("press1", "press2", "a" * 32)}
    assert len(ids) == 9
    assert all(len(id) <= 64 for id in ids)
    assert client("edge7", "press1") == "edgeloop-edge7-press1"


def test_every_kind_of_message_has_its_own_form(tmp_path: Path) -> None:
    kinds = ['{"uptime":0}', *['{"temp":20,"hum":40}'] * 7]
    outlet = fed(tmp_path, kinds * 5)
    assert "bad_payloads" not in outlet.counts
    assert [c.name for c in outlet.streams["hb"].channels] == ["uptime", "temp", "hum"]
    samples = outlet.samples("hb")
    assert len(samples) == 40
    assert np.isnan(samples[0, 1:]).all()
    np.testing.assert_array_equal(samples[1], [math.nan, 20, 40])
    assert any("has more channels: temp, hum" in line for line in outlet.lines)


def test_what_nothing_understood_is_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outlet = fed(tmp_path, ['{"a":1}', "{broken"], channels={"a": "a"})
    ((stream, payload, why),) = outlet.letters
    assert (stream, payload) == ("hb", b"{broken")
    work = tmp_path / "work" / "io.edgeloop.SensorIngest"
    work.mkdir(parents=True)
    dead = DeadLetters(work)
    assert dead.add("press", stream, payload, why)
    assert not dead.add("press", stream, payload, why), "one a second"
    assert dead.add("other", stream, b"\xff" * 9000, why)
    show(tmp_path, "", as_json=False)
    told = capsys.readouterr().out
    assert "press hb  7 B  it is no JSON" in told
    assert "{broken" in told
    assert "other hb  9000 B" in told
    assert (work / "dead.jsonl").stat().st_size < 8000
    show(tmp_path, "none", as_json=False)
    assert "no payload was refused" in capsys.readouterr().out


KEPWARE = {
    "timestamp": 1769940000000,
    "values": [
        {"id": "Ch.Dev.Temp", "v": 21.5, "q": True, "t": 1769940000000},
        {"id": "Ch.Dev.Press", "v": 3.5, "q": False, "t": 1769940000001},
    ],
}
EDGEX = {
    "apiVersion": "v3",
    "event": {
        "id": UUID, "deviceName": "D", "origin": 1769940000000000000,
        "readings": [
            {"id": UUID, "origin": 1769940000000000000, "resourceName": "Temp", "value": "2.15e+01"},
            {"id": UUID, "origin": 1769940000000000000, "resourceName": "Run", "valueType": "Bool", "value": "true"},
        ],
    },
}  # fmt: skip
GATEWAY = {
    "Device A": [{"ts": 1769940000000, "values": {"t": 42, "h": 80}}],
    "B": [{"ts": 1769940000000, "values": {"t": 1}}],
}


@pytest.mark.parametrize(
    ("document", "options", "channels", "values"),
    [
        (KEPWARE, {}, ["Ch.Dev.Temp", "Ch.Dev.Press"], [[21.5, math.nan], [math.nan, math.nan]]),
        (KEPWARE, {"records": "values", "name": "id", "value": "v", "good": "q"}, ["Ch.Dev.Temp", "Ch.Dev.Press"],
         [[21.5, math.nan]]),
        (KEPWARE, {"records": "values", "name": "id", "value": "v", "channels": {"temp": "Ch.Other"}}, ["temp"], None),
        (EDGEX, {}, ["Temp", "Run"], [[21.5, 1]]),
        (GATEWAY, {}, ["Device A.t", "Device A.h", "B.t"], [[42, 80, 1]]),
        ([{"ts": 1769940000000, "values": {"t": 42}}], {}, ["values.t"], [[42]]),
        ([{"name": "a", "value": 1, "quality": 192}, {"name": "b", "value": 2, "quality": 24},
          {"name": "c", "value": 3, "quality": 0}], {}, ["a", "b", "c"], [[1, math.nan, math.nan]]),
        ([{"n": "a b", "x": 1, "s": 0}, {"n": "b", "x": 2, "s": 2147483648}],
         {"name": "n", "value": "x", "good": "s 0", "channels": {"a": '"a b" V', "b": "b"}}, ["a", "b"],
         [[1, math.nan]]),
    ],
)  # fmt: skip
def test_lists_of_tags(document: Any, options: dict[str, Any], channels: list[str], values: Any) -> None:
    made = decoder(**options)
    payload = json.dumps(document).encode()
    if values is None:
        with pytest.raises(BadPayload, match="none of temp"):
            made.decode(payload, NOW)
        return
    rows = made.decode(payload, NOW)
    assert [c.name for c in made.channels] == channels
    np.testing.assert_array_equal(rows.values, values)


def test_the_order_of_tags_says_nothing() -> None:
    made = decoder()
    first = [{"id": "a", "v": 1, "t": 1769940000000}, {"id": "b", "v": 2, "t": 1769940000000}]
    assert made.decode(json.dumps(first).encode(), NOW).values.tolist() == [[1, 2]]
    again = [*reversed(first), {"id": "c", "v": 3, "t": 1769940000000}]
    assert made.decode(json.dumps(again).encode(), NOW).values.tolist() == [[1, 2, 3]]
    assert "say `records: values`" in str(said(['{"values":[{"x":1,"y":2},{"x":3,"y":4}]}']))
    single = said(['{"name":"a","value":1}', '{"name":"b","value":2}'])
    assert single[0] == [1]
    assert "say `name: name`" in single[1]  # type: ignore[operator]


@pytest.mark.parametrize("stamp", [3, 0, "1970-01-01T00:00:03Z", 86_400_000, "2000-01-01T00:00:00Z", None, "12", 5.5])
def test_a_device_that_does_not_know_the_time_yet(tmp_path: Path, stamp: Any) -> None:
    payloads = [json.dumps({"t": 1, "ts": stamp}), '{"t":2,"ts":1700000001}']
    outlet = fed(tmp_path, payloads, channels={"t": "t"}, time="ts")
    chunks = [c for c in outlet.chunks if isinstance(c, Samples)]
    assert [c.clock for c in chunks] == [Clock("free"), Clock("device")]
    assert outlet.times() == [NOW, 1_700_000_001 * NS]
    assert outlet.counts["unset_clocks"] == 1
    assert "does not know the time" in outlet.problems["clock"]


def test_other_formats() -> None:
    lines = "weather,room=1 t=21.5,ok=t 1700000000000000000\nweather,room=2 t=3i 1700000000000000000\n# no more"
    made = decoder(payload="influx")
    rows = made.decode(lines.encode(), NOW)
    assert [c.name for c in made.channels] == ["weather.1.t", "weather.1.ok", "weather.2.t"]
    assert (rows.values.tolist(), rows.times.tolist()) == ([[21.5, 1, 3]], [NOW])  # type: ignore[union-attr]
    named = decoder(payload="influx", channels={"t": "weather.2.t Cel"})
    assert named.decode(lines.encode(), NOW).values.tolist() == [[3]]
    document = {"ts": 1_700_000_000_123, "a": {"x": 1.5}, "on": True}
    for payload, packed in (("cbor", cbor2.dumps(document)), ("msgpack", msgspec.msgpack.encode(document))):
        rows = decoder(payload=payload).decode(packed, NOW)
        assert (rows.values.tolist(), rows.times.tolist()) == ([[1.5, 1]], [NOW + 123_000_000])  # type: ignore[union-attr]
    typed = cbor2.dumps({"x": cbor2.CBORTag(85, np.arange(3, dtype="<f4").tobytes())})
    assert said([typed], payload="cbor", rate="1 kHz") == [[0], [1], [2]]


@given(st.binary(max_size=60), st.sampled_from(["influx", "cbor", "msgpack"]))
def test_no_bytes_end_a_reader(payload: bytes, kind: str) -> None:
    said([payload, b"w t=1 " + payload, b"\x81\xa1t" + payload], payload=kind)


@pytest.mark.parametrize(
    "options",
    [{"words": "ON"}, {"words": {"ON": "x"}}, {"good": "q..x"}, {"encoding": "klingon"}, {"decimal": ";"},
     {"name": "id", "payload": "text"}, {"name": "id", "rate": "1 Hz"}, {"payload": "influx", "value": "v"}],
)  # fmt: skip
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        convert(options, Form)


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "1 234,5", "1'234.5", "1,234.5 bar", "-1.234,5"])
def test_a_number_in_parts_is_never_its_half(text: str) -> None:
    (found,) = said([text], payload="text", channels={"t": "1"})
    assert isinstance(found, str)
    assert "separator" in found


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"value": 21.5, "quality": "Good", "timestamp": 1769940000}, [21.5]),
        ({"tags": {"a": {"value": 1, "quality": "Good"}, "b": {"v": 2, "q": True}}}, [1, 2]),
        ({"temp": 1, "quality": 98.5}, [1, 98.5]),
        ({"q": 0, "flow": 3}, [0, 3]),
        ({"a": {"value": 1, "StatusCode": {"Code": 0}}, "b": {"value": 2, "statusCode": 0}}, [1, 2]),
    ],
)  # fmt: skip
def test_a_quality_beside_a_value_is_heard(document: Any, wanted: list[float]) -> None:
    assert said([json.dumps(document)]) == [wanted]


@pytest.mark.parametrize("bad", [{"quality": "Bad"}, {"q": False}, {"quality": 24}, {"StatusCode": 0x80000000},
                                 {"status": "Uncertain - last usable"}])  # fmt: skip
def test_a_value_of_bad_quality_is_missing(bad: dict[str, Any]) -> None:
    made = decoder()
    assert made.decode(b'{"a":{"value":1},"b":{"value":2}}', NOW).values.tolist() == [[1, 2]]
    found = made.decode(json.dumps({"a": {"value": 3}, "b": {"value": 4} | bad}).encode(), NOW).values
    np.testing.assert_array_equal(found, [[3, math.nan]])
    named = said([json.dumps({"x": 5, "state": {"q": 0}}), '{"x":6,"state":{"q":192}}'], channels={"x": "x"},
                 good="state.q 192")  # fmt: skip
    np.testing.assert_array_equal(named, [[math.nan], [6]])


@pytest.mark.parametrize("stamp", [4_102_444_800, "2036-02-07T06:28:16Z", "2106-02-07T06:28:15Z"])
def test_a_time_that_is_years_ahead_is_none(tmp_path: Path, stamp: Any) -> None:
    outlet = fed(tmp_path, [json.dumps({"t": 1, "ts": stamp})], channels={"t": "t"}, time="ts")
    assert outlet.times() == [NOW]
    assert outlet.counts["unset_clocks"] == 1
