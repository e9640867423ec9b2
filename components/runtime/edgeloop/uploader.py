"""Where StreamUpload says how far it has come: what lies before may be deleted by its owner."""

from __future__ import annotations

from pathlib import Path
from typing import Final

UPLOADER: Final = "io.edgeloop.StreamUpload"


def journal_cursor(root: Path) -> Path:
    """Its cursor as a durable reader of the journal.

    >>> str(journal_cursor(Path("/greengrass/v2")))
    '/greengrass/v2/work/io.edgeloop.StreamUpload/journal.cursor'
    """
    return root / "work" / UPLOADER / "journal.cursor"


def released_file(root: Path, component: str) -> Path:
    """What it has released of a component's upload queue."""
    return root / "work" / UPLOADER / "released" / f"{component}.json"
