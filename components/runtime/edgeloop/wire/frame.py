"""A frame: a CBOR item that carries its length and checksum, so that a CBOR sequence can be walked without decoding.

    82 1a <CRC-32C> d8 18 5a <length> <embedded CBOR>

an array of two (RFC 8949): the CRC-32C of the embedded bytes as uint32, and the embedded item as a byte string of
tag 24. Frames are concatenated as a CBOR sequence (RFC 8742). The writers here make every frame a multiple of
8 bytes long, so that arrays inside stay aligned in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from awscrt.checksums import crc32c

from edgeloop.errors import WireError

Buffer = bytes | bytearray | memoryview

PREFIX = 13
MAX_LENGTH = 1 << 30
_PREFIX = Struct(">2sI3sI")
_ARRAY, _EMBEDDED = b"\x82\x1a", b"\xd8\x18\x5a"
_TEMPLATE = _ARRAY + b"\0\0\0\0" + _EMBEDDED


class Truncated(WireError):
    """The bytes end before the frame does: a frame being written, or cut off."""


class ChecksumError(WireError):
    """A frame whose bytes are not those that were written."""


def wrap(parts: Sequence[Buffer]) -> bytes:
    """The prefix of a frame whose embedded item is the concatenation of `parts`."""
    crc = length = 0
    for part in parts:
        crc = crc32c(part, crc)
        length += len(part)
    if length > MAX_LENGTH:
        raise WireError("a frame is too large", why=f"{length} B", mend=f"at most {MAX_LENGTH} B; cut smaller batches")
    return _PREFIX.pack(_ARRAY, crc, _EMBEDDED, length)


def size(view: memoryview, offset: int = 0) -> int:
    """Length in bytes of the frame at `offset`, from its prefix alone."""
    if len(view) - offset < PREFIX:
        found = bytes(view[offset:])
        if found[:2] != _TEMPLATE[: min(2, len(found))] or found[6:9] != _TEMPLATE[6 : max(6, min(9, len(found)))]:
            raise WireError("these bytes are no frame", where=f"offset {offset}")
        raise Truncated("a frame is cut off", where=f"offset {offset}")
    array, _, embedded, length = _PREFIX.unpack_from(view, offset)
    if array != _ARRAY or embedded != _EMBEDDED or length > MAX_LENGTH:
        raise WireError("these bytes are no frame", where=f"offset {offset}")
    return PREFIX + int(length)


def unwrap(view: memoryview, offset: int = 0) -> tuple[memoryview, int]:
    """The embedded bytes of the frame at `offset`, checksum verified, and the offset after it."""
    end = offset + size(view, offset)
    if end > len(view):
        raise Truncated("a frame is cut off", where=f"offset {offset}", why=f"{end - len(view)} B are missing")
    payload = view[offset + PREFIX : end]
    if crc32c(payload) != _PREFIX.unpack_from(view, offset)[1]:
        raise ChecksumError("the checksum of a frame does not match", where=f"offset {offset}")
    return payload, end


def next_frame(view: memoryview, offset: int) -> int:
    """Where the next whole frame begins whose checksum matches, from a byte on; -1 where there is none."""
    at = offset - 1
    while (at := search(view, at + 1)) >= 0:
        try:
            unwrap(view, at)
        except WireError:
            continue
        return at
    return -1


def search(view: memoryview, at: int) -> int:
    """Where the prefix of a frame may begin, from a byte on; -1 where none does."""
    step = 1 << 16
    while at + PREFIX <= len(view):
        part = bytes(view[at : at + step + PREFIX])
        found = part.find(_ARRAY)
        while found >= 0:
            if part[found + 6 : found + 9] == _EMBEDDED:
                return at + found
            found = part.find(_ARRAY, found + 1)
        at += step
    return -1


def octets(buffer: Buffer) -> memoryview:
    """A view of plain bytes, whatever the buffer's item type."""
    view = memoryview(buffer)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")
