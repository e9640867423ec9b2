"""Records of upload queues: to Kinesis one by one, or to S3 as files of JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from edgeloop import clock
from edgeloop.decode import document
from edgeloop.durable import File
from edgeloop.errors import DecodeError
from edgeloop.layout import Reason, date, safe
from edgeloop.queue import Entry, QueueReader
from stream_upload.allowance import Allowance
from stream_upload.capture import Alarmed, Alarms
from stream_upload.configuration import Configuration
from stream_upload.ledger import Gap
from stream_upload.manager import Manager
from stream_upload.spool import Note, Spool, Until
from stream_upload.state import Segment, State

ALARMS: Final = "alarms"
GAPS: Final = "gaps"
LARGEST: Final = 1_000_000
"""Bytes of a Kinesis record, with some room for the envelope."""
FILED: Final = 300 * clock.NS
"""ns after which records become a file, where `every` is longer."""
_PASS: Final = 400
_LINES: Final = 4 << 20


class _Alarm(msgspec.Struct):
    """What matters here of an alarm's document."""

    state: str
    monitor: str
    sample_time: int
    cause: dict[str, object] = {}


class _Gap(msgspec.Struct):
    """What a component declares of a stream that is in no journal. first, last: ns UTC."""

    stream: str
    first: int
    last: int
    time: int
    reason: Reason = "dropped"


