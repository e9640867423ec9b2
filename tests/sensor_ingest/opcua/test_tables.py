"""The grammar of node tables, and rows from changes."""

from __future__ import annotations

import math
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Chunk, Records, Samples
from edgeloop.wire.batch import Clock
from sensor_ingest.sources.opcua.nodes import NodeId, Row, parse
from sensor_ingest.sources.opcua.rows import BAD, UNCERTAIN, Change, Rows
from sensor_ingest.sources.opcua.session import encode

CLOCK = Clock("device")
NUMBERS = st.floats(1e-12, 1e12) | st.floats(-1e12, -1e-12)
IDS = st.builds(
    NodeId,
    st.integers(0, 2**32 - 1) | st.text(min_size=1, max_size=20) | st.uuids() | st.binary(min_size=1, max_size=9),
    st.integers(0, 65535) | st.from_regex(r"[!-:<-~]{1,20}", fullmatch=True),
)


@st.composite
def table_rows(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from(["number", "bool", "string", "enum"]))
    if kind == "number":
        unit = draw(st.sampled_from(["1", "Cel", "m/s2", "[degF]", "/min"]))
        return Row("a", draw(IDS), "number", unit, draw(st.just(1.0) | NUMBERS), draw(st.just(0.0) | NUMBERS))
    codes = draw(st.lists(st.integers(0, 65535), min_size=1, max_size=5, unique=True)) if kind == "enum" else []
    return Row("a", draw(IDS), kind, labels=tuple((code, f"l{k}") for k, code in enumerate(codes)))  # type: ignore[arg-type]


@given(table_rows())
def test_a_row_reads_back_as_it_was(row: Row) -> None:
    assert parse("a", str(row)) == row


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["ns=2;s=a", "i=1", "ns=70000;i=1", "'ns=2;s=a b'", "'", "''", "nsu=x;", "nsu=x;g=1", "b=%%",
     "Cel", "*2", "*0", "+1",
     "bool", "string", "enum(a)", "enum()", "é", "-1e999"]
), max_size=6).map(" ".join))  # fmt: skip
def test_any_text_is_a_row_or_is_refused(text: str) -> None:
    if not text.strip():
        return
    try:
        row = parse("a", text)
    except ValueError:
        return
    assert parse("a", str(row)) == row
    assert math.isfinite(row.scale)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Press.OilTemp", "'Press.OilTemp' is no node, such as ns=2;s="),
        ("ns=70000;i=1", "no namespace from 0 to 65535"),
        ("i=4294967296", "no identifier of a node, i="),
        ("g=12", "no identifier of a node, g="),
        ("b=%%", "no identifier of a node, b="),
        ("'ns=2;s=a", "the quote is not closed"),
        ("i=1 Cel bar", "it has two units"),
        ("i=1 bool string", "it has two types"),
        ("i=1 bool Cel", "a bool has no unit"),
        ("i=1 *0", "no scale"),
        ("i=1 °CC", "no unit"),
        ("i=1 enum(a,a)", "a label twice"),
    ],
)
def test_a_wrong_row_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse("a", text)


def test_names_of_siemens_controllers() -> None:
    row = parse("oil", """'ns=3;s="DB 1"."it''s"' Cel""")
    assert row.node == NodeId('"DB 1"."it\'s"', 3)
    assert parse("g", f"ns=1;g={uuid.UUID(int=5)}").node.identifier == uuid.UUID(int=5)


def table(**rows: str) -> Rows:
    return Rows("p", {name: parse(name, text) for name, text in rows.items()})


def numbers(chunks: list[Chunk]) -> list[tuple[int, list[float]]]:
    found = []
    for chunk in chunks:
        if isinstance(chunk, Samples):
            assert chunk.times is not None
            found += [(int(t), [float(x) for x in row]) for t, row in zip(chunk.times, chunk.samples, strict=True)]
    return found


