"""Commands to a machine: refused unless everything is in order, recorded whatever becomes of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, Full, SimpleQueue
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from edgeloop import clock
from edgeloop.clock import NS, rfc3339
from edgeloop.decode import document
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.recent import HOUR, Times
from edgeloop.supervise.handling import Handling
from sensor_ingest.audit import Audit
from sensor_ingest.failsafe import LOOK, Entry, Held, HeldTargets
from sensor_ingest.interlock import Interlocks
from sensor_ingest.sources.base import Target

Outcome = Literal["dry_run", "done", "refused"]
REMEMBERED = 10_000
"""Ids that are not executed again, also after a restart."""
WAITING = 256
DEFAULT_EXPIRY = 2 * NS
DAY = 86_400 * NS
DEADLY = "the process died with it in hand, twice: it is set aside"
AHEAD = 2 * NS
"""How far an action may seem to come from the future."""


Name = Annotated[str, Meta(max_length=128)]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it travels. issued: ns UTC; expires: ns UTC, or (less than a day) ns after `issued`."""

    id: Name
    target: Name
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
    """A source as actions see it. connections: changes whenever the machine may have forgotten what was written."""

    connections: int

    def targets(self) -> Mapping[str, Target]: ...

    def write(self, target: str, value: float) -> None:
        """Raises EdgeloopError."""
        ...