class Records:
    """All queues' records. A file of records is released once all of it has arrived and no more can come."""

    def __init__(
        self,
        state: State,
        spool: Spool,
        alarms: Alarms,
        device: str,
        allowance: Allowance | None = None,
        passed: Callable[[QueueReader, Entry, int], bool] = lambda queue, entry, size: True,
        declare: Callable[[Gap], None] = lambda gap: None,
    ) -> None:
        """passed: whether a file of records of so many bytes has gone wherever else it is to go. declare: told what
        components say will not arrive."""
        self._passed, self._declare = passed, declare
        self._allowance = allowance or Allowance(state.spent)
        self._state, self._spool, self._alarms, self._device = state, spool, alarms, device
        self._filed: dict[tuple[str, str], int] = {}
        self.sent = 0
        self.oversize = 0
        self.damaged = 0
        self.backlog = 0

    def look(self, queues: list[QueueReader]) -> None:
        """Learns of alarms, and of what components declare."""
        for queue, entry, segment, complete in self._segments(queues):
            if entry.kind not in (ALARMS, GAPS):
                continue
            lines = queue.records(entry, segment.seen, complete=complete)
            segment.seen = lines.end
            for line, _, _ in lines.found:
                if entry.kind == GAPS:
                    with suppress(DecodeError):
                        gap = document(line, _Gap)
                        self._declare(Gap(gap.stream, 0, gap.first, gap.last, gap.reason, gap.time))
                    continue
                try:
                    alarm = document(line, _Alarm)
                except DecodeError:
                    continue
                if alarm.state == "raised":
                    self._alarms.add(Alarmed(str(alarm.cause.get("stream", "")), alarm.monitor, alarm.sample_time))

    def stream(self, queues: list[QueueReader], configuration: Configuration, manager: Manager) -> str:
        """Appends what is new for Kinesis, and notes what has arrived; why no more does, where that is so.

        Raises Unavailable and Refused; what was not taken comes again.
        """
        name = f"{configuration.streams}-records"
        export = manager.export(name)
        room = _PASS
        for queue, entry, segment, complete in self._segments(queues):
            _acknowledge(segment, export.exported)
            if segment.marks and segment.marks[-1][1] > export.newest:
                segment.appended, segment.marks = segment.acknowledged, []
            if room > 0:
                room -= self._append(
                    queue, entry, segment, complete, room, lambda record: manager.append(name, record)
                )
            if not segment.marks:
                segment.acknowledged = segment.appended
        self._release(queues)
        return export.error

    def store(self, queues: list[QueueReader], configuration: Configuration) -> None:
        """Makes files of what is new: of each file of records what came in `every` (at most 5 min), or the rest where
        no more can come. Those beyond their share of the disk wait where they are. Raises SpoolError and QueueError.
        """
        now = clock.elapsed()
        room = configuration.disk * configuration.shares.of("records")
        for queue, entry, segment, complete in self._segments(queues):
            if self._spool.held("records") >= room:
                continue
            size = queue.size(entry)
            since = self._filed.setdefault((queue.component, entry.id), now)
            due = complete or now - since >= min(configuration.every, FILED)
            if size > segment.acknowledged and (due or size - segment.acknowledged >= _LINES):
                self._file(queue, entry, segment, configuration, complete)
                self._filed[queue.component, entry.id] = now
        self._release(queues)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _append(
        self,
        queue: QueueReader,
        entry: Entry,
        segment: Segment,
        complete: bool,
        most: int,
        append: Callable[[bytes], int],
    ) -> int:
        """At most `most` records; how many. One mark stands for all of them, also where it ends half-way."""
        count, number = 0, -1
        lines = queue.records(entry, segment.appended, complete=complete)
        try:
            for line, at, after in lines.found:
                if count >= most:
                    break
                if len(line) > LARGEST:
                    self.oversize += 1
                else:
                    record = self._envelope(queue.component, entry, at, line)
                    number = append(record)
                    self._allowance.spend("records", len(record))
                    count += 1
                segment.appended = after
            else:
                segment.appended = lines.end
                self.damaged += lines.damaged
        finally:
            self.sent += count
            if number >= 0:
                segment.marks = [*segment.marks, (segment.appended, number)]
        return count

    def _segments(self, queues: list[QueueReader]) -> Iterator[tuple[QueueReader, Entry, Segment, bool]]:
        """With each file of records whether it is complete: a newer one of the kind says that no more comes to it."""
        self.backlog = 0
        for queue in queues:
            known = self._state.segments.setdefault(queue.component, {})
            there = [entry for entry in queue.entries() if entry.form == "records"]
            newest = {entry.kind: entry.number for entry in there}
            for gone in known.keys() - {entry.id for entry in there}:
                del known[gone]
                self._filed.pop((queue.component, gone), None)
            for entry in there:
                segment = known.setdefault(entry.id, Segment())
                self.backlog += max(0, queue.size(entry) - segment.acknowledged)
                yield queue, entry, segment, newest[entry.kind] > entry.number

    def _envelope(self, component: str, entry: Entry, offset: int, line: bytes) -> bytes:
        """The record with what names it and orders it: Kinesis keeps neither order nor count."""
        head = msgspec.json.encode(
            {"device": self._device, "component": component, "kind": entry.kind, "file": entry.number, "offset": offset}
        )
        return head[:-1] + b',"document":' + line + b"}"

    def _file(
        self, queue: QueueReader, entry: Entry, segment: Segment, configuration: Configuration, complete: bool
    ) -> None:
        begin = segment.acknowledged
        lines = queue.records(entry, begin, _LINES, complete=complete)
        end, now = lines.end, clock.now()
        self.damaged += lines.damaged
        if not lines.found:
            segment.appended = segment.acknowledged = end
            return
        folder = f"records/site={safe(configuration.site)}/kind={entry.kind}/date={date(now)}"
        name = f"{safe(self._device)}_{safe(queue.component)}_{entry.number}_{begin}-{end}.jsonl"
        prefix = configuration.prefix.strip("/")

        def write(path: Path) -> Note:
            with File(path) as file:
                for line, at, _ in lines.found:
                    file.write(self._envelope(queue.component, entry, at, line) + b"\n")
                size = file.sync()
            until = Until(component=queue.component, entry=entry.id, offset=end)
            key = f"{prefix}/{folder}/{name}" if prefix else f"{folder}/{name}"
            return Note(key=key, kind="records", bytes=size, made=now, until=until)

        self._spool.add(write)
        segment.appended = segment.acknowledged = end
        self.sent += len(lines.found)

    def _release(self, queues: list[QueueReader]) -> None:
        done: dict[str, list[int]] = {}
        for queue, entry, segment, complete in self._segments(queues):
            size = queue.size(entry) if complete else 0
            looked = entry.kind not in (ALARMS, GAPS) or segment.seen >= size
            gone = complete and segment.acknowledged >= size and looked
            if gone and self._passed(queue, entry, size):
                done.setdefault(queue.component, []).append(entry.number)
        for queue in queues:
            if queue.component in done:
                queue.release(*done[queue.component])
                queue.save()


def _acknowledge(segment: Segment, exported: int) -> None:
    """
    >>> segment = Segment(appended=30, marks=[(10, 4), (20, 5), (30, 6)])
    >>> _acknowledge(segment, 5); segment.acknowledged, segment.marks
    (20, [(30, 6)])
    """
    arrived = [mark for mark in segment.marks if mark[1] <= exported]
    if arrived:
        segment.acknowledged = arrived[-1][0]
        segment.marks = segment.marks[len(arrived) :]
