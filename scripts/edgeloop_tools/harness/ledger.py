"""The journal held against what the bus announced: every sample is there once, or it is counted as lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeloop.journal import JournalReader
from edgeloop.wire.batch import Batch, Dropped, Item, RecordBatch
from edgeloop_tools.harness.recording import Recording

EVERYTHING = 1 << 62


@dataclass(slots=True)
class Lane:
    """One (stream, epoch) in the journal. first..end: indices; holes: indices between batches that nothing holds."""

    first: int
    end: int
    holes: int = 0
    doubled: int = 0


@dataclass(slots=True)
class StreamCount:
    samples: int = 0
    values: int = 0
    batches: int = 0
    dropped: int = 0
    gaps: int = 0
    channels: int = 0
    rate: float | None = None
    first_time: int | None = None
    last_time: int | None = None


@dataclass(slots=True)
class Ledger:
    """What the journal holds. ends: segment → offset after its last readable frame; bytes: of all segments."""

    streams: dict[str, StreamCount] = field(default_factory=dict)
    lanes: dict[tuple[str, int], Lane] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    previous: list[tuple[str, int, int]] = field(default_factory=list)
    deliberate: dict[tuple[str, int], int] = field(default_factory=dict)
    bytes: int = 0

    def add(self, item: Item) -> None:
        count = self.streams.setdefault(item.stream, StreamCount())
        if isinstance(item, Dropped):
            key = item.stream, item.epoch
            known = self.deliberate.get(key, 0)
            count.dropped += max(0, item.last + 1 - max(item.first, known))
            self.deliberate[key] = max(known, item.last + 1)
            return
        rows = len(item)
        count.batches += 1
        count.samples += rows
        if isinstance(item, Batch):
            width = len(item.channels)
            first, last = item.time, item.end
            count.rate = float(item.rate) if item.rate is not None else count.rate
        else:
            width = len(item.columns)
            first, last = int(item.times[0]), int(item.times[-1])
        count.channels = width
        count.values += rows * width
        count.gaps += item.discontinuity
        count.first_time = first if count.first_time is None else min(count.first_time, first)
        count.last_time = last if count.last_time is None else max(count.last_time, last)
        lane = self.lanes.get((item.stream, item.epoch))
        if lane is None:
            self.lanes[item.stream, item.epoch] = Lane(item.index, item.index + rows)
            if item.previous is not None:
                self.previous.append((item.stream, *item.previous))
            return
        lane.holes += max(0, item.index - lane.end)
        lane.doubled += max(0, lane.end - item.index)
        lane.end = max(lane.end, item.index + rows)

    @property
    def samples(self) -> int:
        return sum(s.samples for s in self.streams.values())

    @property
    def values(self) -> int:
        return sum(s.values for s in self.streams.values())

    def lost(self, recording: Recording) -> dict[str, int]:
        """Stream → samples lost; empty when the promise held.

        Counted are holes within an epoch, samples seen on the bus that the journal lacks, and samples a later
        epoch says its predecessor had.
        """
        lost: dict[str, int] = {}

        def count(stream: str, samples: int) -> None:
            if samples > 0:
                lost[stream] = lost.get(stream, 0) + samples

        for (stream, _), lane in self.lanes.items():
            count(stream, lane.holes)
        claims = {key: (seen.first, seen.end) for key, seen in recording.announced.items()}
        for stream, epoch, last in self.previous:
            first, end = claims.get((stream, epoch), (last, 0))
            claims[stream, epoch] = first, max(end, last + 1)
        for key, (first, end) in claims.items():
            kept = self.lanes.get(key)
            released = self.deliberate.get(key, 0)
            first = max(first, released)
            if kept is None:
                count(key[0], end - first)
            else:
                count(key[0], end - kept.end)
                count(key[0], kept.first - first)
        return lost

    def short_bytes(self, recording: Recording) -> int:
        """Bytes that a notice said were written and no reader can reach."""
        return sum(
            max(0, end - self.ends[segment])
            for segment, end in recording.announced_bytes.items()
            if segment in self.ends
        ) + sum(end for segment, end in recording.announced_bytes.items() if segment not in self.ends)

    @property
    def doubled(self) -> int:
        """Samples that are in the journal more than once."""
        return sum(lane.doubled for lane in self.lanes.values())


def walk(directory: Path) -> Iterator[Item]:
    """Every item of the journal, oldest first."""
    if directory.is_dir():
        for item, _ in JournalReader(directory).read(limit_bytes=EVERYTHING):
            yield item


def audit(directory: Path, *more: Callable[[Batch | RecordBatch], None]) -> Ledger:
    """Read the whole journal once; each of `more` also gets every batch."""
    ledger = Ledger()
    if not directory.is_dir():
        return ledger
    for item, position in JournalReader(directory).read(limit_bytes=EVERYTHING):
        ledger.add(item)
        ledger.ends[position.segment] = max(ledger.ends.get(position.segment, 0), position.offset)
        if not isinstance(item, Dropped):
            for look in more:
                look(item)
    ledger.bytes = sum(path.stat().st_size for path in directory.glob("*.cborseq"))
    return ledger
