"""Items to bytes and back: the bytes on the bus are the bytes on disk.

Each item is a CBOR map with text keys in a frame (`edgeloop.wire.frame`). A batch of samples:

    fixed        bytes of the map that are the same in every batch of the stream (a decoder may cache them)
    type         "batch"
    stream, epoch
    channels     [{name, unit (UCUM), scale (else 1), offset (else 0)}]
    rate         samples a second, rational (tag 30); absent where `times` is given
    clock        {source, offset, uncertainty, synced_at}, ns, else 0
    calibration, title   only where there is one
    align        zeros, so that the samples start at a multiple of 8 in the frame
    index        of the first sample, uint64
    time         of the first sample, ns UTC
    discontinuity, previous   only where set
    times        typed array int64, ns UTC, of an irregular stream
    samples      tag 40 (RFC 8746): [[samples, channels], typed array]
    pad          zeros, so that the frame is a multiple of 8 long

A record batch ("records") has times and columns {name: {type, values, labels, unit}}; a "dropped" record has
stream, epoch, first, last, time. Keys may come in any order from other writers.
"""

from __future__ import annotations

from fractions import Fraction
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

import cbor2
import numpy as np

from edgeloop.errors import WireError
from edgeloop.wire import typed
from edgeloop.wire.batch import Batch, Channel, Clock, Item, RecordBatch
from edgeloop.wire.frame import PREFIX, Buffer, ChecksumError, Truncated, octets, unwrap, wrap
from edgeloop.wire.mapping import batch_head, channel_map, clock_map, head_fields, read, records

__all__ = ["ChecksumError", "Truncated", "WireError", "decode", "decode_any", "dump_map", "encode", "encode_map"]

_START = Struct(">B7sH")
_FIXED = b"\x65fixed\x19"
_WHEN = Struct(">7sQ6sQ")
_INDEX, _TIME, _TIME_BEFORE_1970 = b"\x65index\x1b", b"\x64time\x1b", b"\x64time\x3b"
_TIMES = Struct(">9sI")
_TIMES_KEY = b"\x65times\xd8\x4f\x5a"
_SAMPLES = Struct(">13sIcIcBcI")
_SAMPLES_KEY = b"\x67samples\xd8\x28\x82\x82\x1a"
_PADS = tuple(b"\x63pad" + bytes([0x40 + n]) + bytes(n) for n in range(8))
_PAD_LENGTH = {pad[:5]: len(pad) for pad in _PADS}
_CACHED_HEADS = 1024
_MORE_KEYS = 6
"""fixed, align, index, time, samples, pad"""


class _Head(NamedTuple):
    stream: str
    epoch: int
    channels: tuple[Channel, ...]
    rate: Fraction | None
    clock: Clock
    calibration: str
    title: str = ""


_encoded: dict[str, tuple[_Head, bytes, int]] = {}
_decoded: dict[bytes, _Head | None] = {}


def encode(item: Item) -> list[bytes | memoryview]:
    """Buffers of one frame, for one writev; the samples are not copied where they are row-major and little-endian.

    >>> import numpy as np
    >>> batch = Batch("press1_vib", 7, 0, 0, (Channel("x", "m/s2"),), np.zeros((4, 1), "<i2"), rate=Fraction(25600))
    >>> data = b"".join(encode(batch))
    >>> copy, end = decode(data)
    >>> copy.stream, copy.rate, copy.samples.shape, end == len(data)
    ('press1_vib', Fraction(25600, 1), (4, 1), True)
    """
    if isinstance(item, Batch):
        try:
            return _encode_batch(item)
        except StructError as error:
            raise WireError("a batch has a number out of range", where=item.stream, why=str(error)) from error
    if isinstance(item, RecordBatch):
        return encode_map(records(item))
    return encode_map({
        "type": "dropped", "stream": item.stream, "epoch": item.epoch,
        "first": item.first, "last": item.last, "time": item.time,
    })  # fmt: skip


def encode_map(value: dict[str, Any]) -> list[bytes | memoryview]:
    """A frame around any map with text keys, padded."""
    body = dump_map({**value, "pad": b""})
    missing = -(PREFIX + len(body)) % 8
    if missing:
        body = body[:-1] + bytes([0x40 + missing]) + bytes(missing)
    return [wrap([body]), body]


def dump_map(value: dict[str, Any] | list[int]) -> bytes:
    try:
        return cbor2.dumps(value)
    except (cbor2.CBOREncodeError, OverflowError) as error:
        raise WireError("an item cannot be encoded", why=str(error)) from error


def _encode_batch(batch: Batch) -> list[bytes | memoryview]:
    samples = typed.little(batch.samples)
    if samples.ndim != 2 or samples.shape[1] != len(batch.channels) or samples.dtype not in typed.SAMPLES:
        raise WireError(
            "a batch has samples of a wrong shape or type",
            where=batch.stream,
            why=f"{samples.dtype} {samples.shape} for {len(batch.channels)} channels",
            mend="give (samples, channels) of int16, int32, float32 or float64",
        )
    timed = batch.times is not None
    if timed == (batch.rate is not None) or (batch.times is not None and len(batch.times) != len(samples)):
        raise WireError("a batch needs either a rate or a time for every sample", where=batch.stream)
    head, count = _head(batch)
    options = b""
    if batch.discontinuity:
        options += b"\x6ddiscontinuity\xf5"
        count += 1
    if batch.previous is not None:
        options += b"\x68previous" + dump_map([int(value) for value in batch.previous])
        count += 1
    when = _WHEN.pack(
        _INDEX, batch.index, *((_TIME, batch.time) if batch.time >= 0 else (_TIME_BEFORE_1970, -1 - batch.time))
    )
    rows, columns = samples.shape
    samples_head = _SAMPLES.pack(
        _SAMPLES_KEY, rows, b"\x1a", columns, b"\xd8", typed.CODES[samples.dtype], b"\x5a", samples.nbytes
    )
    parts: list[bytes | memoryview]
    if batch.times is None:
        parts = [bytes([0xA0 + count]) + head + when + options + samples_head, typed.data(samples)]
    else:
        times = typed.little(batch.times.astype(np.int64, copy=False))
        parts = [
            bytes([0xA1 + count]) + head + when + options + _TIMES.pack(_TIMES_KEY, times.nbytes),
            typed.data(times),
            samples_head,
            typed.data(samples),
        ]
    length = PREFIX + sum(map(len, parts))
    parts.append(_PADS[-(length + 5) % 8])
    return [wrap(parts), *parts]


