"""The grammar of tag tables, and registers against struct."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgeloop.errors import EdgeloopError
from sensor_ingest.sources import entries
from sensor_ingest.sources.modbus import plan, registers
from sensor_ingest.sources.modbus.tags import LONGEST_STRING, WORDS, Tag, parse

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}  # fmt: skip
NUMBERS = st.floats(1e-12, 1e12)
UNITS = st.sampled_from(["1", "Cel", "m/s2", "%", "[degF]", "1/min", "/min", "bar", "10*3/uL", "kW.h"])


@st.composite
def tags(draw: st.DrawFn) -> Tag:
    table = draw(st.sampled_from(["co", "di", "hr", "ir"]))
    device = draw(st.none() | st.integers(0, 255))
    if table in ("co", "di"):
        return Tag("t", table, draw(st.integers(0, 65535)), "bool", device=device)  # type: ignore[arg-type]
    kind = draw(st.sampled_from([*WORDS, "string"]))
    length = draw(st.integers(1, LONGEST_STRING)) if kind == "string" else 0
    words = (length + 1) // 2 if kind == "string" else WORDS[kind]
    labels: tuple[tuple[int, str], ...] = ()
    if kind == "enum":
        codes = draw(st.lists(st.integers(0, 65535), min_size=1, max_size=6, unique=True))
        labels = tuple((code, f"l{k}") for k, code in enumerate(codes))
    numeric = kind in FORMATS
    return Tag(
        "t",
        table,  # type: ignore[arg-type]
        draw(st.integers(0, 65536 - words)),
        kind,  # type: ignore[arg-type]
        bit=draw(st.integers(0, 15)) if kind == "bool" else None,
        half=draw(st.sampled_from(["hi", "lo"])) if kind in ("int8", "uint8") else "",  # type: ignore[arg-type]
        none=tuple(draw(st.lists(st.integers(0, 255), max_size=2))) if numeric else (),
        length=length,
        unit=draw(UNITS) if numeric else "1",
        scale=draw(NUMBERS | NUMBERS.map(lambda x: -x)) if numeric else 1.0,
        offset=draw(st.just(0.0) | NUMBERS | NUMBERS.map(lambda x: -x)) if numeric else 0.0,
        little=draw(st.none() | st.booleans()) if words > 1 else None,
        swapped=draw(st.booleans()),
        device=device,
        labels=labels,
    )


@given(tags())
def test_a_row_reads_back_as_it_was(tag: Tag) -> None:
    assert parse("t", str(tag)) == tag


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["hr", "ir", "co", "di", "1", "65535", "7.3", "int16", "enum(a,b)", "enum(", "string8", "Cel", "*0.1", "*0", "/0",
     "+5", "-5", "+1e999", "@3", "@999", "big", "little", "swapped", "", "\0", "é", "*1e-320", "/1e-320"]
), max_size=7).map(" ".join))  # fmt: skip
def test_any_text_is_a_row_or_is_refused(text: str) -> None:
    try:
        tag = parse("t", text)
    except ValueError:
        return
    assert parse("t", str(tag)) == tag
    assert math.isfinite(tag.scale)
    assert 0 <= tag.address < tag.end <= 65536


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hr", "the address is missing"),
        ("hr 65536", "no address from 0 to 65535"),
        ("hr -1", "no address"),
        ("hr 65535 int32", "beyond the last address"),
        ("hr 1.16", r"from \.0 to \.15"),
        ("hr 1 bool", "name the bit of the register, such as hr 1.0"),
        ("hr 1.3 int16", "a bit of a register is a bool"),
        ("co 1 int16", "a coil is a bool"),
        ("di 1.3", "a discrete input is a bool"),
        ("hr 1 int17", "'int17' is no type; one of: bool, int8"),
        ("hr 1 unt16", "'unt16' is no type"),
        ("hr 1 int16 uint16", "it has two types"),
        ("hr 1 Cel bar", "it has two units"),
        ("hr 1 *2 /3", "it has two scales"),
        ("hr 1 *0", "no scale"),
        ("hr 1 @256", "no unit id from 0 to 255"),
        ("hr 1 little", "one word has no word order"),
        ("hr 1 string0", "1 to 250 characters"),
        ("hr 1 string8 Cel", "a string has no unit"),
        ("hr 1 enum(a,a)", "a label twice"),
        ("hr 1 enum(a=1,b=1)", "a code twice"),
        ("hr 1 enum(a=x)", "no label, such as fault=4"),
        ("hr 1 enum(a=65535,b)", "beyond 65535"),
        ("hr 1 °CC", r"no unit \(UCUM\)"),
        ("hr 1 int8", r"hr 1\.hi or hr 1\.lo"),
        ("hr 1 none=x", "no number, such as 0x8000"),
        ("hr 1 none=0x10000", "does not fit into 16 bits"),
    ],
)
def test_a_wrong_row_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse("t", text)


@given(st.sampled_from(list(FORMATS)), st.binary(min_size=8, max_size=8), st.booleans(), st.booleans())
def test_registers_are_read_as_struct_reads_them(kind: str, octets: bytes, little: bool, swapped: bool) -> None:
    tag = Tag("t", "hr", 0, kind, swapped=swapped)  # type: ignore[arg-type]
    size = struct.calcsize(FORMATS[kind])
    words = struct.unpack(f">{size // 2}H", octets[:size])
    if little:
        words = words[::-1]
    wire = struct.pack(f"{'<' if swapped else '>'}{len(words)}H", *words)
    expected = float(struct.unpack(f">{FORMATS[kind]}", octets[:size])[0])
    found = registers.number(tag, wire, little)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@given(st.sampled_from(list(FORMATS)), st.data(), st.booleans(), st.booleans())
def test_what_is_written_is_what_is_read(kind: str, data: st.DataObject, little: bool, swapped: bool) -> None:
    if "int" in kind:
        low, high = registers.RANGES[kind]
        limit = 2**53
        value = float(data.draw(st.integers(max(low, -limit), min(high, limit))))
    else:
        value = data.draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    tag = Tag("t", "hr", 0, kind, swapped=swapped)  # type: ignore[arg-type]
    wire = registers.pack(registers.encode(tag, value, little))
    assert registers.number(tag, wire, little) == value


@given(st.sampled_from(list(registers.RANGES)), st.floats(allow_nan=True), NUMBERS, NUMBERS)
def test_what_does_not_fit_is_refused(kind: str, value: float, scale: float, offset: float) -> None:
    tag = Tag("t", "hr", 0, kind, scale=scale, offset=offset)  # type: ignore[arg-type]
    low, high = registers.RANGES[kind]
    try:
        words = registers.encode(tag, value, False)
    except EdgeloopError:
        assert not math.isfinite(value) or not low < (value - offset) / scale < high
        return
    raw = int.from_bytes(registers.pack(words), "big", signed=kind.startswith("int"))
    assert raw == round((value - offset) / scale)


def test_a_float_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EdgeloopError, match="does not fit"):
        registers.encode(Tag("t", "hr", 0, "float32"), 1e39, False)


@given(st.lists(tags(), min_size=1, max_size=40), st.integers(0, 124), st.integers(125, 125) | st.integers(4, 124))
def test_requests_bring_every_tag_within_the_limits(found: list[Tag], gap: int, largest: int) -> None:
    assume(all(tag.words <= largest for tag in found))
    requests = plan.merge(found, 1, gap=gap, registers=largest)
    assert sorted(map(id, found)) == sorted(id(tag) for r in requests for tag in r.tags)
    for request in requests:
        bits = request.table in ("co", "di")
        assert 1 <= request.count <= (min(16 * largest, plan.BITS) if bits else largest)
        for tag in request.tags:
            assert (tag.table, 1 if tag.device is None else tag.device) == (request.table, request.device)
            assert request.start <= tag.address < tag.end <= request.start + request.count
    again = list(requests)
    for _ in range(3):
        again = [part for request in again for part in plan.split(request)]
    assert sorted(map(id, found)) == sorted(id(tag) for r in again for tag in r.tags)
    assert all(len({(tag.address, tag.end) for tag in r.tags}) == 1 for r in again)


def test_neighbours_are_read_together_and_strangers_apart() -> None:
    rows = ["hr 0", "hr 5 int32", "hr 30", "hr 130", "ir 5", "hr 6 @9", "co 0", "co 200", "co 700"]
    found = [parse("t", row) for row in rows]
    requests = plan.merge(found, 1, gap=24)
    assert [r.where for r in requests] == [
        "hr 0..30 @1", "hr 130 @1", "ir 5 @1", "hr 6 @9", "co 0..200 @1", "co 700 @1"
    ]  # fmt: skip


def test_a_table_names_every_row_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^tags\.a: .*; tags\.b: .*; tags\.c: .* \(and 2 more\)$"):
        entries.parse(dict.fromkeys("abcde", "hx 1"), parse, "tags")


@given(st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True), tags(), max_size=8))
def test_a_text_reads_back_as_the_table_it_was(table: dict[str, Tag]) -> None:
    text = "# tags\n\n" + "".join(f"  {name} :  {tag}\n" for name, tag in table.items())
    found = entries.parse(text, parse, "tags")
    assert {name: str(tag) for name, tag in found.items()} == {name: str(tag) for name, tag in table.items()}
