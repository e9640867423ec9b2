"""Who did what on the page: append-only records, the newest in memory."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeloop import clock, decode
from edgeloop.durable import AppendLog
from edgeloop.errors import DecodeError

LARGEST: Final = 4 << 20
SHOWN: Final = 200


class Audit:
    """`audit.jsonl` of a work folder; beyond LARGEST bytes it becomes `audit.1.jsonl`. Safe on any thread."""

    def __init__(self, path: Path, problem: Any) -> None:
        self._log, self._problem = AppendLog(path, kept=1, largest=LARGEST), problem
        self._lock = threading.Lock()
        self.newest: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        for record in self._log.read()[-SHOWN:]:
            try:
                self.newest.append(decode.document(record, dict[str, Any]))
            except DecodeError:
                continue

    def write(self, user: str, action: str, **subject: Any) -> None:
        now = clock.now()
        entry = {"time": now, "time_rfc3339": clock.rfc3339(now), "user": user, "action": action, **subject}
        with self._lock:
            self.newest.append(entry)
            try:
                self._log.append(msgspec.json.encode(entry))
            except OSError as error:
                self._problem("audit", f"cannot write {self._log.path}: {error.strerror}; free space on the disk")
            else:
                self._problem("audit", None)
