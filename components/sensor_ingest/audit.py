"""What was done to machines, and what was not: append-only, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeloop import documents
from edgeloop.durable import AppendLog

LARGEST = 4 << 20
KEPT = 4


class Audit:
    """A file of JSON lines, on the disk before an action is executed.

    One that has grown beyond `largest` bytes becomes `actions.1.jsonl`, that one `actions.2.jsonl`, up to `kept`.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        self._log = AppendLog(path, largest=largest, kept=kept)

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises OSError; a line that was begun then is taken back or passed over, and the next one is whole."""
        self._log.append(documents.encode(record))

    def recent(self, most: int) -> list[dict[str, Any]]:
        """The last records, oldest first; lines that were torn are passed over."""
        found: list[dict[str, Any]] = []
        for line in self._log.backwards():
            try:
                record = documents.decode(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and "id" in record:
                found.append(record)
                if len(found) == most:
                    break
        return found[::-1]

    def close(self) -> None:
        self._log.close()
