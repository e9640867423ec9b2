"""A JSON object with its checksum as its first member: a changed bit is found, and other programs still read it."""

from __future__ import annotations

from typing import Final
from zlib import crc32

HEAD: Final = b'{"crc":"'
_BODY: Final = len(HEAD) + 8 + 1


def seal(record: bytes) -> bytes:
    """
    >>> seal(b'{"a":1}')
    b'{"crc":"561bacaf","a":1}'
    """
    if record[:1] != b"{" or record[-1:] != b"}":
        raise ValueError("not a JSON object")
    rest = record[1:]
    return b'%s%08x"%s%s' % (HEAD, crc32(record), b"" if rest == b"}" else b",", rest)


def unseal(line: bytes) -> bytes:
    """The object as it was sealed; one without a checksum, which an older version wrote, as it is.

    Raises ValueError where the checksum is another one.

    >>> unseal(seal(b'{"a":1}')), unseal(seal(b"{}")), unseal(b'{"a":1}')
    (b'{"a":1}', b'{}', b'{"a":1}')
    """
    if not line.startswith(HEAD):
        return line
    rest = line[_BODY:]
    record = b"{" + rest.removeprefix(b",")
    if b"%08x" % crc32(record) != line[len(HEAD) : len(HEAD) + 8]:
        raise ValueError("its checksum does not match")
    return record


def sealed(line: bytes) -> bool:
    """Whether it says that it has a checksum."""
    return line.startswith(HEAD)
