"""The archive of a model package: one uncompressed ustar file whose every byte follows from names and contents.

Regular files only, in ascending order of their names, mode 0644, owner 0, time 0, zero padding, two zero blocks at the
end. A reader makes each header again from the name and size it read and compares all 512 bytes: links, absolute and
climbing paths, duplicates, other metadata and trailing bytes have no form that passes.

Source: POSIX.1-1988 ustar interchange format.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from edgeloop.models.errors import ModelError, ModelRefused, Reason

BLOCK: Final = 512
LARGEST_FILE: Final = 8 * 2**30 - 1
"""Bytes: eleven octal digits."""
MOST_FILES: Final = 256
_CHUNK: Final = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,3}")
_MEND: Final = "make it with `edgeloop model package`"


def is_name(name: str) -> bool:
    """Whether a file may be called so: at most four parts and 100 characters, none beginning with a point.

    >>> [is_name(n) for n in ("model.onnx", "neo/compiled.so", "../x", "/x", ".x", "a//b", "a/./b")]
    [True, True, False, False, False, False, False]
    """
    return len(name) <= 100 and _NAME.fullmatch(name) is not None


def header(name: str, size: int) -> bytes:
    """The one header of a file of this name and size (bytes)."""
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0",
        b"\0" * 100,
        b"ustar\00000",
        b"\0" * 64,
        b"0000000\0",
        b"0000000\0",
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def blocks(files: Mapping[str, bytes | Path]) -> Iterator[bytes]:
    """The archive of files by name, in pieces. Raises ModelRefused for what an archive cannot hold, OSError."""
    names = sorted(files)
    if len(names) > MOST_FILES:
        raise ModelRefused("too many files for a package", Reason.SIZE, why=f"{len(names)} of at most {MOST_FILES}")
    if bad := next((name for name in names if not is_name(name)), None):
        raise ModelRefused("a package cannot hold this file name", Reason.FORM, why=repr(bad), mend="rename it")
    _check_names(names, "")
    for name in names:
        content = files[name]
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if size > LARGEST_FILE:
            raise ModelRefused("a file is too large for a package", Reason.SIZE, where=name)
        yield header(name, size)
        left = size
        for chunk in _chunks(content):
            left -= len(chunk)
            yield chunk
        if left:
            raise ModelError("a file changed while it was read", where=name, mend="try again")
        yield b"\0" * (-size % BLOCK)
    yield b"\0" * (2 * BLOCK)


def digest(files: Mapping[str, bytes | Path]) -> str:
    """The SHA-256 (hexadecimal digits) of the archive of files by name."""
    hashing = hashlib.sha256()
    for block in blocks(files):
        hashing.update(block)
    return hashing.hexdigest()


def write(path: Path, files: Mapping[str, bytes | Path]) -> str:
    """Writes the archive durably; the old file stays until the new one is whole. Returns its digest."""
    hashing = hashlib.sha256()
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(fresh, "wb") as out:
            for block in blocks(files):
                out.write(block)
                hashing.update(block)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return hashing.hexdigest()


class Member:
    """A file of an archive being read; `chunks` must be exhausted before the next member."""

    def __init__(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        self.name, self.size, self.chunks = name, size, chunks

    def read(self, limit: int) -> bytes:
        """The whole content. Raises ModelRefused above `limit` bytes."""
        if self.size > limit:
            raise ModelRefused(
                "a file of the package is too large", Reason.SIZE, where=self.name, why=f"{self.size:,} B"
            )
        return b"".join(self.chunks)


def members(file: BinaryIO, limit: int, where: str = "") -> Iterator[Member]:
    """The files of an archive, in order. Raises ModelRefused at the first byte that is not canonical, and where the
    contents exceed `limit` bytes together."""
    names: list[str] = []
    total = 0
    while True:
        block = _exactly(file, BLOCK, where)
        if block == b"\0" * BLOCK:
            if _exactly(file, BLOCK, where) != block or file.read(1):
                raise _refused(where, "there is something behind its end")
            _check_names(names, where)
            return
        name, size = _parse(block, where)
        if names and name <= names[-1]:
            raise _refused(where, f"{name} is out of order")
        names.append(name)
        total += size
        if len(names) > MOST_FILES or total > limit:
            raise ModelRefused(
                "the package is too large", Reason.SIZE, where=where, why=f"over {MOST_FILES} files or {limit:,} B"
            )
        member = Member(name, size, _content(file, size, where))
        yield member
        for _ in member.chunks:
            raise RuntimeError(f"{name} was not read to its end")
        if _exactly(file, -size % BLOCK, where).strip(b"\0"):
            raise _refused(where, f"the padding of {name} is not zero")


def _parse(block: bytes, where: str) -> tuple[str, int]:
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
        size = int(block[124:135].decode("ascii"), 8)
    except ValueError:
        raise _refused(where, "it is no tar archive, or a damaged one") from None
    if size < 0 or not is_name(name) or header(name, size) != block:
        raise _refused(where, f"the header of {name[:100]!r} is not the canonical one")
    return name, size


def _check_names(names: list[str], where: str) -> None:
    """No name is also the folder of another."""
    known = set(names)
    for name in names:
        parts = name.split("/")
        if any("/".join(parts[:n]) in known for n in range(1, len(parts))):
            raise _refused(where, f"a folder of {name} is also a file")


def _content(file: BinaryIO, size: int, where: str) -> Iterator[bytes]:
    while size:
        chunk = _exactly(file, min(size, _CHUNK), where)
        size -= len(chunk)
        yield chunk


def _exactly(file: BinaryIO, size: int, where: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _refused(where, "it is cut off")
    return data


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _refused(where: str, why: str) -> ModelRefused:
    return ModelRefused("this is no model package", Reason.FORM, where=where, why=why, mend=_MEND)
