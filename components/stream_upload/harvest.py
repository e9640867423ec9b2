"""From the journal to files that wait for upload."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from edgeloop import clock
from edgeloop.journal import START, CursorFile, JournalReader, Position
from edgeloop.layout import date, gaps_key, raw_key
from edgeloop.wire.batch import Batch, Dropped, Item
from stream_upload import parquet
from stream_upload.assembler import Assembler, Cut, Limits
from stream_upload.capture import Alarms, Policy, extent
from stream_upload.configuration import Configuration
from stream_upload.indicators import SHORTEST, SUFFIX, Indicators
from stream_upload.ledger import Gap
from stream_upload.spool import Account, Note, Spool
from stream_upload.state import State

PASS: Final = 8 << 20
"""Bytes of the journal read at once."""
MEMORY: Final = 64 << 20
"""Bytes of samples in hand beyond which no more are read, over and above one file of each stream."""
STANDS: Final = 60 * clock.NS
"""ns without a step forward, with newer segments there, until that is told."""
LEASE: Final = 300.0
"""s for which the journal spares the segment at the cursor."""


class Harvest:
    """One pass is `read`. After it `state` holds the account and must be saved; then `release` moves the cursor."""

    def __init__(
        self, journal: Path, cursor: CursorFile, spool: Spool, state: State, configuration: Configuration, device: str
    ) -> None:
        self._spool, self._state, self._device = spool, state, device
        self._cursor = cursor
        self._saved: Position | None = None
        self._leased = 0
        self._moved = clock.elapsed()
        self._last = START
        self._gaps_since: int | None = None
        self.configuration = configuration
        self.alarms = Alarms(state.alarms)
        self._declared = state.gaps
        self._assemblers: dict[str, Assembler] = {}
        self._rates: dict[str, float | None] = {}
        self._reader = JournalReader(journal, self._start())
        self._anew = 0
        self._indicators: dict[str, Indicators] = {}
        self.samples = 0

    @property
    def gaps(self) -> int:
        """Segments or frames that the reader could not read."""
        return self._reader.gaps

    @property
    def held(self) -> int:
        """Bytes of samples in hand."""
        return sum(assembler.bytes for assembler in self._assemblers.values())

    def apply(self, configuration: Configuration) -> None:
        self.configuration = configuration
        for stream, assembler in self._assemblers.items():
            assembler.policy, assembler.limits = self._policy(stream), self._limits()

    def read(self, limit: int = PASS) -> bool:
        """Takes what is in the journal, at most about `limit` bytes; whether there may be more at once.

        Raises SpoolError where files cannot be kept and JournalError; what was read stays in hand then.
        """
        now = clock.elapsed()
        for assembler in self._assemblers.values():
            assembler.settle(now)
        if self.full:
            return False
        before = start = self._reader.position
        taken = 0
        for item, after in self._reader.read(limit_bytes=limit):
            if self._reader.began_anew != self._anew:
                self._begin_anew()
                self._anew = self._reader.began_anew
            self._take(item, before, after, now)
            before = after
            taken += 1
            if self.full:
                break
        return before != start and taken > 0

    @property
    def full(self) -> bool:
        files = len(self._assemblers) * int(self.configuration.file)
        room = self.configuration.disk * self.configuration.shares.of("samples")
        return self._spool.held("samples", "gaps") >= room or self.held >= MEMORY + files

    @property
    def stands(self) -> str:
        """Why no more of the journal goes up, where that is so."""
        now, position = clock.elapsed(), self._reader.position
        if self.full:
            return "what waits to go up fills its share of `disk`: the journal is read on once some of it has arrived"
        if position != self._last or not self._reader.newer:
            self._last, self._moved = position, now
        if now - self._moved < STANDS:
            return ""
        return f"the journal is not read on at {position.segment} byte {position.offset}, and there is more"

    def account(self) -> None:
        """Brings the state up to what is settled, and what is declared into a file where it is due."""
        state = self._state
        for stream, assembler in self._assemblers.items():
            epochs = {f"{epoch:x}": index for epoch, index in assembler.ledger.epochs.items()}
            state.accounts[stream] = Account(stream=stream, done=assembler.done, epochs=epochs)
        state.gaps = _joined([*self._declared, *(gap for a in self._assemblers.values() for gap in a.gaps)])
        state.alarms = list(self.alarms.kept())
        now = clock.elapsed()
        if not state.gaps:
            self._gaps_since = None
        elif self._gaps_since is None:
            self._gaps_since = now
        if self._gaps_since is not None and (
            now - self._gaps_since >= self.configuration.every or len(state.gaps) >= 1000
        ):
            self._write_gaps(clock.now())

    def declare(self, gap: Gap) -> None:
        """What will not arrive of a stream that is in no journal, as its component says."""
        self._declared = [*self._declared, gap]

    def release(self) -> None:
        """Lets the journal go of what is settled, once the state is on the disk. Raises JournalError."""
        self._keep(self._state.gaps)
        begins = [begin for a in self._assemblers.values() if (begin := a.begin) is not None]
        begins += [begin for i in self._indicators.values() if (begin := i.begin) is not None]
        position = min(begins, default=self._reader.position)
        now = clock.elapsed()
        waits = bool(begins) and now - self._leased > LEASE * clock.NS / 2
        if position != START and (position != self._saved or waits):
            self._cursor.save(position, LEASE)
            self._saved, self._leased = position, now

    def close(self) -> None:
        self._reader.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _start(self) -> Position:
        cursor = self._cursor.load()
        return cursor.position if cursor is not None else START

    def _begin_anew(self) -> None:
        """Of a journal that was made again: its places are not those that were settled."""
        for stream, account in self._state.accounts.items():
            self._state.accounts[stream] = msgspec.structs.replace(account, done=START)
        for assembler in self._assemblers.values():
            assembler.cut()
            assembler.done = START

    def _take(self, item: Item, before: Position, after: Position, now: int) -> None:
        if isinstance(item, Batch):
            self._rates[item.stream] = None if item.rate is None else float(item.rate)
        assembler = self._assemblers.get(item.stream)
        if assembler is None:
            assembler = self._assemblers[item.stream] = self._assembler(item.stream)
        new = after > assembler.done
        assembler.add(item, before, after, now)
        if new and not isinstance(item, Dropped):
            self.samples += len(item)
        if isinstance(item, Batch):
            self._indicate(item, before, after, now)

    def _indicate(self, batch: Batch, before: Position, after: Position, now: int) -> None:
        block, rate = int(self.configuration.indicators), batch.rate
        if rate is None or not block or rate <= self.configuration.slow or rate * block < SHORTEST * clock.NS:
            return
        known = self._indicators.get(batch.stream)
        if known is None or not known.fits(batch):
            known = self._indicators[batch.stream] = Indicators(batch, block)
        found = known.add(batch, before)
        if found is None:
            return
        derived, begin = found
        if derived.stream not in self._assemblers:
            self._assemblers[derived.stream] = self._assembler(derived.stream)
        self._assemblers[derived.stream].add(derived, begin, after, now)

    def _assembler(self, stream: str) -> Assembler:
        account = self._state.accounts.get(stream) or Account(stream=stream, done=START, epochs={})
        return Assembler(
            stream, self._policy(stream), self._limits(), self._save, done=account.done,
            epochs={int(epoch, 16): index for epoch, index in account.epochs.items()}, gaps=[],
        )  # fmt: skip

    def _policy(self, stream: str) -> Policy:
        rate = None if stream.endswith(SUFFIX) else self._rates.get(stream)
        return Policy(self.configuration.policy(stream, rate), self.alarms)

    def _limits(self) -> Limits:
        return Limits(int(self.configuration.every), int(self.configuration.file))

    def _save(self, cut: Cut) -> None:
        first = cut.items[0]
        now = clock.now()
        synced = first.clock.source != "free"
        site = self.configuration.site
        key = raw_key(
            site, first.stream, date(extent(first)[0] if synced else now), "synced" if synced else "unsynced",
            self._device, first.epoch, cut.first, cut.last,
        )  # fmt: skip

        def write(path: Path) -> Note:
            size = parquet.write(path, cut.items, site=site, device=self._device)
            epochs = {f"{epoch:x}": index for epoch, index in cut.epochs.items()}
            account = Account(stream=first.stream, done=cut.done, epochs=epochs, gaps=cut.gaps)
            return Note(key=self._key(key), kind="samples", bytes=size, made=now, accounts=(account,))

        self._spool.add(write)

    def _write_gaps(self, now: int) -> None:
        def write(path: Path) -> Note:
            digest = parquet.write_gaps(path, self._state.gaps, device=self._device)
            key = self._key(gaps_key(self.configuration.site, date(now), self._device, digest))
            return Note(
                key=key, kind="gaps", bytes=path.stat().st_size, made=now, serial=self._state.serial + 1,
                accounts=tuple(self._state.accounts.values()),
            )  # fmt: skip

        self._spool.add(write)
        self._keep([])
        self._state.gaps, self._gaps_since = [], None

    def _keep(self, gaps: list[Gap]) -> None:
        """What is declared is on the disk."""
        self._declared = gaps
        for assembler in self._assemblers.values():
            assembler.gaps = []

    def _key(self, key: str) -> str:
        prefix = self.configuration.prefix.strip("/")
        return f"{prefix}/{key}" if prefix else key


def _joined(gaps: list[Gap]) -> list[Gap]:
    """Neighbours of a kind as one.

    >>> _joined([Gap("a", 1, 0, 4, "dropped", 7), Gap("b", 1, 0, 0, "dropped", 7), Gap("a", 1, 5, 9, "dropped", 8)])[0]
    Gap(stream='a', epoch=1, first=0, last=9, reason='dropped', time=7)
    """
    joined: dict[tuple[str, int, str], list[Gap]] = {}
    for gap in gaps:
        same = joined.setdefault((gap.stream, gap.epoch, gap.reason), [])
        if same and same[-1].last + 1 == gap.first:
            same[-1] = msgspec.structs.replace(same[-1], last=gap.last)
        else:
            same.append(gap)
    return [gap for same in joined.values() for gap in same]
