"""The notice, a CBOR map:

    epoch    of the writer, uint64
    segment  name of the journal's segment
    start    byte at which this tick begins
    end      byte after it
    frames   tag 63 (RFC 8742 sequence) of bytes [start, end); only where the whole stays within the limit

A program without access to the journal reads `frames`; one that has it may ignore them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cbor2

from edgeloop.errors import WireError
from edgeloop.journal.segment import Position, Span, epoch, is_segment
from edgeloop.wire.codec import dump_map
from edgeloop.wire.frame import Buffer
from edgeloop.wire.mapping import integer, load_map, text

MAX_NOTICE = 6500
"""Bytes; a nucleus closes the connection of a publisher beyond about 7,290 B."""

_SEQUENCE = 63
_ENVELOPE = 12


@dataclass(frozen=True, slots=True)
class Notice:
    segment: str
    start: int
    end: int
    frames: bytes | None = None

    @property
    def begin(self) -> Position:
        return Position(self.segment, self.start)

    @property
    def position(self) -> Position:
        return Position(self.segment, self.end)


def encode(span: Span, frames: Sequence[Sequence[Buffer]], limit: int = MAX_NOTICE) -> bytes:
    """The notice of an append, with its frames where all fit into `limit` bytes."""
    fields: dict[str, object] = {
        "epoch": epoch(span.segment), "segment": span.segment, "start": span.start, "end": span.end
    }  # fmt: skip
    plain = dump_map(fields)
    size = sum(len(part) for frame in frames for part in frame)
    if size != span.end - span.start or len(plain) + _ENVELOPE + size > limit:
        return plain
    fields["frames"] = cbor2.CBORTag(_SEQUENCE, b"".join(part for frame in frames for part in frame))
    return dump_map(fields)


def decode(payload: bytes) -> Notice:
    """Raises WireError for what is no notice."""
    fields = load_map(payload)
    segment, start, end = text(fields, "segment"), integer(fields, "start"), integer(fields, "end")
    if not is_segment(segment) or epoch(segment) != fields.get("epoch") or end < start:
        raise WireError("a notice does not agree with itself", where=segment[:40])
    frames = fields.get("frames")
    if frames is None:
        return Notice(segment, start, end)
    if not isinstance(frames, cbor2.CBORTag) or frames.tag != _SEQUENCE or not isinstance(frames.value, bytes):
        raise WireError("a notice has frames that are no sequence", where=segment)
    if len(frames.value) != end - start:
        raise WireError("a notice has frames of another length than it says", where=segment)
    return Notice(segment, start, end, frames.value)
