"""What no reader of documents may fall over: the one place where hostile documents are written down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

BEYOND: Final[dict[str, bytes]] = {
    "nested 1,000 deep": b"[" * 1000 + b"]" * 1000,
    "nested 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested 33 deep": b"[" * 33 + b"]" * 33,
    "nested and never closed": b"[" * 500_000,
    "cause nested 990 deep": b'{"id":"a","cause":' + b'{"a":' * 990 + b"1" + b"}" * 990 + b"}",
    "10^400": b'{"issued":1' + b"0" * 400 + b"}",
    "2^64": b'{"issued":18446744073709551616}',
    "-2^63 - 1": b'{"issued":-9223372036854775809}',
    "an integer of 5,000 digits": b"1" * 5000,
    "1e400": b'{"value":1e400}',
    "NaN": b'{"value":NaN}',
    "a text of 64 KiB + 1": b'{"id":"' + b"x" * 65_537 + b'"}',
    "a key of 64 KiB + 1": b'{"' + b"x" * 65_537 + b'":1}',
    "1 MiB + 1": b'{"id":"a"}'.ljust((1 << 20) + 1),
    "nothing": b"",
    "half": b'{"id":"a',
    "a lone surrogate": b'{"id":"\\ud800"}',
    "no UTF-8": b'{"id":"\xff\xfe"}',
    "zeros": bytes(64),
    "CBOR": bytes.fromhex("a1616101"),
}
"""JSON that is refused wherever it comes from, by what is wrong with it."""

ODD: Final[dict[str, bytes]] = {
    "null": b"null", "a number": b"7", "a text": b'"a"', "a list": b"[]", "a map": b"{}", "true": b"true",
    "a list of maps": b'[{"id":"a"}]',
    "null everywhere": b'{"id":null,"target":null,"value":null,"issued":null,"expires":null,"cause":null}',
    "other types": b'{"id":7,"target":{},"value":[],"issued":"x","expires":true,"cause":"because"}',
    "the same key twice": b'{"id":"a","id":"b"}',
    "10^400 as a text": b'{"issued":"1' + b"0" * 400 + b'"}',
    "texts of nothing": b'{"id":"\\u0000","target":"\\n"}',
}  # fmt: skip
"""JSON within all bounds that is hardly what its reader expects."""

BINARY: Final[dict[str, bytes]] = {
    "nested 1,000 deep": b"\x81" * 1000 + b"\x00",
    "nested 33 deep": b"\x81" * 33 + b"\x00",
    "refers to itself": bytes.fromhex("d81c81d81d00"),
    "doubles 40 times": b"".join(bytes.fromhex("d81c82") for _ in range(20)) + bytes.fromhex("d81d00") * 20 + b"\x00",
    "a list of 2^60": bytes.fromhex("9b1000000000000000"),
    "a text of 2^60": bytes.fromhex("7b1000000000000000"),
    "a number of 2,040 bits": bytes.fromhex("c258ff") + b"\xff" * 255,
    "infinity": bytes.fromhex("fb7ff0000000000000"),
    "an exponent of 10^9": bytes.fromhex("c4821a3b9aca0001"),
    "a pattern that never ends": bytes.fromhex("d823") + b"\x6a(a+)+(a+)+",
    "a text of 2^61 of which 64 KiB are there": bytes.fromhex("7b2000000000000000") + b"x" * 65_600,
    "bytes of 2^61 of which 64 KiB are there": bytes.fromhex("5b2000000000000000") + b"x" * 65_600,
    "a text without end": bytes.fromhex("7f") + b"\x61a" * 40_000,
    "two items": b"\x00\x00",
    "nothing": b"",
}
"""CBOR that must cost nothing and be refused, or be a plain value."""


def mutations(seeds: list[bytes], number: int, seed: int = 7) -> Iterator[bytes]:
    """Documents with bytes changed, cut, doubled and crossed."""
    rng = random.Random(seed)
    for _ in range(number):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(5):
                case 0 if at < len(data):
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(8)]
                case 2:
                    data[at:at] = data[at : at + rng.randrange(40)]
                case 3:
                    data[at:at] = rng.choice((b"[" * 40, b'{"a":', b"1" * 30, b"null", b"NaN", b"-", b'"', b"e999"))
                case 4:
                    other = rng.choice(seeds)
                    data[at:] = other[rng.randrange(len(other) + 1) :]
        yield bytes(data)
