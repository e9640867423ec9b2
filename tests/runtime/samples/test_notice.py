from __future__ import annotations

from fractions import Fraction

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.errors import WireError
from edgeloop.journal.segment import Span, name
from edgeloop.samples import MAX_NOTICE, notice
from edgeloop.topics import SAMPLES
from edgeloop.wire.batch import Batch, Channel
from edgeloop.wire.codec import encode

UINT64 = st.integers(0, 2**64 - 1)


def frames(rows: list[int]) -> list[list[bytes | memoryview]]:
    return [
        encode(Batch(f"s{i}", 1, 0, 0, (Channel("x"),), np.zeros((n, 1), "<i2"), Fraction(10)))
        for i, n in enumerate(rows)
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999_999_999_999), UINT64, st.integers(0, 2**40), st.lists(st.integers(0, 1500), max_size=8))
def test_a_notice_says_where_and_carries_what_fits(sequence: int, epoch: int, start: int, rows: list[int]) -> None:
    parts = frames(rows)
    size = sum(len(part) for frame in parts for part in frame)
    span = Span(name(sequence, epoch), start, start + size)
    payload = notice.encode(span, parts)
    told = notice.decode(payload)
    assert (told.segment, told.start, told.end) == span
    assert told.position == span.position
    assert len(payload) <= MAX_NOTICE
    assert (told.frames is not None) == (size <= MAX_NOTICE - len(notice.encode(span, (), 0)) - 12)
    if told.frames is not None:
        assert told.frames == b"".join(part for frame in parts for part in frame)


def test_within_what_a_nucleus_takes() -> None:
    assert 4 * -(-MAX_NOTICE // 3) + len(SAMPLES) <= 9741


def test_plain_cbor_reads_it() -> None:
    parts = frames([10])
    size = sum(map(len, parts[0]))
    loaded = cbor2.loads(notice.encode(Span(name(3, 7), 8, 8 + size), parts))
    assert {key: loaded[key] for key in ("epoch", "segment", "start", "end")} == {
        "epoch": 7, "segment": "000000000003-0000000000000007.cborseq", "start": 8, "end": 8 + size
    }  # fmt: skip
    assert loaded["frames"].tag == 63


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_only_wire_errors_leave(data: st.DataObject) -> None:
    parts = frames([3])
    payload = bytearray(notice.encode(Span(name(3, 7), 8, 8 + sum(map(len, parts[0]))), parts))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        told = notice.decode(bytes(payload))
    except WireError:
        return
    assert told.end >= told.start
    assert told.frames is None or len(told.frames) == told.end - told.start


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": "../../etc/passwd"},
        {"epoch": 8},
        {"end": 7},
        {"frames": b""},
        {"frames": cbor2.CBORTag(63, b"short")},
    ],
)
def test_a_notice_that_contradicts_itself(changes: dict[str, object]) -> None:
    fields = {"epoch": 7, "segment": name(3, 7), "start": 8, "end": 100}
    assert notice.decode(cbor2.dumps(fields)).end == 100
    with pytest.raises(WireError):
        notice.decode(cbor2.dumps({**fields, **changes}))
