"""Who did what on the page: append-only lines, the newest in memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeloop import clock

LARGEST: Final = 4 << 20
SHOWN: Final = 200


class Audit:
    """`audit.jsonl` of a work folder; beyond LARGEST bytes the older half is `audit.1.jsonl`. Safe on any thread."""

    def __init__(self, path: Path, problem: Any) -> None:
        self._path, self._problem = path, problem
        self._lock = threading.Lock()
        self.newest: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        for line in _lines(path)[-SHOWN:]:
            try:
                self.newest.append(msgspec.json.decode(line, type=dict[str, Any]))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue

    def write(self, user: str, action: str, **subject: Any) -> None:
        now = clock.now()
        entry = {"time": now, "time_rfc3339": clock.rfc3339(now), "user": user, "action": action, **subject}
        with self._lock:
            self.newest.append(entry)
            try:
                self._append(msgspec.json.encode(entry))
            except OSError as error:
                self._problem("audit", f"cannot write {self._path}: {error.strerror}; free space on the disk")
            else:
                self._problem("audit", None)

    def _append(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size > LARGEST:
            self._path.replace(self._path.with_suffix(".1.jsonl"))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line + b"\n")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []
