"""The journal: every sample of a device, once, in order, in files that all components see.

Append-only segments of CBOR sequences (RFC 8742) in one folder, `<sequence>-<epoch hex>.cborseq`, all streams
interleaved. One process writes; what `append` returned for survives any death of it. Readers keep their own cursors.
"""

from __future__ import annotations

from pathlib import Path

from edgeloop.journal.cursor import Cursor, CursorFile
from edgeloop.journal.reader import JournalReader, since, tail
from edgeloop.journal.segment import START, JournalError, JournalFull, Position, Span
from edgeloop.journal.writer import JournalWriter

__all__ = [
    "START", "Cursor", "CursorFile", "JournalError", "JournalFull", "JournalReader", "JournalWriter", "Position",
    "Span", "directory", "since", "tail",
]  # fmt: skip

OWNER = "io.edgeloop.SensorIngest"


def directory(root: Path) -> Path:
    """The journal's folder below the root of a nucleus.

    >>> str(directory(Path("/greengrass/v2")))
    '/greengrass/v2/work/io.edgeloop.SensorIngest/journal'
    """
    return root / "work" / OWNER / "journal"
