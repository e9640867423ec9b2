"""Commands to a machine: refused unless everything is in order, recorded whatever becomes of them."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Full, SimpleQueue
from typing import Any, Literal, Protocol

import msgspec

from edgeloop import clock, documents
from edgeloop.clock import NS, rfc3339
from edgeloop.errors import EdgeloopError
from sensor_ingest.sources.base import Target

Outcome = Literal["dry_run", "done", "refused"]
REMEMBERED = 10_000
"""Ids that are not executed again, also after a restart."""
WAITING = 256
DEFAULT_EXPIRY = 2 * NS
DAY = 86_400 * NS
AHEAD = 2 * NS
"""How far an action may seem to come from the future."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it travels. issued: ns UTC; expires: ns UTC, or (less than a day) ns after `issued`."""

    id: str
    target: str
    value: float
    issued: int
    source: str = ""
    expires: int = 0
    armed: bool = False
    schema: int = 1
    cause: dict[str, Any] = {}

    @property
    def deadline(self) -> int:
        if not self.expires:
            return self.issued + DEFAULT_EXPIRY
        return self.expires if self.expires >= DAY else self.issued + self.expires


class Writable(Protocol):
    """A source as actions see it."""

    def targets(self) -> Mapping[str, Target]: ...

    def write(self, target: str, value: float) -> None:
        """Raises EdgeloopError."""
        ...


class Audit:
    """An append-only file of JSON lines, on the disk before an action is executed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._torn = False

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises OSError; a line that was begun then stays behind, and the next one is whole."""
        if self._fd < 0:
            self._open()
        line = (b"\n" if self._torn else b"") + documents.encode(record) + b"\n"
        self._torn = True
        if os.write(self._fd, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False
        os.fdatasync(self._fd)

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._fd).st_size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def recent(self, most: int) -> list[str]:
        """The last ids, oldest first."""
        try:
            with self._path.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 512 * most))
                lines = file.read().splitlines()[-most:]
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(str(documents.decode(line)["id"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Actions:
    """Executes what comes over the bus, in its own thread: a machine may be slow to answer.

    find(source): the source by id, or None. publish(document): the result.
    """

    def __init__(
        self,
        audit: Path,
        find: Callable[[str], Writable | None],
        publish: Callable[[dict[str, Any]], object],
        now: Callable[[], int] = clock.now,
    ) -> None:
        self._audit = Audit(audit)
        self._find, self._publish, self._now = find, publish, now
        self._seen: OrderedDict[str, None] = OrderedDict((id, None) for id in self._audit.recent(REMEMBERED))
        self._last: dict[tuple[str, str], int] = {}
        self._queue: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="actions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(2.0)
        if not self._thread.is_alive():
            self._audit.close()

    def receive(self, topic: str, payload: bytes) -> None:
        """From the bus; never waits. Raises queue.Full when more than 256 wait."""
        if self._queue.qsize() >= WAITING:
            raise Full
        self._queue.put((topic.rpartition("/")[2], payload))

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            self._publish(self.execute(*message))

    def execute(self, source: str, payload: bytes) -> dict[str, Any]:
        """What became of one command to a source: the document of the result."""
        try:
            action = msgspec.json.decode(payload, type=Action, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._result(source, "", "", None, "refused", f"no action: {error}", {})
        outcome, reason = self._judge(source, action)
        carried_out = False
        try:
            if outcome != "refused":
                self._remember(action.id)
                self._last[source, action.target] = self._now()
                self._record(source, action, "accepted" if outcome == "done" else "dry_run", "")
            if outcome == "done":
                outcome, reason = self._carry_out(source, action)
                carried_out = outcome == "done"
            if outcome != "dry_run":
                self._record(source, action, outcome, reason)
        except OSError as error:
            outcome = "done" if carried_out else "refused"
            reason = f"the audit file cannot be written: {error.strerror or error}"
        return self._result(source, action.id, action.target, action.value, outcome, reason, action.cause)

    def _carry_out(self, source: str, action: Action) -> tuple[Outcome, str]:
        writable = self._find(source)
        if writable is None:
            return "refused", f"there is no source {source}"
        try:
            writable.write(action.target, action.value)
        except (EdgeloopError, OSError) as error:
            return "refused", str(error)
        except Exception as error:
            return "refused", f"the source {source} failed unexpectedly: {type(error).__name__}: {error}"
        return "done", ""

    def _judge(self, source: str, action: Action) -> tuple[Outcome, str]:
        now = self._now()
        writable = self._find(source)
        target = writable.targets().get(action.target) if writable is not None else None
        if action.source and action.source != source:
            return "refused", f"it is addressed to {action.source}"
        if writable is None:
            return "refused", f"there is no source {source}"
        if target is None:
            return "refused", f"{action.target} is no target of {source}"
        if not action.id:
            return "refused", "it has no id"
        if action.id in self._seen:
            return "refused", "it was received before"
        if now > action.deadline:
            return "refused", f"it expired {(now - action.deadline) / NS:.3f} s ago"
        if action.issued > now + AHEAD:
            return "refused", f"it was issued {(action.issued - now) / NS:.3f} s in the future"
        low, high = target.bounds
        if not low <= action.value <= high:
            return "refused", f"{action.value:g} is outside of {target.range}"
        last = self._last.get((source, action.target))
        if last is not None and 0 <= now - last < target.every:
            return "refused", f"the last one was less than {target.every} ago"
        return ("done" if target.armed and action.armed else "dry_run"), ""

    def _remember(self, id: str) -> None:
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _record(self, source: str, action: Action, outcome: str, reason: str) -> None:
        now = self._now()
        self._audit.write(
            {
                "time": now,
                "time_rfc3339": rfc3339(now),
                "id": action.id,
                "source": source,
                "target": action.target,
                "value": action.value,
                "armed": action.armed,
                "issued": action.issued,
                "outcome": outcome,
                "reason": reason,
                "cause": action.cause,
            }
        )

    def _result(
        self,
        source: str,
        id: str,
        target: str,
        value: float | None,
        outcome: Outcome,
        reason: str,
        cause: Mapping[str, Any],
    ) -> dict[str, Any]:
        now = self._now()
        return {
            "schema": 1,
            "id": id,
            "source": source,
            "target": target,
            "value": value,
            "outcome": outcome,
            "reason": reason,
            "time": now,
            "time_rfc3339": rfc3339(now),
            "cause": dict(cause),
        }
