"""The findings of this line's assets: heard at IoT Core, kept on disk, stood in a book of alarms, applied where they
set something."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from edgeloop import clock
from edgeloop.alarms import SEVERITIES, Alarm, AlarmBook, Cause
from edgeloop.alarms.alarm import Kind
from edgeloop.durable import AppendLog, Document
from edgeloop.errors import ConfigurationError, DecodeError
from edgeloop.fleet.messages import Finding, FindingList, moment, parse, topic
from edgeloop.fleet.settings import Fleet, Value, at, checked, over

if TYPE_CHECKING:
    from edgeloop.bus.subscription import Subscription

C = TypeVar("C", bound=msgspec.Struct)

KIND: Final[Kind] = "fleet"
FILE: Final = "fleet.json"
JOURNAL: Final = "fleet.jsonl"
LOOK: Final = 1.0
"""s between two looks at what has expired."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A setting in force: what the line's own value was, and by whom it is another one."""

    value: Value
    was: Any = None
    finding: str
    analysis: str = ""
    asset: str = ""
    until: str = ""
    time: int = 0


class Kept(msgspec.Struct, kw_only=True):
    """What is on disk: the newest list of each asset, and the settings in force by path."""

    schema: int = 1
    lists: dict[str, tuple[int, tuple[Finding, ...]]] = {}
    applied: dict[str, Applied] = {}


class Bus(Protocol):
    def subscribe(self, filter: str, handler: Any, depth: int = 1024, *, cloud: bool = False) -> Subscription: ...


class Told(Protocol):
    """Where problems and counts go: a component's health."""

    def set(self, key: str, line: str | None) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


