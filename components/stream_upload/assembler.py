"""Files of one stream, cut from its items in the order of the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edgeloop.clock import NS
from edgeloop.journal import Position
from edgeloop.wire.batch import Batch, Column, Dropped, Item
from stream_upload.capture import Policy, extent
from stream_upload.ledger import Gap, Ledger
from stream_upload.parquet import Samples, bytes_of, shape

IDLE: Final = 10 * NS
_DAY: Final = 86_400 * NS


@dataclass(frozen=True, slots=True)
class Limits:
    """every: ns of sample time, files end at its multiples; size: bytes in memory."""

    every: int
    size: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Samples of one file, all of one shape and contiguous, and the account of the stream once it is on the disk."""

    items: list[Samples]
    done: Position
    epochs: dict[int, int]
    gaps: list[Gap]

    @property
    def first(self) -> int:
        return self.items[0].index

    @property
    def last(self) -> int:
        return self.items[-1].index + len(self.items[-1]) - 1


@dataclass(frozen=True, slots=True)
class _Held:
    item: Item
    before: Position
    after: Position
    since: int


class Assembler:
    """One stream. `done`, `ledger` and `gaps` speak of what is settled: in a file on the disk, or left out.

    `save(cut)` must bring a cut to the disk, or raise with nothing changed: the same cut comes again.
    """

    def __init__(
        self,
        stream: str,
        policy: Policy,
        limits: Limits,
        save: Callable[[Cut], None],
        *,
        done: Position,
        epochs: dict[int, int],
        gaps: list[Gap],
    ) -> None:
        self.policy, self.limits = policy, limits
        self.done, self.ledger, self.gaps = done, Ledger(stream, epochs), gaps
        self.bytes = 0
        self._save = save
        self._waiting: deque[_Held] = deque()
        self._taken: list[_Held] = []
        self._size = 0
        self._newest = 0

    @property
    def begin(self) -> Position | None:
        """Before the first item that is not settled; None where all are."""
        held = self._taken or self._waiting
        return held[0].before if held else None

    def add(self, item: Item, before: Position, after: Position, now: int) -> None:
        """Takes an item that lies between two positions of the journal. now: ns, monotonic."""
        if after <= self.done or (not isinstance(item, Dropped) and not len(item)):
            return
        if not isinstance(item, Dropped):
            self._newest = max(self._newest, extent(item)[1])
            self.bytes += bytes_of(item)
        self._waiting.append(_Held(item if isinstance(item, Dropped) else _own(item), before, after, now))
        self.settle(now)

    def settle(self, now: int) -> None:
        """Decides what can be decided, and cuts what is complete."""
        while self._waiting:
            held = self._waiting[0]
            if isinstance(held.item, Dropped):
                self.cut()
                self._leave_out(held)
                continue
            answer = self.policy.decide(held.item, self._newest, now - held.since)
            if answer == "later":
                break
            if answer == "no":
                self.cut()
                self._leave_out(held)
                continue
            if self._taken and not self._fits(held.item):
                self.cut()
            self._taken.append(self._waiting.popleft())
            self._size += bytes_of(held.item)
            if self._size >= self.limits.size:
                self.cut()
        if self._taken and now - self._taken[0].since >= self.limits.every + IDLE:
            self.cut()

    def cut(self) -> None:
        """What was taken, as one file. Raises what `save` raises."""
        if not self._taken:
            return
        ledger = Ledger(self.ledger.stream, self.ledger.epochs)
        items: list[Samples] = [held.item for held in self._taken if not isinstance(held.item, Dropped)]
        gaps = [gap for item in items for gap in ledger.arrive(item)]
        cut = Cut(items, self._taken[-1].after, ledger.epochs, [*self.gaps, *gaps])
        self._save(cut)
        self.ledger, self.gaps, self.done = ledger, cut.gaps, cut.done
        self._taken, self._size = [], 0
        self.bytes -= sum(map(bytes_of, items))

    def _leave_out(self, held: _Held) -> None:
        self._waiting.popleft()
        self.done = held.after
        if isinstance(held.item, Dropped):
            self.gaps += self.ledger.declare(held.item)
            return
        self.bytes -= bytes_of(held.item)
        self.gaps += self.ledger.arrive(held.item)
        item, last = held.item, held.item.index + len(held.item) - 1
        if self.gaps:
            old = self.gaps[-1]
            if old.reason == "not_captured" and (old.epoch, old.last + 1) == (item.epoch, item.index):
                self.gaps[-1] = Gap(old.stream, old.epoch, old.first, last, old.reason, old.time)
                return
        self.gaps.append(Gap(item.stream, item.epoch, item.index, last, "not_captured", extent(item)[0]))

    def _fits(self, item: Samples) -> bool:
        first, last = self._taken[0].item, self._taken[-1].item
        assert not isinstance(first, Dropped)
        assert not isinstance(last, Dropped)
        begin, time = extent(first)[0], extent(item)[0]
        return (
            item.index == last.index + len(last)
            and time // self.limits.every == begin // self.limits.every
            and time // _DAY == begin // _DAY
            and shape(item) == shape(first)
        )


def _own(item: Samples) -> Samples:
    """With arrays of its own: those of a reader are views that keep a whole chunk of the journal in memory."""
    if isinstance(item, Batch):
        times = None if item.times is None else item.times.copy()
        return replace(item, samples=item.samples.copy(), times=times)
    columns = {name: _own_column(c) for name, c in item.columns.items()}
    return replace(item, times=item.times.copy(), columns=columns)


def _own_column(column: Column) -> Column:
    return column if isinstance(column.values, tuple) else replace(column, values=column.values.copy())
