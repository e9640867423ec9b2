"""The ring of a camera's last pictures: files that CameraInference writes and anyone may read.

They are in `work/io.edgeloop.CameraInference/video/<camera>/`, perhaps a link into memory. Each segment is a file
of about a second, `<number>.ts` (MPEG-TS: the packets as the camera sent them) or `<number>.mjpg` (JPEGs one behind
another), and a JSON of the same name that comes when the file is whole: `Segment`. Numbers rise, also across restarts:
a reader keeps the last one it had. The oldest go when the budget is full, whoever still reads: a file that is gone is a
gap.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from edgeloop.decode import OWN, file
from edgeloop.errors import DecodeError


class Picture(msgspec.Struct, frozen=True, array_like=True):
    """A JPEG in a segment. time: ns UTC."""

    offset: int
    size: int
    time: int


class Segment(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="segment"):
    """The JSON beside a segment, written when it is whole. begin, end: ns UTC of its first and last picture.
    first: of MPEG-TS, the time stamp (90 kHz) of the picture of `begin`. follows: whether nothing is missing between
    the segment before and this one. key: whether it can be decoded without the one before."""

    schema: int = 1
    file: str
    form: str
    codec: str
    width: int
    height: int
    begin: int
    end: int
    bytes: int
    first: int = 0
    follows: bool = True
    key: bool = True
    pictures: list[Picture] = []


def read(folder: Path, after: str = "") -> list[tuple[str, Segment]]:
    """The whole segments of a ring that came after the one named, oldest first. A file that is gone is a gap."""
    found: list[tuple[str, Segment]] = []
    with suppress(OSError):
        for path in sorted(folder.glob("*.json")):
            if path.stem > after:
                with suppress(OSError, DecodeError):
                    found.append((path.stem, file(path, Segment, bounds=OWN)))
    return found