def _head(batch: Batch) -> tuple[bytes, int]:
    """What every batch of a stream begins with, after the first byte of the map, and how many keys a plain one has."""
    head = _Head(batch.stream, batch.epoch, batch.channels, batch.rate, batch.clock, batch.calibration, batch.title)
    known = _encoded.get(batch.stream)
    if known is not None and known[0] == head:
        return known[1:]
    fields: dict[str, Any] = {
        "type": "batch",
        "stream": head.stream,
        "epoch": head.epoch,
        "channels": [channel_map(channel) for channel in head.channels],
    }
    if head.rate is not None:
        fields["rate"] = cbor2.CBORTag(30, [head.rate.numerator, head.rate.denominator])
    fields["clock"] = clock_map(head.clock)
    if head.calibration:
        fields["calibration"] = head.calibration
    if head.title:
        fields["title"] = head.title
    body = dump_map(fields)[1:] + b"\x65align"
    data_at = PREFIX + _START.size + len(body) + 1 + _WHEN.size + _SAMPLES.size
    zeros = -data_at % 8
    body += bytes([0x40 + zeros]) + bytes(zeros)
    fixed = _START.size + len(body)
    if fixed > 0xFFFF:
        raise WireError("a stream has too long a description", where=batch.stream, why=f"{fixed} B")
    encoded = _FIXED + fixed.to_bytes(2, "big") + body
    if len(_encoded) >= _CACHED_HEADS:
        _encoded.clear()
    count = len(fields) + _MORE_KEYS
    _encoded[batch.stream] = (head, encoded, count)
    return encoded, count


def decode(buffer: Buffer, offset: int = 0) -> tuple[Item, int]:
    """The item of the frame at `offset` and the offset of the next; arrays are views of `buffer`.

    Raises Truncated when bytes are missing, else WireError.
    """
    item, end = decode_any(octets(buffer), offset)
    if isinstance(item, dict):
        raise WireError("a frame holds no item", where=f"offset {offset}", why=f"its type is {item.get('type')!r:.40}")
    return item, end


def decode_any(view: memoryview, offset: int = 0) -> tuple[Item | dict[str, Any], int]:
    """As `decode`; a map of another type than the items' comes as it is."""
    payload, end = unwrap(view, offset)
    try:
        item: Item | dict[str, Any] | None = _decode_batch(payload)
    except StructError:
        item = None
    return read(bytes(payload)) if item is None else item, end


def _decode_batch(payload: memoryview) -> Batch | None:
    """A batch as this encoder lays it out; None for anything else."""
    _count, key, fixed = _START.unpack_from(payload)
    if key != _FIXED:
        return None
    head_bytes = bytes(payload[:fixed])
    head = _decoded.get(head_bytes)
    if head is None:
        if head_bytes in _decoded:
            return None
        if len(_decoded) >= _CACHED_HEADS:
            _decoded.clear()
        head = _decoded[head_bytes] = _read_head(head_bytes)
        if head is None:
            return None
    at = fixed
    index_key, index, time_key, time = _WHEN.unpack_from(payload, at)
    if index_key != _INDEX or time_key not in (_TIME, _TIME_BEFORE_1970):
        return None
    at += _WHEN.size
    times = None
    if head.rate is None:
        times_key, length = _TIMES.unpack_from(payload, at)
        at += _TIMES.size
        if times_key != _TIMES_KEY or length % 8 or at + length > len(payload):
            return None
        times = np.frombuffer(payload[at : at + length], typed.DTYPES[79])
        at += length
    key, rows, a, columns, b, tag, c, length = _SAMPLES.unpack_from(payload, at)
    at += _SAMPLES.size
    dtype = typed.DTYPES.get(tag)
    if (
        key != _SAMPLES_KEY
        or (a, b, c) != (b"\x1a", b"\xd8", b"\x5a")
        or dtype not in typed.SAMPLES
        or columns != len(head.channels)
        or length != rows * columns * dtype.itemsize
        or at + length + _PAD_LENGTH.get(bytes(payload[at + length : at + length + 5]), 0) != len(payload)
        or at + length == len(payload)
        or (times is not None and len(times) != rows)
    ):
        return None
    samples = np.frombuffer(payload[at : at + length], dtype).reshape(rows, columns)
    if time_key == _TIME_BEFORE_1970:
        time = -1 - time
    return Batch(
        head.stream, head.epoch, index, time, head.channels, samples, head.rate, times, head.clock, head.calibration,
        title=head.title,
    )  # fmt: skip


def _read_head(head: bytes) -> _Head | None:
    """The constant part, if it is whole, in order and the whole of what may be constant."""
    fields = head_fields(head)
    if fields is None or head[0] != 0xA0 + len(fields) + (4 if "rate" in fields else 5):
        return None
    return _Head(*batch_head(fields))
