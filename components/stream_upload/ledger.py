"""The account of every sample: what arrived and what is declared not to arrive make up what was journalled."""

from __future__ import annotations

from typing import Final

import msgspec

from edgeloop.layout import Reason
from edgeloop.wire.batch import Batch, Dropped, RecordBatch

_EPOCHS: Final = 64


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """Samples [first, last] of (stream, epoch) that will not arrive. time: ns UTC, when that was known or sampled."""

    stream: str
    epoch: int
    first: int
    last: int
    reason: Reason
    time: int


class Ledger:
    """Of one stream: by epoch the index up to which all is accounted for, oldest epoch first.

    >>> ledger = Ledger("a")
    >>> ledger.declare(Dropped("a", 7, 0, 99, 5))
    [Gap(stream='a', epoch=7, first=0, last=99, reason='dropped', time=5)]
    >>> ledger.declare(Dropped("a", 7, 0, 99, 6))
    []
    """

    def __init__(self, stream: str, epochs: dict[int, int] | None = None) -> None:
        self.stream = stream
        self.epochs = dict(epochs or {})

    def arrive(self, item: Batch | RecordBatch) -> list[Gap]:
        """What is missing before an item, which is accounted for from now on."""
        gaps: list[Gap] = []
        time = item.time if isinstance(item, Batch) else int(item.times[0])
        if item.previous is not None:
            epoch, last = item.previous
            gaps += self._fill(epoch, last + 1, time)
        gaps += self._fill(item.epoch, item.index, time)
        self._account(item.epoch, item.index + len(item))
        return gaps

    def declare(self, dropped: Dropped) -> list[Gap]:
        """What a record of the journal's owner adds to what is known to be missing."""
        known = self.epochs.get(dropped.epoch, dropped.first)
        return self._fill(dropped.epoch, dropped.last + 1, dropped.time, known)

    def _fill(self, epoch: int, end: int, time: int, begin: int | None = None) -> list[Gap]:
        begin = max(self.epochs.get(epoch, 0), begin or 0)
        if end <= begin:
            return []
        self._account(epoch, end)
        return [Gap(self.stream, epoch, begin, end - 1, "dropped", time)]

    def _account(self, epoch: int, end: int) -> None:
        self.epochs[epoch] = max(end, self.epochs.get(epoch, 0))
        while len(self.epochs) > _EPOCHS:
            del self.epochs[next(iter(self.epochs))]
