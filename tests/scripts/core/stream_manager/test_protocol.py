"""Frames, and what is none."""

from __future__ import annotations

import asyncio
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_manager import data
from stream_manager.utilinternal import UtilInternal

from edgeloop_tools.core.stream_manager import protocol
from edgeloop_tools.core.stream_manager.definitions import MessageStreamDefinition, convert
from edgeloop_tools.core.stream_manager.protocol import ProtocolError, StreamManagerError


def read(received: bytes, limit: int = protocol.FRAME_LIMIT) -> tuple[int, bytes]:
    async def run() -> tuple[int, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(received)
        reader.feed_eof()
        return await protocol.read_frame(reader, limit)

    return asyncio.run(run())


def test_operations_and_statuses_are_those_of_the_client() -> None:
    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    for ours, theirs in ((protocol.Operation, data.Operation), (protocol.ResponseStatus, data.ResponseStatusCode)):
        assert {plain(one.name): one.value for one in ours} == {plain(one.name): one.value for one in theirs}


@given(st.binary(max_size=300), st.sampled_from(list(data.Operation)))
@settings(deadline=None, max_examples=50)
def test_a_frame_of_the_client_is_read(payload: bytes, operation: data.Operation) -> None:
    frame = data.MessageFrame(operation=operation, payload=payload)
    assert read(b"".join(UtilInternal.encode_frame(frame)) + b"more") == (operation.value, payload)


@given(st.binary(max_size=64))
@settings(deadline=None, max_examples=200)
def test_bytes_that_are_no_frame_end_the_connection(received: bytes) -> None:
    try:
        operation, payload = read(received)
        assert isinstance(protocol.decode(payload), dict)
        assert -128 <= operation <= 127
    except (ProtocolError, asyncio.IncompleteReadError):
        pass


CORPUS = [
    b"",
    b"\xff",
    b"\x80",
    b"\x9f" * 5000,
    b"\x81" * 100_000,
    b"\xa1" * 20_000,
    b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
    b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xc0\x63abc",
    b"\xd8\x1e\x82\x01\x00",
    b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xd8\x23\x61(",
    b"\xd8\x1c\xd8\x1d\x00",
    b"\x7f\x61a\x41b\xff",
    cbor2.dumps({"requestId": "a"})[:-1],
]


@pytest.mark.parametrize("payload", CORPUS, ids=range(len(CORPUS)))
def test_hostile_cbor_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(payload)


@pytest.mark.parametrize("length", [-1, 0, protocol.FRAME_LIMIT + 1, (1 << 31) - 1])
def test_lengths_out_of_bounds(length: int) -> None:
    with pytest.raises(ProtocolError, match="the limit"):
        read(length.to_bytes(4, "big", signed=True) + b"\x04")


FIELDS = {
    "maxSize": st.integers(1024, 1 << 50),
    "streamSegmentSize": st.integers(1024, (1 << 31) - 1),
    "timeToLiveMillis": st.none() | st.integers(60_000, 1 << 40),
    "persistence": st.sampled_from([0, 1]),
    "flushOnWrite": st.booleans(),
}


@given(st.fixed_dictionaries({"name": st.just("a b.c-d_e,é"), "strategyOnFull": st.sampled_from([0, 1])},
                             optional=FIELDS))
@settings(deadline=None, max_examples=50)
def test_definitions_come_back_as_they_were_given(fields: dict[str, Any]) -> None:
    wire = convert(fields, MessageStreamDefinition).wire()
    assert data.MessageStreamDefinition.from_dict(wire).as_dict() == wire
    assert {name: wire.get(name) for name in fields} == fields
    assert convert(wire, MessageStreamDefinition).wire() == wire


JUNK = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=5)


@given(st.dictionaries(st.sampled_from(["name", "strategyOnFull", "exportDefinition", *FIELDS]), JUNK))
@settings(deadline=None, max_examples=150)
def test_what_is_no_definition_is_an_invalid_request(fields: dict[str, Any]) -> None:
    status = None
    try:
        convert(fields, MessageStreamDefinition)
    except StreamManagerError as error:
        status = error.status
    assert status in (None, protocol.ResponseStatus.INVALID_REQUEST)
