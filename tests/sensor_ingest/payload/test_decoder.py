from __future__ import annotations

import json
import math
import struct
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.wire.batch import Channel
from sensor_ingest.payload import BadPayload, Decoder, Form
from sensor_ingest.payload.decoder import LONGEST, PATIENCE, moment

NOW = 1_700_000_000 * NS


def decoder(**options: Any) -> Decoder:
    return Decoder(convert(options, Form))


def one(said: bytes | str, **options: Any) -> list[list[float]]:
    """The values of a payload."""
    content = said.encode() if isinstance(said, str) else said
    return decoder(**options).decode(content, NOW).values.tolist()  # type: ignore[no-any-return]


CHANNELS = {"t": "data.t Cel", "on": "/data/on 1", "third": "list.2 V *2 +1"}


def test_configured_channels_are_found_where_they_are() -> None:
    made = decoder(channels=CHANNELS, time="at")
    rows = made.decode(b'{"at":"2023-11-14T22:13:20.5Z","data":{"t":"21,5","on":true},"list":[1,2,3]}', NOW)
    assert rows.values.tolist() == [[21.5, 1, 3]]
    assert rows.times is not None
    assert rows.times.tolist() == [1_700_000_000 * NS + NS // 2]
    assert made.channels == (Channel("t", "Cel"), Channel("on"), Channel("third", "V", 2.0, 1.0))


def test_what_nothing_is_said_about_is_found_out() -> None:
    made = decoder()
    rows = made.decode(b'{"name":"p1","ts":1700000000123,"a":{"x":1,"y":[2,3]},"on":false,"serial":"123"}', NOW)
    assert [c.name for c in made.channels] == ["a.x", "a.y.0", "a.y.1", "on"]
    assert rows.values.tolist() == [[1, 2, 3, 0]]
    assert rows.times is not None
    assert rows.times.tolist() == [1_700_000_000_123_000_000]
    again = made.decode(b'{"ts":1700000001123,"a":{"x":4},"new":7}', NOW)
    np.testing.assert_array_equal(again.values, [[4, math.nan, math.nan, math.nan, 7]])
    assert [c.name for c in made.channels] == ["a.x", "a.y.0", "a.y.1", "on", "new"]


@pytest.mark.parametrize(
    ("payload", "options", "values"),
    [
        ("21.5", {}, [[21.5]]),
        ("[1,2,3]", {}, [[1, 2, 3]]),
        ('[{"v":1,"t":1700000000},{"v":2,"t":1700000001}]', {}, [[1], [2]]),
        ('{"r":[{"v":1},{"v":2}]}', {"records": "r", "rate": "10 Hz"}, [[1], [2]]),
        ('{"x":[1,2,3],"k":7}', {"rate": "1 kHz"}, [[1, 7], [2, 7], [3, 7]]),
        ('{"x":[1,null,3],"t":[1700000000,1700000001,1700000002]}', {"channels": {"x": "x"}, "time": "t"},
         [[1], [math.nan], [3]]),
        ('{"a":NaN,"b":-Infinity,"c":1e999}', {}, [[math.nan, math.nan, math.nan]]),
        (" 21.5\r\n", {"payload": "text"}, [[21.5]]),
        ("21,5;3", {"payload": "text"}, [[21.5, 3]]),
        ("1 2\t3", {"payload": "text", "separator": "\t", "channels": {"a": "1"}}, None),
        ("S;1.5;kg", {"payload": "text", "channels": {"mass": "2 kg"}}, [[1.5]]),
        ("mass = +1.50 kg stable", {"payload": "text", "pattern": "= *([-+0-9.]+) (kg)", "channels": {"m": "1 kg"}},
         [[1.5]]),
        ("x 4 y 5", {"payload": "text", "pattern": "x (?P<x>.) y (?P<y>.)"}, [[4, 5]]),
        ("T=21.5C H: 40%, at=12:30 id=0x1F", {"payload": "pairs"}, [[21.5, 40]]),
        ("T=21.5 H: 40, state=ok", {"payload": "pairs"}, [[21.5, 40]]),
        (struct.pack(">3h", 1, -2, 3), {"payload": "binary", "dtype": ">i2", "rate": "1 kHz"}, [[1], [-2], [3]]),
        (struct.pack("<4f", 1, 2, 3, 4), {"payload": "binary", "channels": {"x": "1 g", "y": "2 g"}, "rate": 5},
         [[1, 2], [3, 4]]),
    ],
)  # fmt: skip
def test_every_kind_of_payload(payload: bytes | str, options: dict[str, Any], values: list[list[float]] | None) -> None:
    if values is None:
        with pytest.raises(BadPayload):
            one(payload, **options)
    else:
        np.testing.assert_array_equal(one(payload, **options), values)


@pytest.mark.parametrize(
    ("payload", "options", "why"),
    [
        (b"{", {}, "no JSON"),
        (b"", {}, "no JSON"),
        (b"[" * 100_000, {}, "no JSON"),
        (b"\xff\xfa", {"payload": "text"}, "no UTF-8"),
        (b"\r\n", {"payload": "text"}, "empty"),
        (b"{}", {}, "no numbers"),
        (b'{"a":1}', {"channels": {"b": "b"}}, "none of b"),
        (b'{"a":1}', {"time": "t"}, "no time t"),
        (b'{"a":1,"t":true}', {"time": "t"}, "no time"),
        (b'{"a":1,"t":1e300}', {"time": "t"}, "no time|out of range"),
        (b'{"a":1,"t":"yesterday"}', {"time": "t"}, "no time"),
        (b'{"x":[1,2],"y":[1,2,3]}', {"rate": 1}, "lists"),
        (b'{"x":[1,2]}', {"channels": {"x": "x"}}, "without times"),
        (b'{"x":[1,2],"t":1700000000}', {"channels": {"x": "x"}, "time": "t"}, "2 samples and 1 times"),
        (b'{"r":5}', {"records": "r"}, "no list r"),
        (b"[]", {}, "no numbers"),
        (b"abc", {"payload": "text", "pattern": "x(.)"}, "does not match"),
        (b"\0" * 7, {"payload": "binary"}, "no frames"),
        (b"1" * (LONGEST + 1), {}, "at most"),
    ],
)  # fmt: skip
def test_a_bad_payload_says_why(payload: bytes, options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadPayload, match=why):
        one(payload, **options)


def test_a_field_that_is_no_number_is_missing_and_counted() -> None:
    made = decoder(channels={"a": "a", "b": "b"})
    np.testing.assert_array_equal(made.decode(b'{"a":"broken","b":2}', NOW).values, [[math.nan, 2]])
    np.testing.assert_array_equal(made.decode(b'{"a":null,"b":"n/a"}', NOW).values, [[math.nan, math.nan]])
    assert made.odd == 1


def test_another_number_of_cells_is_bad_until_it_stays() -> None:
    made = decoder(payload="text")
    made.decode(b"1;2", NOW)
    for _ in range(PATIENCE):
        with pytest.raises(BadPayload, match="3 cells, 2 before"):
            made.decode(b"1;2;3", NOW)
    assert made.decode(b"1;2;3", NOW).values.tolist() == [[1, 2, 3]]
    assert [c.name for c in made.channels] == ["c1", "c2", "c3"]
    configured = decoder(payload="text", channels={"a": "1"})
    assert configured.decode(b"1;2;3", NOW).values.tolist() == [[1]]


def test_senml_by_its_examples() -> None:
    """RFC 8428, sections 5.1.2 and 5.1.3."""
    made = decoder(payload="senml")
    single = b"""[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.276020076001e+09,"bu":"A","bver":5,
      "n":"voltage","u":"V","v":120.1}, {"n":"current","t":-5,"v":1.2}, {"n":"current","t":-4,"v":1.3}]"""
    rows = made.decode(single, NOW)
    assert [(c.name.rpartition(":")[2], c.unit) for c in made.channels] == [("current", "A"), ("voltage", "V")]
    np.testing.assert_array_equal(rows.values, [[1.2, math.nan], [1.3, math.nan], [math.nan, 120.1]])
    assert rows.times is not None
    assert rows.times.tolist() == [1_276_020_076_001_000_000 + i * NS for i in (-5, -4, 0)]
    binary = cbor2.dumps([{-2: "u:", 0: "temp", 1: "Cel", 2: 21, 6: -1.5}, {0: "on", 4: True}])
    rows = decoder(payload="senml").decode(binary, NOW)
    np.testing.assert_array_equal(rows.values, [[21, math.nan], [math.nan, 1]])
    assert rows.times is not None
    assert rows.times.tolist() == [NOW - 3 * NS // 2, NOW]
    without = decoder(payload="senml", channels={"t": "temp K"})
    assert without.decode(b'[{"n":"temp","v":3},{"n":"note","vs":"x"}]', NOW).values.tolist() == [[3]]


@pytest.mark.parametrize(
    "pack", ["{}", "[1]", '[{"n":"a","v":"x"}]', '[{"v":1}]', '[{"bver":11,"n":"a","v":1}]', '[{"n":"a","v":1,"x_":1}]',
             '[{"n":"a","v":1,"t":1e99}]', '[{"n":"a","vs":"b"}]', "[]", '[{"bt":[],"n":"a","v":1}]'],
)  # fmt: skip
def test_what_is_no_senml_is_bad(pack: str) -> None:
    with pytest.raises(BadPayload):
        one(pack, payload="senml")


@given(st.integers(10**17, 4 * 10**18))
def test_times_are_exact_whatever_their_unit(ns: int) -> None:
    assert moment(ns) == ns
    assert moment(ns // 10**9) == ns // 10**9 * 10**9
    assert moment(ns // 10**6) == ns // 10**6 * 10**6
    assert moment(str(ns // 10**3)) == ns // 10**3 * 10**3


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "t", "n", "v", "ts"]), inner)
    ),
    max_leaves=12,
)
OPTIONS = st.sampled_from(
    [{}, {"channels": {"a": "a V", "b": "b.0"}}, {"time": "t"}, {"records": "a", "rate": "10 Hz"}, {"payload": "senml"},
     {"payload": "text"}, {"payload": "pairs", "time": "t"}, {"payload": "text", "pattern": "(.)(?P<n>.)"},
     {"payload": "binary", "dtype": "<f2", "rate": 3}]
)  # fmt: skip


@given(VALUES, OPTIONS)
def test_no_document_is_more_than_rows_or_one_line(document: Any, options: dict[str, Any]) -> None:
    check(json.dumps(document).encode(), options)


@given(st.binary(max_size=120) | st.text(max_size=80).map(str.encode), OPTIONS)
def test_no_bytes_are_more_than_rows_or_one_line(payload: bytes, options: dict[str, Any]) -> None:
    check(payload, options)


@given(VALUES)
def test_no_cbor_is_more_than_rows_or_one_line(document: Any) -> None:
    try:
        packed = cbor2.dumps(document)
    except UnicodeEncodeError:
        return
    check(packed, {"payload": "senml"})


def check(payload: bytes, options: dict[str, Any]) -> None:
    made = decoder(**options)
    for _ in range(2):
        try:
            rows = made.decode(payload, NOW)
        except BadPayload:
            continue
        assert rows.values.dtype == np.float64
        assert rows.values.shape[1] == len(made.channels) > 0
        assert len(rows.values) > 0
        assert rows.times is None or (rows.times.shape == (len(rows.values),) and (rows.times > 0).all())


@pytest.mark.parametrize(
    "options",
    [{"channels": {"a": "a V A"}}, {"channels": {"a": "x..y"}}, {"pattern": "("}, {"pattern": "abc"}, {"rate": "0 Hz"},
     {"payload": "binary", "dtype": "<c8"}, {"payload": "binary", "dtype": "?!"},
     {"payload": "binary", "channels": {"a": "2"}},
     {"payload": "binary", "time": "1"}, {"channels": {"A B": "a"}}, {"channels": {"a": "a *0"}}, {"payload": "xml"},
     {"payload": "text", "channels": {"a": "0"}}],
)  # fmt: skip
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        convert(options, Form)
