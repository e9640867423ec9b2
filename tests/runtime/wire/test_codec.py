"""What goes in comes out, for every kind of item, and other programs can read it."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from io import BytesIO
from typing import Any

import cbor2
import numpy as np
import pytest
from awscrt.checksums import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeloop.errors import WireError
from edgeloop.wire.batch import Batch, Channel, Clock, Column, ColumnType, Dropped, Item, RecordBatch
from edgeloop.wire.codec import Truncated, decode, encode

DTYPES = ("<i2", "<i4", "<f4", "<f8", ">i2", ">f8")
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
NAMES = st.text(min_size=1, max_size=20)
CLOCKS = st.builds(Clock, st.sampled_from(("ptp", "ntp", "device", "free")), INT64, INT64, INT64)
RATES = st.fractions(min_value=Fraction(1, 10**9), max_value=10**9)
PREVIOUS = st.none() | st.tuples(UINT64, UINT64)
FLOATS = st.floats(allow_nan=False)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    channels = tuple(draw(st.lists(st.builds(Channel, NAMES, NAMES, FLOATS, FLOATS), min_size=0, max_size=4)))
    rows = draw(st.integers(0, 20))
    samples = draw(hnp.arrays(np.dtype(draw(st.sampled_from(DTYPES))), (rows, len(channels))))
    timed = draw(st.booleans())
    return Batch(
        draw(NAMES), draw(UINT64), draw(UINT64), draw(INT64), channels, samples,
        None if timed else draw(RATES),
        draw(hnp.arrays(np.int64, rows)) if timed else None,
        draw(CLOCKS), draw(st.text(max_size=20)), draw(st.booleans()), draw(PREVIOUS),
    )  # fmt: skip


@st.composite
def record_batches(draw: st.DrawFn) -> RecordBatch:
    rows = draw(st.integers(0, 10))
    kinds: dict[ColumnType, st.SearchStrategy[Any]] = {
        "bool": hnp.arrays(np.uint8, rows, elements=st.integers(0, 1)),
        "enum": hnp.arrays(np.int32, rows),
        "status": hnp.arrays(np.uint32, rows),
        "int": hnp.arrays(np.int64, rows),
        "float": hnp.arrays(np.float64, rows),
        "string": st.lists(st.text(max_size=8), min_size=rows, max_size=rows).map(tuple),
    }
    columns = {
        name: Column(kind, draw(kinds[kind]), tuple(draw(st.lists(NAMES, max_size=3))), draw(NAMES))
        for name, kind in draw(st.dictionaries(NAMES, st.sampled_from(sorted(kinds)), max_size=5)).items()
    }
    times = draw(hnp.arrays(np.int64, rows))
    return RecordBatch(
        draw(NAMES), draw(UINT64), draw(UINT64), times, columns, draw(CLOCKS), draw(st.booleans()), draw(PREVIOUS)
    )


ITEMS: st.SearchStrategy[Item] = st.one_of(
    batches(), record_batches(), st.builds(Dropped, NAMES, UINT64, UINT64, UINT64, INT64)
)


def plain(value: object) -> object:
    """Comparable to the bit."""
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return little.dtype.str, little.shape, little.tobytes()
    if isinstance(value, Batch | RecordBatch | Column):
        return type(value), *(plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value


def whole(item: Item) -> bytes:
    return b"".join(encode(item))


def framed(body: bytes) -> bytes:
    checksum: int = crc32c(body)
    return b"\x82\x1a" + checksum.to_bytes(4, "big") + b"\xd8\x18\x5a" + len(body).to_bytes(4, "big") + body


DEEP = (b"\x81" * 5000 + b"\x00", b"\xa1" * 3000, b"\xd8\x28" * 4000 + b"\x80")
ABSURD = (b"\x9b" + b"\xff" * 8, b"\x5b" + b"\x7f" * 8, b"\xbb" + b"\x0f" * 8, b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01")


@settings(deadline=None, max_examples=150)
@given(ITEMS)
def test_round_trip(item: Item) -> None:
    data = whole(item)
    copy, end = decode(data)
    assert end == len(data)
    assert plain(copy) == plain(item)
    assert len(data) % 8 == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(ITEMS, max_size=5), st.binary(max_size=7))
def test_a_sequence_is_walked_from_offset_to_offset(items: list[Item], before: bytes) -> None:
    data = before + b"".join(map(whole, items))
    offset = len(before)
    for item in items:
        copy, offset = decode(data, offset)
        assert plain(copy) == plain(item)
    assert offset == len(data)


@settings(deadline=None, max_examples=60)
@given(ITEMS, st.data())
def test_bytes_that_are_missing_are_told_from_bytes_that_are_wrong(item: Item, data: st.DataObject) -> None:
    frame = whole(item)
    with pytest.raises(Truncated):
        decode(frame[: data.draw(st.integers(0, len(frame) - 1))])
    place = data.draw(st.integers(0, len(frame) * 8 - 1))
    changed = bytearray(frame)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(WireError):
        decode(changed)


@settings(deadline=None, max_examples=300)
@given(ITEMS, st.data())
def test_only_wire_errors_leave_whatever_is_inside(item: Item, data: st.DataObject) -> None:
    """Mutations below a correct checksum reach every check behind it."""
    body = bytearray(whole(item)[13:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        match data.draw(st.sampled_from(("flip", "cut", "insert", "byte", "grow"))):
            case "flip" if body:
                body[min(at, len(body) - 1)] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del body[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case "byte" if body:
                body[min(at, len(body) - 1)] = data.draw(st.sampled_from((0x9F, 0x5B, 0xBF, 0xD8, 0xFB, 0xF9, 0xFF, 0)))
            case _:
                body += body[:at]
    try:
        copy, end = decode(framed(bytes(body)))
    except WireError:
        return
    assert end == 13 + len(body)
    assert plain(decode(whole(copy))[0]) == plain(copy)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for attempt in (data, b"\x82\x1a" + data, framed(data)):
        with pytest.raises(WireError):
            decode(attempt)


@pytest.mark.parametrize("body", [*DEEP, *ABSURD, b"\xd8\x1e\x82\x01\x00"])
def test_deep_nesting_absurd_lengths_and_a_division_by_zero_are_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(framed(body))


def example(**changes: object) -> Batch:
    batch = Batch(
        "press1_vib", 2**63 + 5, 1280, 1_700_000_000_000_000_000,
        (Channel("x", "m/s2", 0.01), Channel("y", "m/s2", 0.01, 1.5)), np.arange(20, dtype="<i2").reshape(10, 2),
        rate=Fraction(25600),
    )  # fmt: skip
    return replace(batch, **changes)  # type: ignore[arg-type]


def test_plain_cbor_reads_it() -> None:
    """cbor2 alone: the sequence, the checksum, the map, the typed array."""
    records = RecordBatch("press1_plc", 7, 0, np.array([1, 2]), {"running": Column("bool", np.array([1, 0], "u1"))})
    stream = BytesIO(whole(example()) + whole(records) + whole(Dropped("a", 1, 2, 3, 4)))
    decoder = cbor2.CBORDecoder(stream)
    maps = []
    while stream.tell() < len(stream.getvalue()):
        checksum, embedded = decoder.decode()
        assert embedded.tag == 24
        assert crc32c(embedded.value) == checksum
        maps.append(cbor2.loads(embedded.value))
    batch, record, dropped = maps
    assert batch["type"] == "batch"
    assert batch["rate"] == 25600
    assert batch["channels"][1] == {"name": "y", "unit": "m/s2", "scale": 0.01, "offset": 1.5}
    assert batch["samples"].tag == 40
    shape, elements = batch["samples"].value
    assert (shape, elements.tag) == ([10, 2], 77)
    assert np.frombuffer(elements.value, "<i2").tolist() == list(range(20))
    assert record["columns"]["running"]["values"].value == b"\x01\x00"
    assert (dropped["first"], dropped["last"]) == (2, 3)


def test_a_map_of_another_writer_in_another_order_reads_the_same() -> None:
    for item in (example(), example(rate=None, times=np.arange(10)), example(discontinuity=True, previous=(3, 4))):
        embedded = cbor2.loads(whole(item))[1].value
        loaded = cbor2.loads(embedded)
        del loaded["fixed"], loaded["align"], loaded["pad"]
        body = cbor2.dumps(dict(reversed(loaded.items())))
        assert plain(decode(framed(body))[0]) == plain(item)


def test_samples_are_neither_copied_out_nor_in() -> None:
    batch = example()
    buffers = encode(batch)
    assert any(np.shares_memory(np.frombuffer(b, "u1"), batch.samples) for b in buffers if isinstance(b, memoryview))
    data = b"".join(buffers)
    copy, _ = decode(data)
    assert isinstance(copy, Batch)
    assert np.shares_memory(copy.samples, np.frombuffer(data, "u1"))
    assert copy.samples.flags.aligned
    assert not copy.samples.flags.writeable


def test_sliced_samples_are_written_row_major() -> None:
    wide = np.arange(40, dtype="<i4").reshape(10, 4)
    copy, _ = decode(whole(example(samples=wide[::2, 1:3])))
    assert isinstance(copy, Batch)
    assert copy.samples.tolist() == wide[::2, 1:3].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": np.zeros((10, 3), "<i2")},
        {"samples": np.zeros(10, "<i2")},
        {"samples": np.zeros((10, 2), "<u2")},
        {"rate": None},
        {"times": np.arange(10)},
        {"rate": None, "times": np.arange(9)},
    ],
)
def test_what_is_no_batch_is_not_written(changes: dict[str, object]) -> None:
    with pytest.raises(WireError, match="press1_vib"):
        encode(example(**changes))


def test_a_changed_clock_or_channel_is_seen() -> None:
    """The constant part is cached by writer and reader."""
    for scale in (0.5, 0.25, 0.5):
        for clock in (Clock("ntp", 5), Clock("ptp", 6)):
            item = example(channels=(Channel("x", scale=scale), Channel("y")), clock=clock)
            copy, _ = decode(whole(item))
            assert plain(copy) == plain(item)


def test_numbers_are_physical_in_full() -> None:
    raw = np.array([[1_000_000_001, 823]], dtype=np.int32)
    batch = Batch("meter", 1, 0, 0, (Channel("energy", scale=0.001), Channel("t", scale=0.1, offset=-40.0)), raw)
    assert batch.values().tolist() == [[1_000_000_001 * 0.001, 823 * 0.1 - 40.0]]
    assert [batch.values_of(i).tolist() for i in range(2)] == [[1_000_000_001 * 0.001], [823 * 0.1 - 40.0]]
    plain = Batch("meter", 1, 0, 0, (Channel("energy"), Channel("t")), raw)
    assert plain.values().tolist() == [[1_000_000_001.0, 823.0]]