class Actions:
    """Executes what comes over the bus, in its own thread: a machine may be slow to answer.

    find(source): the source by id, or None. publish(document): the result. now: ns UTC; elapsed: s, monotonic.
    told: told in one line of an action that this process died of before.
    """

    def __init__(
        self,
        audit: Path,
        find: Callable[[str], Writable | None],
        publish: Callable[[dict[str, Any]], object],
        now: Callable[[], int] = clock.now,
        elapsed: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._hand = Handling(audit.with_name("actions.in-hand"), audit.parent, "an action", told)
        self._audit = Audit(audit)
        self._find, self._publish, self._now, self._elapsed = find, publish, now, elapsed
        self.interlocks = Interlocks(elapsed)
        self._held = HeldTargets(audit.with_name("fail_safe.json"), elapsed)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._last: dict[tuple[str, str], int] = {}
        self._times: dict[tuple[str, str], Times] = {}
        self._recall()
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
            self._hand.close()

    def receive(self, topic: str, payload: bytes) -> None:
        """From the bus; never waits. Raises queue.Full when more than 256 wait."""
        if self._queue.qsize() >= WAITING:
            raise Full
        self._queue.put((topic.rpartition("/")[2], payload))

    def _run(self) -> None:
        message: tuple[str, bytes] | None = None
        while True:
            try:
                message = self._queue.get(timeout=self.guard())
            except Empty:
                continue
            if message is None:
                break
            self._publish(self._answered(*message))
        for held in self._held:
            self._make_safe(held, "the component stops")

    def _answered(self, source: str, payload: bytes) -> dict[str, Any]:
        try:
            return self.execute(source, payload)
        except Exception as error:
            return self._result(source, "", "", None, "refused", f"unexpectedly: {type(error).__name__}: {error}", {})

    def guard(self) -> float | None:
        """Writes the safe values that are due; s until it has to be called again, None: not before an action."""
        now = self._elapsed()
        for held in self._held:
            connection = self._connection(held.entry.source)
            if connection is not None and held.pause.due and (why := held.why(now, connection)):
                self._make_safe(held, why)
        if not self._held:
            return None
        return min((LOOK, *(h.deadline - now for h in self._held if now < h.deadline)))

    def execute(self, source: str, payload: bytes) -> dict[str, Any]:
        """What became of one command to a source: the document of the result."""
        if self._hand.deadly_message(source, payload):
            return self._result(source, "", "", None, "refused", DEADLY, {})
        try:
            with self._hand.message(source, payload):
                action = document(payload, Action, what="an action", where=source, strict=False)
        except DecodeError as error:
            return self._result(source, "", "", None, "refused", f"no action: {error.why}", {})
        outcome, reason = self._judge(source, action)
        carried_out = False
        try:
            if outcome != "refused":
                self._remember(source, action)
                if outcome == "done":
                    self._hold(source, action)
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
        outcome, reason = self._write(writable, action, source)
        if outcome == "done":
            self._unhold(source, action)
        return outcome, reason

    def _write(self, writable: Writable, action: Action, source: str) -> tuple[Outcome, str]:
        what = f"{source}.{action.target}={action.value!r}"
        if self._hand.deadly(what):
            return "refused", DEADLY
        try:
            carry = getattr(writable, "carry", None)
            with self._hand.of(what, data=msgspec.json.encode(action), among=True):
                if carry is None:
                    writable.write(action.target, action.value)
                else:
                    carry(action.target, action.value, {"id": action.id, **action.cause})
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
        if self._of(source, action.target).count(now, HOUR) >= target.most:
            return "refused", f"there were {target.most} within an hour"
        if refusal := self.interlocks.refusal(target):
            return "refused", refusal
        return ("done" if target.armed and action.armed else "dry_run"), ""

    def _recall(self) -> None:
        """What was executed before this process."""
        for record in self._audit.recent(2 * REMEMBERED):
            self._see(str(record["id"]))
            if record.get("outcome") in ("accepted", "dry_run") and isinstance(record.get("time"), int):
                target = str(record.get("source")), str(record.get("target"))
                self._last[target] = record["time"]
                self._of(*target).add(record["time"])

    def _remember(self, source: str, action: Action) -> None:
        now = self._now()
        self._see(action.id)
        self._last[source, action.target] = now
        self._of(source, action.target).add(now)

    def _see(self, id: str) -> None:
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _of(self, source: str, target: str) -> Times:
        return self._times.setdefault((source, target), Times())

    # -- fail-safe -----------------------------------------------------------------------------------------------------

    def _connection(self, source: str) -> tuple[object, int] | None:
        writable = self._find(source)
        return None if writable is None else (writable, writable.connections)

    def _target(self, source: str, name: str) -> Target | None:
        writable = self._find(source)
        return None if writable is None else writable.targets().get(name)

    def _hold(self, source: str, action: Action) -> None:
        """Before the machine is touched. Raises OSError."""
        target, connection = self._target(source, action.target), self._connection(source)
        if target is not None and target.fail_safe is not None and connection is not None:
            entry = Entry(source=source, target=action.target, action=action.id)
            self._held.hold(entry, target.fail_safe.after.seconds, connection)

    def _unhold(self, source: str, action: Action) -> None:
        """The safe value itself needs no renewal."""
        target = self._target(source, action.target)
        if target is not None and target.fail_safe is not None and action.value == target.fail_safe.value:
            self._held.release(source, action.target)

    def _make_safe(self, held: Held, why: str) -> None:
        """Writes a safe value; a machine that cannot be reached is tried again, and told of once."""
        source, name = held.entry.source, held.entry.target
        writable = self._find(source)
        target = self._target(source, name)
        action = Action(
            id=f"{held.entry.action}-safe", target=name, value=0.0, issued=self._now(), armed=True,
            cause={"fail_safe": why, "action": held.entry.action},
        )  # fmt: skip
        outcome: Outcome = "refused"
        over = False
        if writable is None:
            reason = f"there is no source {source}"
        elif target is None or target.fail_safe is None or not target.armed:
            reason, over = f"{name} of {source} is no longer armed with a safe value", True
        else:
            action = msgspec.structs.replace(action, value=target.fail_safe.value)
            outcome, reason = self._write(writable, action, source)
            over = outcome == "done"
        if over or reason != held.told:
            held.told = reason
            try:
                self._record(source, action, outcome, reason)
            except OSError as error:
                reason = f"{reason}; the audit file cannot be written: {error.strerror or error}".lstrip("; ")
            self._publish(self._result(source, action.id, name, action.value, outcome, reason, action.cause))
        held.pause.failed()
        if over:
            self._held.release(source, name)

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