class Findings:
    """From any thread; `tick` from that of the book.

    The book of the owner has one alarm of kind `fleet` for each finding that is not over, and none else: whatever was
    missed, doubled or written half, `tick` brings it there. Offline the last lists hold until they expire.
    """

    def __init__(self, work: Path, device: str, bus: Bus, told: Told) -> None:
        self._device, self._bus, self._told = device, bus, told
        self._document = Document(work / FILE, Kept, Kept)
        self._journal = AppendLog(work / JOURNAL, kept=1, largest=1 << 20)
        self._kept = self._document.load()
        if self._document.damage:
            told.set("fleet.file", self._document.damage)
        self._arrived: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._fleet: Fleet | None = None
        self._assets: frozenset[str] = frozenset()
        self._filter = ""
        self._subscription: Subscription | None = None
        self._looked = -LOOK
        self._in_force: tuple[tuple[str, str, Value], ...] | None = None
        self._lock = threading.RLock()

    @property
    def wanted(self) -> bool:
        return self._fleet is not None and self._fleet.findings

    def configure(self, fleet: Fleet | None, site: str, assets: Collection[str]) -> None:
        """fleet: None where the line says nothing of it, and nothing is heard."""
        with self._lock:
            self._fleet, self._assets = fleet, frozenset(assets)
            self._looked, self._in_force = -LOOK, None
            filter = topic(site, "+") if self.wanted else ""
            if filter == self._filter:
                return
            self._filter, former, self._subscription = filter, self._subscription, None
        if former is not None:
            former.close()
        if filter:
            self._subscription = self._bus.subscribe(filter, self.heard, cloud=True)

    def heard(self, topic: str, payload: bytes) -> None:
        self._arrived.put((topic, payload))

    def tick(self, book: AlarmBook, now: int) -> list[Alarm]:
        """The changes of alarms that follow from what has arrived and what has expired. now: ns UTC."""
        if self._filter == "" and not self._kept.lists:
            return []
        arrived, elapsed = not self._arrived.empty(), time.monotonic()
        if not arrived and elapsed - self._looked < LOOK:
            return []
        self._looked = elapsed
        with self._lock:
            if arrived:
                self._take()
            return list(self._stood(book, now))

    def due(self, now: int) -> bool:
        """Whether what findings set is no longer as `over` last had it: then `over` is to be called."""
        with self._lock:
            return self._in_force is None or self._in_force != tuple(self._wanted_settings(now))

    def over(self, configuration: C, now: int) -> C:
        """The line's configuration with what findings set within its bounds. What was set before and is no more is as
        the line says. Each change is journalled; what is refused is a problem of health and changes nothing."""
        with self._lock:
            self._in_force = tuple(self._wanted_settings(now))
            applied: dict[str, Applied] = {}
            refused = []
            effective = configuration
            for path, id, value in self._in_force:
                asset, finding = next((a, f) for a, f in self._standing(now) if f.id == id)
                try:
                    assert self._fleet is not None
                    checked(self._fleet, type(configuration), path, value)
                    effective = over(effective, {path: value})
                except ConfigurationError as error:
                    refused.append(str(error))
                    continue
                known = self._kept.applied.get(path)
                begun = known.time if known is not None and (known.finding, known.value) == (id, value) else now
                applied[path] = Applied(
                    value=value, was=at(configuration, path), finding=id, analysis=finding.analysis, asset=asset,
                    until=finding.until, time=begun,
                )  # fmt: skip
            self._told.set("fleet.set", "; ".join(refused) or None)
            self._write(applied)
            return effective

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        self._journal.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        changed, bad = False, ""
        while not self._arrived.empty():
            where, payload = self._arrived.get()
            asset = where.rpartition("/")[2]
            if asset not in self._assets:
                continue
            try:
                found = parse(payload, where)
            except DecodeError as error:
                bad = str(error)
                self._told.count("findings_refused")
                continue
            if found.bad:
                bad = found.bad[0]
                self._told.count("findings_refused", len(found.bad))
            changed |= self._newer(asset, found)
        self._told.set("fleet.findings", bad or None)
        if changed:
            self._save()

    def _newer(self, asset: str, found: FindingList) -> bool:
        """Takes a list, unless a newer one is known: a message may come twice, and late."""
        known = self._kept.lists.get(asset)
        if known is not None and found.revision and found.revision < known[0]:
            self._told.count("findings_late")
            return False
        own = tuple(f for f in found.findings if f.device in ("", self._device))
        entry = found.revision or (known[0] if known is not None else 0), own
        if entry == known:
            return False
        self._kept.lists[asset] = entry
        return True

    def _standing(self, now: int) -> Iterator[tuple[str, Finding]]:
        """Asset and finding, of what this line is to be told and is not over."""
        if not self.wanted:
            return
        for asset, (_, findings) in self._kept.lists.items():
            if asset in self._assets:
                yield from ((asset, finding) for finding in findings if not finding.over(now))

    def _stood(self, book: AlarmBook, now: int) -> Iterator[Alarm]:
        standing = {finding.monitor: (asset, finding) for asset, finding in self._standing(now)}
        for alarm in book.open:
            if alarm.kind == KIND and alarm.active and alarm.monitor not in standing:
                yield from book.clear(
                    alarm.monitor, KIND, cause=Cause(stream=alarm.cause.stream), now=now, sample=alarm.sample_time
                )
        for monitor, (asset, finding) in standing.items():
            if book.find(monitor, KIND) is not None:
                yield from book.revise(monitor, KIND, severity=finding.severity, text=finding.text, now=now)
                continue
            since = moment(finding.since) if finding.since else now
            seen = max(since, min(now, moment(finding.seen, end=True))) if finding.seen else since
            yield from book.raise_(
                monitor, KIND, asset=asset, severity=finding.severity, text=finding.text,
                cause=Cause(stream=finding.stream), now=now, sample=seen, began=since,
            )  # fmt: skip

    def _wanted_settings(self, now: int) -> Iterator[tuple[str, str, Value]]:
        """Path, finding, value: one each path, of the gravest that sets it."""
        graver = sorted(self._standing(now), key=lambda each: (-SEVERITIES.index(each[1].severity), each[1].id))
        taken: set[str] = set()
        for _, finding in graver:
            for path, value in finding.set.items():
                if path not in taken:
                    taken.add(path)
                    yield path, finding.id, value

    def _write(self, applied: dict[str, Applied]) -> None:
        before = self._kept.applied
        if applied == before:
            return
        try:
            for path in sorted(applied.keys() | before.keys()):
                new, old = applied.get(path), before.get(path)
                if new == old:
                    continue
                what = {"event": "applied" if new is not None else "undone", "path": path, "time": clock.now()}
                entry = msgspec.to_builtins(new or old) | what
                self._journal.append(msgspec.json.encode(entry), sync=False)
            self._journal.sync()
        except OSError as error:
            self._told.set("fleet.journal", f"cannot write {self._journal.path}: {error.strerror}; free space")
        else:
            self._told.set("fleet.journal", None)
        self._kept.applied = applied
        self._save()

    def _save(self) -> None:
        try:
            self._document.save(self._kept)
        except OSError as error:
            self._told.set("fleet.file", f"cannot write {self._document.path}: {error.strerror}; free space")
        else:
            self._told.set("fleet.file", None)