def test_a_row_holds_the_last_value_of_every_node() -> None:
    rows = table(a="i=1", b="i=2 *2")
    assert numbers(rows.start([Change("a", 1, 10), Change("b", 2, 20)], 100, CLOCK)) == [(100, [10, 40])]
    said = [Change("b", 90, 22), Change("b", 130, 22), Change("a", 120, 11), Change("a", 130, 12)]
    assert numbers(rows.add(said, CLOCK)) == [(100, [10, 44]), (120, [11, 44]), (130, [12, 44])]
    assert rows.late == 1
    assert numbers(rows.add([Change("a", 125, 12)], CLOCK)) == []
    assert numbers(rows.add([Change("a", 140, 12)], CLOCK)) == [(140, [12, 44])]
    assert numbers(rows.hold(150, CLOCK)) == [(150, [12, 44])]
    assert [np.isnan(v).all() for _, v in numbers(rows.lose(149, CLOCK))] == [True]
    assert rows.newest == 150


def test_what_a_server_says_last_of_a_node_holds_though_its_time_is_older() -> None:
    rows = table(a="i=1", b="i=2")
    rows.start([Change("a", 1, 10), Change("b", 2, 20)], 100, CLOCK)
    said = [Change("a", 110, 10.5), Change("b", 115, 21), Change("a", 60, 90)]
    assert numbers(rows.add(said, CLOCK)) == [(110, [90, 20]), (115, [90, 21])]
    assert rows.late == 1


def test_states_without_value_are_absent() -> None:
    rows = table(on="i=1 bool", name="i=2 string")
    chunks = rows.start([Change("on", 0, True)], 100, CLOCK)
    assert [(c.stream, list(c.columns)) for c in chunks if isinstance(c, Records)] == [
        ("p_state", ["on"]), ("p_status", ["on", "name"])
    ]  # fmt: skip
    chunks = rows.add([Change("name", 110, "x"), Change("on", 120, False, BAD), Change("on", 130, 1, UNCERTAIN)], CLOCK)
    states = [c for c in chunks if isinstance(c, Records) and c.stream == "p_state"]
    assert [(c.times.tolist(), list(c.columns)) for c in states] == [([110], ["on", "name"]), ([120], ["name"]),
                                                                    ([130], ["on", "name"])]  # fmt: skip
    status = [c for c in chunks if isinstance(c, Records) and c.stream == "p_status"]
    assert status[0].columns["on"].values.tolist() == [0, BAD, UNCERTAIN]  # type: ignore[union-attr]
    assert rows.bad == {}


CHANGES = st.lists(
    st.builds(
        Change,
        st.sampled_from(["a", "b", "on", "mode", "text"]),
        st.integers(0, 1000),
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        st.sampled_from([0, BAD, UNCERTAIN, 0x808C0000]),
    ),
    max_size=20,
)


@given(st.lists(CHANGES, max_size=6))
def test_whatever_comes_times_rise_and_shapes_hold(messages: list[list[Change]]) -> None:
    rows = table(a="i=1", b="i=2 *2 -1", on="i=3 bool", mode="i=4 enum(x,y)", text="i=5 string")
    chunks = rows.start([], 0, CLOCK)
    for message in messages:
        chunks += rows.add(message, CLOCK)
        chunks += rows.hold(500, CLOCK)
    for stream in ("p", "p_state", "p_status"):
        times = [int(t) for c in chunks if c.stream == stream and c.times is not None for t in c.times]
        assert times == sorted(times)
    for chunk in chunks:
        if isinstance(chunk, Samples):
            assert chunk.samples.shape[1] == 2
        else:
            assert all(len(c.values) == len(chunk.times) for c in chunk.columns.values())


@given(st.sampled_from(["Boolean", "Byte", "Int16", "UInt32", "Int64", "Float", "Double", "String"]), st.floats())
def test_what_does_not_fit_is_refused(kind: str, value: float) -> None:
    try:
        found = encode(parse("a", "i=1"), value, kind)
    except EdgeloopError:
        return
    assert kind != "String"
    assert found == (round(value) if "nt" in kind or kind == "Byte" else value)


def test_words_that_stand_for_numbers() -> None:
    """Of nodes whose text is declared; what is not declared has no value."""
    rows = Rows("p", {"valve": parse("valve", "ns=2;s=Valve")}, {"ON": 1.0, "Bad": math.nan})
    found = []
    for text in ("on", "Bad", "elsewhere"):
        rows.start([Change("valve", 0, text)], 1, CLOCK)
        found.append("valve" in rows.bad)
    assert found == [False, False, True]
