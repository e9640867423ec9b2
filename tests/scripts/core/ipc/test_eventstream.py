from __future__ import annotations

import random
import struct
from zlib import crc32

import pytest
from awscrt.eventstream import HeaderType
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop_tools.core.ipc import eventstream, rpc
from edgeloop_tools.core.ipc.eventstream import Decoder, FramingError, Message

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) <= 255)
VALUES = st.one_of(st.booleans(), st.integers(-2**31, 2**31 - 1), st.text(max_size=50), st.binary(max_size=50))
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=6), st.binary(max_size=300))


def encode(message: Message) -> bytes:
    return eventstream.encode(message.headers, message.payload)


@given(st.lists(MESSAGES, max_size=4), st.randoms())
@settings(max_examples=60, deadline=None)
def test_messages_survive_any_cut(messages: list[Message], random_: random.Random) -> None:
    data = b"".join(encode(message) for message in messages)
    decoder, found = Decoder(), []
    while data:
        cut = random_.randint(1, len(data))
        found += decoder.feed(data[:cut])
        data = data[cut:]
    assert found == messages
    assert decoder.pending == 0


@given(MESSAGES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_found(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(FramingError):
        list(Decoder().feed(bytes(frame)))


@given(st.binary(min_size=12, max_size=400))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(FramingError):
        list(Decoder().feed(noise))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_as_headers_is_refused_or_read(noise: bytes) -> None:
    try:
        headers = eventstream.decode_headers(noise)
    except FramingError:
        return
    assert all(headers)


def test_all_header_types() -> None:
    def header(name: bytes, kind: int, value: bytes) -> bytes:
        return bytes((len(name),)) + name + bytes((kind,)) + value

    block = b"".join((header(b"t", 0, b""), header(b"f", 1, b""), header(b"b", 2, b"\xff"), header(b"s", 3, b"\0\2"),
                      header(b"i", 4, b"\0\0\0\3"), header(b"l", 5, b"\0\0\0\0\0\0\0\4"),
                      header(b"a", 6, b"\0\2xy"), header(b"u", 7, b"\0\2xy"),
                      header(b"d", 8, struct.pack(">q", 10**12)), header(b"g", 9, bytes(range(16)))))
    assert eventstream.decode_headers(block) == {
        "t": True, "f": False, "b": -1, "s": 2, "i": 3, "l": 4, "a": b"xy", "u": "xy", "d": 10**12,
        "g": bytes(range(16))}
    for end in range(1, len(block)):
        try:
            eventstream.decode_headers(block[:end])
        except FramingError:
            continue


def test_numbers_are_those_of_the_sdk() -> None:
    assert eventstream.encode_header("x", "y")[2] == HeaderType.STRING.value
    assert eventstream.encode_header("x", b"y")[2] == HeaderType.BYTE_BUF.value
    assert eventstream.encode_header("x", 1)[2] == HeaderType.INT32.value
    from awscrt.eventstream.rpc import MessageFlag, MessageType

    assert {kind.name: kind.value for kind in rpc.Type} == {kind.name: kind.value for kind in MessageType}
    assert rpc.Flag.TERMINATE_STREAM == MessageFlag.TERMINATE_STREAM
    assert rpc.Flag.CONNECTION_ACCEPTED == MessageFlag.CONNECTION_ACCEPTED


@pytest.mark.parametrize(("total", "headers"), [(15, 0), (0, 0), (2**32 - 1, 0), (16, 1), (2**24, 2**18)])
def test_impossible_lengths(total: int, headers: int) -> None:
    lengths = struct.pack(">II", total, headers)
    with pytest.raises(FramingError):
        list(Decoder().feed(lengths + struct.pack(">I", crc32(lengths))))


def test_the_limit_counts_without_the_prelude() -> None:
    frame = eventstream.encode({}, bytes(100 - 4))
    assert len(list(Decoder(100).feed(frame))) == 1
    with pytest.raises(FramingError):
        list(Decoder(99).feed(frame))


def test_a_repeated_application_frame_is_equal_to_a_plain_one() -> None:
    frame = rpc.application(7, "PublishToTopicResponse", b"{}")
    message = next(Decoder().feed(frame))
    assert message == Message({":message-type": 0, ":message-flags": 0, ":stream-id": 7,
                               ":content-type": "application/json",
                               "service-model-type": "aws.greengrass#PublishToTopicResponse"}, b"{}")
    assert frame == encode(message)
