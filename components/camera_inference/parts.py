"""Parts and their verdicts on disk: exactly one for each part, whenever the process is killed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from camera_inference.documents import Result
from edgeloop import documents
from edgeloop.durable import AppendLog, make_folder

REMEMBERED: Final = 10_000
"""Parts that are not opened again, also after a restart."""
LARGEST: Final = 1 << 20
"""Bytes of a file before the next one begins."""


@dataclass(frozen=True, slots=True)
class Open:
    """A part without a verdict. time: ns UTC of its trigger; seen: the same by the monotonic clock, or 0
    where the process that saw it is gone."""

    part: str
    time: int
    seen: int


class PartBook:
    """`open`, then `decide` once; `announced` when the verdict is out. Safe on any thread.

    JSON lines in `<folder>/<camera>.jsonl`: {"open", "time"}, {"verdict": …}, {"announced": […]}. When it has grown it
    is written anew with all that still matters. A line that a power cut tore is left out.
    """

    def __init__(self, folder: Path, camera: str) -> None:
        self._folder, self._camera = folder, camera
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Open] = OrderedDict()
        self._decided: OrderedDict[str, None] = OrderedDict()
        self._pending: OrderedDict[str, Result] = OrderedDict()
        self._left: tuple[Open, ...] = ()
        self.last = ""
        self.trouble = ""
        self.damaged = 0
        make_folder(folder)
        self._log = AppendLog(folder / f"{camera}.jsonl")
        self._least = 0
        self._read()
        self._left = tuple(self._open.values())

    @property
    def left(self) -> tuple[Open, ...]:
        """Parts that were open when the process before this one ended."""
        return self._left

    @property
    def waiting(self) -> int:
        return len(self._open)

    def open(self, part: str, time: int, seen: int) -> bool:
        """Whether the part is new."""
        with self._lock:
            if part in self._open or part in self._decided:
                return False
            self._append({"open": part, "time": time})
            self._open[part] = Open(part, time, seen)
            self.last = part
            return True

    def decide(self, result: Result) -> bool:
        """Whether this was the part's first verdict."""
        with self._lock:
            if result.part not in self._open:
                return False
            self._append({"verdict": result})
            self._settle(result)
            return True

    @property
    def oldest(self) -> int | None:
        """When the oldest open part was seen, ns of the monotonic clock."""
        with self._lock:
            return next(iter(self._open.values())).seen if self._open else None

    def overdue(self, seen: int) -> list[Open]:
        """Parts seen before a moment (ns of the monotonic clock), oldest first."""
        with self._lock:
            found = []
            for each in self._open.values():
                if each.seen > seen:
                    break
                found.append(each)
            return found

    def pending(self) -> list[Result]:
        """Verdicts that are perhaps not out, oldest first."""
        with self._lock:
            return list(self._pending.values())

    def announced(self, parts: Iterable[str]) -> None:
        """These verdicts are out."""
        with self._lock:
            gone = [part for part in parts if part in self._pending]
            if not gone:
                return
            self._append({"announced": gone})
            for part in gone:
                del self._pending[part]
            if self._log.size > max(LARGEST, 2 * self._least):
                try:
                    self._turn()
                except OSError as error:
                    self.trouble = error.strerror or str(error)

    def sync(self) -> None:
        """To the disk, against a power cut."""
        try:
            self._log.sync()
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def close(self) -> None:
        with self._lock:
            self._log.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _settle(self, result: Result) -> None:
        self._open.pop(result.part, None)
        self._pending[result.part] = result
        self._decided[result.part] = None
        while len(self._decided) > REMEMBERED:
            self._decided.popitem(last=False)

    def _append(self, line: dict[str, Any]) -> None:
        """Where the disk takes nothing the line counts all the same, and `trouble` says so: production goes on, the
        promise across a restart does not."""
        try:
            self._log.append(documents.encode(line), sync=False)
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def _turn(self) -> None:
        """The file with what still matters, alone."""
        lines: list[dict[str, Any]] = [{"decided": list(self._decided), "last": self.last}]
        lines += [{"open": each.part, "time": each.time} for each in self._open.values()]
        lines += [{"verdict": result} for result in self._pending.values()]
        self._log.rewrite(documents.encode(line) for line in lines)
        self._least = self._log.size

    def _read(self) -> None:
        older = self._older()
        for line in self._log.read() or older:
            self._take(line)
        self.damaged += self._log.damaged
        if older:
            self._turn()
            for path in self._folder.glob(f"{self._camera}.*.jsonl"):
                path.unlink(missing_ok=True)

    def _older(self) -> list[bytes]:
        """What release 0.1 kept in numbered files, the newest whose beginning is whole."""
        paths = [p for p in self._folder.glob(f"{self._camera}.*.jsonl") if p.suffixes[-2][1:].isdigit()]
        for path in sorted(paths, key=lambda path: int(path.suffixes[-2][1:]), reverse=True):
            content = path.read_bytes()
            if b"\n{}" in content and content.startswith(b'{"decided"'):
                return content.splitlines()
            self.damaged += 1
        return []

    def _take(self, line: bytes) -> None:
        if line in (b"", b"{}"):
            return
        try:
            record = documents.decode(line)
            if "open" in record:
                part = str(record["open"])
                self._open[part] = Open(part, int(record["time"]), 0)
                self.last = part
            elif "verdict" in record:
                self._settle(msgspec.convert(record["verdict"], Result))
            elif "announced" in record:
                for part in record["announced"]:
                    self._pending.pop(part, None)
            elif "decided" in record:
                self._decided = OrderedDict.fromkeys(map(str, record["decided"]))
                self.last = str(record["last"])
        except (ValueError, KeyError, TypeError):
            self.damaged += 1
