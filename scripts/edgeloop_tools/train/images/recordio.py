"""What SageMaker's built-in image algorithms are given: `.lst` lists, RecordIO files, augmented manifests.

Source: "Image Classification – MXNet, input/output interface" of SageMaker's developer guide; MXNet's documentation of
RecordIO: a magic number, a length whose upper three bits say which piece of a split record it is, the content, padding
to four bytes; the content begins with (flag, label, id, id2) and, where the flag is positive, so many more labels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgeloop.errors import EdgeloopError

MAGIC: Final = 0xCED7230A
LARGEST: Final = 1 << 28
"""Bytes of one record."""


def records(path: Path) -> Iterator[tuple[int, float, bytes]]:
    """Number, label and picture of each. Raises EdgeloopError where the file is damaged."""
    place = 0
    with path.open("rb") as file:
        while content := _record(file, path, place):
            if len(content) < 24:
                raise _damaged(path, place, "a record without a head")
            flag, label, number, _ = struct.unpack("<IfQQ", content[:24])
            start = 24 + 4 * flag
            if start > len(content):
                raise _damaged(path, place, f"{flag} labels in {len(content)} B")
            if flag:
                (label,) = struct.unpack_from("<f", content, 24)
            yield number, label, content[start:]
            place = file.tell()


def _record(file: object, path: Path, place: int) -> bytes:
    """The next one, its pieces put together; empty at the end."""
    parts: list[bytes] = []
    while True:
        head = file.read(8)  # type: ignore[attr-defined]
        if not head and not parts:
            return b""
        if len(head) < 8:
            raise _damaged(path, place, "it is cut off")
        magic, word = struct.unpack("<II", head)
        piece, length = word >> 29, word & ((1 << 29) - 1)
        if magic != MAGIC or length > LARGEST:
            raise _damaged(path, place, "no record begins here")
        content = file.read(length)  # type: ignore[attr-defined]
        file.read(-length % 4)  # type: ignore[attr-defined]
        if len(content) < length:
            raise _damaged(path, place, "it is cut off")
        if parts:
            parts.append(struct.pack("<I", MAGIC))
        parts.append(content)
        if piece in (0, 3):
            return b"".join(parts)


def listed(path: Path) -> Iterator[tuple[str, float]]:
    """Path and label of each line of a `.lst` file: number, label, path, tabs between. Raises EdgeloopError."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip():
            words = line.split("\t")
            try:
                yield words[-1].strip(), float(words[1])
            except (IndexError, ValueError):
                raise EdgeloopError("not a list of pictures", where=f"{path} line {number}", why=repr(line[:80]),
                                    mend="number, label, path, with tabs between") from None  # fmt: skip


def _damaged(path: Path, place: int, why: str) -> EdgeloopError:
    return EdgeloopError("the RecordIO file is damaged", where=f"{path} byte {place}", why=why, mend="make it again")
