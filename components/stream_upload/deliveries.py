"""Records of upload queues on their way to the line's other destinations: each with a place and a thread of its own.

A destination that is new gets what comes from then on. One that does not take anything holds nobody up: the owners of
the queues keep what has not arrived, as long as they have room.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from edgeloop import documents
from edgeloop.decode import document
from edgeloop.durable import AppendLog, Document
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.plugins import usable
from edgeloop.queue import Entry, QueueReader
from edgeloop.supervise import Supervisor
from edgeloop.supervise.roster import Roster
from stream_upload.destinations import Registry
from stream_upload.destinations.base import Answer, Destination, DestinationConfiguration, Record

QUIET: Final = 30.0
"""s between two looks at the clock in quiet hours."""
_READ: Final = 1 << 18
Wanted = tuple[Any, type[Destination[Any]], DestinationConfiguration]
There = Sequence[tuple[QueueReader, Entry, bool]]
"""Files of records, each with whether no more comes to it."""


class Places(msgspec.Struct, kw_only=True):
    """How far each file of records has arrived: component → entry → byte. begun: whether it has ever looked."""

    schema: int = 1
    begun: bool = False
    done: dict[str, dict[str, int]] = {}


class _Told:
    """What a supervisor needs: health and log."""

    def __init__(self, health: Health, log: Log) -> None:
        self.problem, self.clear, self.count = health.problem, health.clear, health.count
        self.unexpected, self._log = log.exception, log

    def log(self, line: str, **fields: Any) -> None:
        self._log.warning("%s", line, **fields)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return False


class _Run:
    """A destination, from its making to its first failure."""

    def __init__(self, delivery: Delivery, destination: Destination[Any]) -> None:
        self._delivery, self._destination = delivery, destination

    def setup(self) -> None: ...

    def run(self) -> None:
        self._delivery.hand_over(self._destination)

    def interrupt(self) -> None:
        self._delivery.news.set()

    def close(self) -> None:
        self._destination.close()


class Delivery(Supervisor[_Run, _Told]):
    """One destination: its place in each file, its word on what became of records. One that fails is made again."""

    def __init__(self, id: str, wanted: Wanted, folder: Path, told: _Told) -> None:
        super().__init__("destination", id, told)
        _, self._kind, self._configuration = wanted
        self._saved = Document(folder / f"{id}.json", Places, Places)
        self._places = self._saved.load()
        self._audit = AppendLog(folder / f"{id}.jsonl", largest=1 << 20, kept=2)
        self._files = threading.Lock()
        self._there: There = ()
        self.news = threading.Event()

    def make(self) -> _Run:
        return _Run(self, self._kind(self.id, self._configuration))

    def close(self, timeout: float) -> None:
        self.join(timeout)
        self._audit.close()

    def offer(self, there: There) -> None:
        """Says what files there are."""
        sizes = {(queue.component, entry.id): queue.size(entry) for queue, entry, _ in there}
        with self._files:
            if not self._places.begun:
                self._places = Places(begun=True)
                for (component, id), size in sizes.items():
                    self._places.done.setdefault(component, {})[id] = size
                self.news.set()
            for component, done in self._places.done.items():
                for gone in [id for id in done if (component, id) not in sizes]:
                    del done[gone]
            self._there = there
            if any(size > self._places.done.get(component, {}).get(id, 0) for (component, id), size in sizes.items()):
                self.news.set()

    def passed(self, queue: QueueReader, entry: Entry, size: int) -> bool:
        """Whether a file may go as far as this destination is concerned."""
        return entry.kind not in self._configuration.kinds or self._at(queue, entry) >= size

    # -- inside --------------------------------------------------------------------------------------------------------

    def _at(self, queue: QueueReader, entry: Entry) -> int:
        with self._files:
            return self._places.done.get(queue.component, {}).get(entry.id, 0)

    def hand_over(self, destination: Destination[Any]) -> None:
        """Until it is to end. Raises EdgeloopError where the destination does not take them."""
        while not self.stop.is_set():
            while not self.stop.is_set() and self._some(destination):
                pass
            self.news.wait()
            self.news.clear()
            self._save()

    def _some(self, destination: Destination[Any]) -> bool:
        """Hands over what is next; whether there may be more."""
        with self._files:
            there = self._there
        more = waits = False
        for queue, entry, complete in there:
            at = self._at(queue, entry)
            if entry.kind not in self._configuration.kinds or queue.size(entry) <= at:
                continue
            lines = queue.records(entry, at, _READ, complete=complete)
            records = [(self._record(queue, entry, line), after) for line, _, after in lines.found]
            wanted = [(r, after) for r, after in records if r is not None and self._configuration.wants(r)]
            if wanted and self._silent([record for record, _ in wanted]):
                waits = True
                continue
            batch = wanted[: destination.most]
            if batch:
                self._deliver(destination, [record for record, _ in batch])
            end = lines.end if len(batch) == len(wanted) else batch[-1][1]
            with self._files:
                self._places.done.setdefault(queue.component, {})[entry.id] = end
            self._save()
            more |= at < end < queue.size(entry)
        if waits and not more:
            self.news.wait(QUIET)
        return more or waits

    def _record(self, queue: QueueReader, entry: Entry, line: bytes) -> Record | None:
        try:
            found = document(line, dict[str, Any])
        except DecodeError:
            self.around.count(f"destination.{self.id}.damaged")
            return None
        return Record(queue.component, entry.kind, found, line)

    def _deliver(self, destination: Destination[Any], records: list[Record]) -> None:
        """They are done with, one way or the other, or it raises EdgeloopError."""
        try:
            answer: Answer = destination.send(records)
            line = "it does not take them now"
        except (EdgeloopError, OSError) as error:
            answer, line = "retry", str(error)
        if answer == "retry":
            raise EdgeloopError(f"{self.id}: {line}; records are kept and tried again")
        self.delivered()
        self.around.count(f"destination.{self.id}.{answer}", len(records))
        if answer == "refused":
            self.log(f"{self.id} refuses records for good: they are passed over")
        self._write_down(answer, records)

    def _silent(self, records: list[Record]) -> bool:
        """Whether it is no time to say them. A critical alarm takes along what waits before it."""
        c = self._configuration
        if not c.quiet or any(record.document.get("severity") == "critical" for record in records):
            return False
        return c.silent(datetime.datetime.now(ZoneInfo(c.zone)).time())

    def _write_down(self, answer: Answer, records: list[Record]) -> None:
        ids = [str(record.document.get("id", "")) for record in records]
        note = {"time": datetime.datetime.now(datetime.UTC).isoformat(), "answer": answer, "ids": ids}
        try:
            self._audit.append(documents.encode(note))
        except OSError as error:
            self.problem(f"{self.id}: {error}", "audit")

    def _save(self) -> None:
        with self._files:
            places = Places(begun=self._places.begun, done={c: {**done} for c, done in self._places.done.items()})
        try:
            self._saved.save(places)
        except OSError as error:
            self.problem(f"{self.id}: {error}; after a restart some come again", "place")
            return
        self.clear("place")


class Deliveries:
    """All destinations of the line. `apply` from any thread; all else from the loop's."""

    def __init__(self, work: Path, health: Health, log: Log) -> None:
        self._folder, self._health, self._log = work / "destinations", health, log
        self._told = _Told(health, log)
        self._plugins = ""
        self._registry = Registry(self._log.error)
        self._roster: Roster[Wanted, Delivery] = Roster(health, lambda id: f"configuration.destinations.{id}")

    def apply(self, destinations: Mapping[str, Any], plugins: str) -> None:
        """Takes a new configuration; a destination that is wrong stays as it was, with one line."""
        if plugins != self._plugins:
            self._plugins = plugins
            self._registry = Registry(self._log.error, usable(plugins, self._health))
        self._roster.apply({id: e for id, e in destinations.items() if e not in ("", None)}, self._convert)

    def _convert(self, id: str, entry: Any) -> Wanted:
        return entry, *self._registry.entry(id, entry, "destinations")

    @property
    def wanted(self) -> bool:
        return bool(self._roster.wanted)

    def step(self, readers: Sequence[QueueReader]) -> None:
        """Starts and ends them as configured, and says to each what there is."""
        self._roster.reconcile(
            lambda delivery: delivery.close(0.0),
            lambda id, wanted: Delivery(id, wanted, self._folder, self._told),
        )
        if not self._roster.running:
            return
        there = []
        for queue in readers:
            entries = [entry for entry in queue.entries() if entry.form == "records"]
            newest = {entry.kind: entry.number for entry in entries}
            there += [(queue, entry, newest[entry.kind] > entry.number) for entry in entries]
        for _, delivery in self._roster.running.values():
            delivery.offer(there)

    def passed(self, queue: QueueReader, entry: Entry, size: int) -> bool:
        """Whether every destination has had a whole file."""
        return all(delivery.passed(queue, entry, size) for _, delivery in self._roster.running.values())

    def close(self) -> None:
        for delivery in self._roster:
            delivery.end()
        for delivery in self._roster:
            delivery.close(1.0)
